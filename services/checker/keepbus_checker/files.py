"""The files of FILE_CHECKs: read when they change."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from keepbus.config.model import Check
from keepbus.runtime import track_file
from keepbus.runtime.loop import Loop
from keepbus.runtime.machine import Event
from keepbus_checker.events import FileRead


class Files:
    """Which checks want which file."""

    def __init__(self, loop: Loop, wall_ns: Callable[[], int]) -> None:
        self._loop = loop
        self._wall_ns = wall_ns
        self._track_files: track_file.TrackFiles | None = None
        """Made when the first file is to be watched: most configurations have none."""
        self._paths: dict[str, str] = {}
        """By check."""

    def watch(self, check: Check) -> Iterable[Event]:
        """Read the check's file now and whenever it changes; `init_file` makes it first."""
        file = check.file
        assert file is not None
        self._paths[check.id] = file.path
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
        told = [FileRead(check.id, None, error, wall_ns) for error in errors if error]
        return [*told, FileRead(check.id, *track_file.read(file.path), wall_ns)]

    def forget(self, check: str) -> None:
        """The check is no more."""
        path = self._paths.pop(check, None)
        if path is not None and path not in self._paths.values() and self._track_files is not None:
            self._track_files.unwatch(path)

    def _changed(self, path: str) -> Iterable[Event]:
        value = track_file.read(path)
        wall_ns = self._wall_ns()
        return [FileRead(check, *value, wall_ns) for check, watched in self._paths.items() if watched == path]
