"""Files whose number is watched: `track_file` of the configuration (keepalived-features 7.3).

A file's value is the whole number that its first 127 octets begin with. It is read when somebody closed the
file after writing, moved one in its place, or removed it; a writer that is half done is not looked at. What
is watched is therefore the directory; one that is not there is looked for every second.
"""

from __future__ import annotations

import ctypes
import os
import re
import struct
from collections.abc import Callable, Iterable
from typing import NamedTuple

from keepbus.runtime.loop import Loop
from keepbus.runtime.machine import Event

_MOST_OCTETS = 127
_NUMBER = re.compile(rb"[ \t\n\v\f\r]*([+-]?)(?:0[xX]([0-9a-fA-F]+)|(0[0-7]*)|([1-9][0-9]*))")
_LOWEST, _HIGHEST = -(1 << 31), (1 << 31) - 1
_MISSING_DIRECTORY_NS = 1_000_000_000

# linux/inotify.h
_CLOSE_WRITE, _MOVED_FROM, _MOVED_TO, _DELETE = 0x008, 0x040, 0x080, 0x200
_OVERFLOW, _IGNORED, _ONLY_DIRECTORY = 0x4000, 0x8000, 0x0100_0000
_WATCHED = _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _DELETE | _ONLY_DIRECTORY
_NOTICE = struct.Struct("iIII")
_READ_OCTETS = 64 * 1024


class Value(NamedTuple):
    """What a file holds."""

    number: int | None
    """None when the earlier value stays: the number is outside 32 bits, or the file could not be read."""
    error: str = ""
    """Why it could not be read."""


def parse(octets: bytes) -> int | None:
    """The number that a file begins with: 0 when there is none, None when it is outside 32 bits."""
    match = _NUMBER.match(octets[:_MOST_OCTETS])
    if match is None:
        return 0
    sign, hexadecimal, octal, decimal = match.groups()
    number = int(hexadecimal, 16) if hexadecimal else int(octal, 8) if octal else int(decimal)
    number = -number if sign == b"-" else number
    return number if _LOWEST <= number <= _HIGHEST else None


def read(path: str) -> Value:
    """The file's value now. Never waits, whatever the path names."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return Value(parse(os.read(descriptor, _MOST_OCTETS)))
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        return Value(0)
    except OSError as error:
        return Value(None, f"{path} cannot be read: {error.strerror}")


def initialise(path: str, number: int, *, overwrite: bool) -> str:
    """Write number to the file, unless there is one and overwrite is False; why that failed, else empty."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC | (os.O_TRUNC if overwrite else os.O_EXCL)
    try:
        descriptor = os.open(path, flags, 0o666)
        try:
            os.write(descriptor, b"%d\n" % number)
        finally:
            os.close(descriptor)
    except FileExistsError:
        return ""
    except OSError as error:
        return f"{path} cannot be written: {error.strerror}"
    return ""


class TrackFiles:
    """The files that are watched."""

    def __init__(self, loop: Loop, on_change: Callable[[str], Iterable[Event]]) -> None:
        """on_change makes events of news about a path; a path that did not change may be among them.

        Raises OSError when the kernel has no inotify instance left for this user.
        """
        self._on_change = on_change
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._call("inotify_init1", os.O_NONBLOCK | os.O_CLOEXEC)
        self._files: dict[str, tuple[str, bytes]] = {}
        """Directory and name by path."""
        self._watches: dict[str, int] = {}
        """Watches by directory; two ways to one directory share a watch."""
        loop.watch(self._descriptor, self._read)
        loop.every(_MISSING_DIRECTORY_NS, self._look_for_directories)

    def watch(self, path: str) -> None:
        """Tell changes of this path from now on."""
        directory, name = os.path.split(path)
        self._files[path] = directory, os.fsencode(name)
        self._add(directory)

    def unwatch(self, path: str) -> None:
        """No more of this path."""
        directory, _name = self._files.pop(path, ("", b""))
        if any(directory == other for other, _ in self._files.values()):
            return
        watch = self._watches.pop(directory, None)
        if watch is not None and watch not in self._watches.values():
            self._libc.inotify_rm_watch(self._descriptor, watch)

    def _add(self, directory: str) -> bool:
        """Watch a directory that isn't yet; True when it is watched from now on."""
        if directory in self._watches:
            return False
        try:
            watch = self._call("inotify_add_watch", self._descriptor, os.fsencode(directory), _WATCHED)
        except OSError:
            return False
        self._watches[directory] = watch
        return True

    def _look_for_directories(self, _now_ns: int) -> list[Event]:
        found = {directory for directory, _ in self._files.values() if self._add(directory)}
        return self._tell(path for path, (directory, _) in self._files.items() if directory in found)

    def _read(self, _mask: int) -> list[Event]:
        octets = os.read(self._descriptor, _READ_OCTETS)
        changed: dict[str, None] = {}
        at = 0
        while at < len(octets):
            watch, mask, _cookie, length = _NOTICE.unpack_from(octets, at)
            at += _NOTICE.size
            name = octets[at : at + length].rstrip(b"\0")
            at += length
            for path, (directory, wanted) in self._files.items():
                concerned = self._watches.get(directory) == watch and (mask & _IGNORED or name == wanted)
                if concerned or mask & _OVERFLOW:
                    changed[path] = None
            if mask & _IGNORED:
                # The directory went; another one of its name may come.
                self._watches = {path: other for path, other in self._watches.items() if other != watch}
        return self._tell(changed)

    def _tell(self, paths: Iterable[str]) -> list[Event]:
        return [event for path in list(paths) for event in self._on_change(path)]

    def _call(self, name: str, *arguments: int | bytes) -> int:
        result: int = getattr(self._libc, name)(*arguments)
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result
