"""The files of FILE_CHECKs and of trackers: read when they change."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from keepbus.config.model.checker import TrackedFile
from keepbus.runtime import track_file
from keepbus.runtime.loop import Loop
from keepbus.runtime.machine import Event
from keepbus_checker.events import FileRead


class Files:
    """Who wants which file."""

    def __init__(self, loop: Loop, wall_ns: Callable[[], int]) -> None:
        self._loop = loop
        self._wall_ns = wall_ns
        self._track_files: track_file.TrackFiles | None = None
        """Made when the first file is to be watched: most configurations have none."""
        self._paths: dict[str, str] = {}
        """By watcher."""

    def watch(self, watcher: str, file: TrackedFile) -> Iterable[Event]:
        """Read the file now and whenever it changes; `init_file` makes it first."""
        self._paths[watcher] = file.path
        errors = []
        if file.init_value is not None:
            errors.append(track_file.initialise(file.path, file.init_value, overwrite=file.init_overwrite))
        try:
            if self._track_files is None:
                self._track_files = track_file.TrackFiles(self._loop, self._changed)
            self._track_files.watch(file.path)
        except OSError as error:
            errors.append(f"{file.path} cannot be watched: {error.strerror}")
        wall_ns = self._wall_ns()
        told = [FileRead(watcher, None, error, wall_ns) for error in errors if error]
        return [*told, FileRead(watcher, *track_file.read(file.path), wall_ns)]

    def forget(self, watcher: str) -> None:
        """It wants none any more."""
        path = self._paths.pop(watcher, None)
        if path is not None and path not in self._paths.values() and self._track_files is not None:
            self._track_files.unwatch(path)

    def _changed(self, path: str) -> Iterable[Event]:
        value = track_file.read(path)
        wall_ns = self._wall_ns()
        return [
            FileRead(watcher, *value, wall_ns) for watcher, watched in self._paths.items() if watched == path
        ]
