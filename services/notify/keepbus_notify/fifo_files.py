"""The FIFOs in the file system: made safely, written without waiting (features 10.3).

A path is used only if it is a FIFO that belongs to notify's user, to root, or to the configured one: whoever
could put another file there would have it written to. Opened for reading and writing, so that it needs no
reader to be opened, and what is written waits in it until somebody reads.
"""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import pwd
import stat
from collections.abc import Iterable

from keepbus.config.model.notify import Fifo
from keepbus.runtime.machine import Event
from keepbus_notify.events import FifoTrouble

_MODE = 0o600
_GROUP_MODE = 0o660


class Fifos:
    """Those that are open, by path."""

    def __init__(self) -> None:
        self._open: dict[str, int] = {}
        self._made: set[str] = set()
        self._full: set[str] = set()

    def open(self, fifos: Iterable[Fifo]) -> list[Event]:
        """Have these and no others; one that was made here is deleted when it goes."""
        wanted = {each.path: each for each in fifos}
        for path in [path for path in self._open if path not in wanted]:
            os.close(self._open.pop(path))
            if path in self._made:
                self._made.discard(path)
                with contextlib.suppress(OSError):
                    os.unlink(path)
        trouble: list[Event] = []
        for path, each in wanted.items():
            if path in self._open:
                continue
            try:
                self._open[path] = self._opened(each)
            except (OSError, KeyError) as error:
                text = error.strerror if isinstance(error, OSError) else f"there is no user or group {error}"
                trouble.append(FifoTrouble(path, 0, f"cannot be used: {text or error}"))
        return trouble

    def write(self, path: str, line: bytes) -> list[Event]:
        """Write a line, whole or not at all: a line is shorter than what a pipe takes in one piece."""
        descriptor = self._open.get(path)
        if descriptor is None:
            return [FifoTrouble(path, 1, "cannot be used; see what is wrong with it, then reload")]
        try:
            os.write(descriptor, line)
        except BlockingIOError:
            self._full.add(path)
            return [FifoTrouble(path, 1, "is full because nobody reads it: lines are lost")]
        except OSError as error:
            return [FifoTrouble(path, 1, f"cannot be written: {error.strerror}")]
        if path in self._full:
            self._full.discard(path)
            return [FifoTrouble(path, 0, "")]
        return []

    def _opened(self, fifo: Fifo) -> int:
        owners = {0, os.geteuid()}
        gid = -1
        if fifo.user:
            entry = pwd.getpwnam(fifo.user)
            gid = entry.pw_gid
            owners.add(entry.pw_uid)
        if fifo.group:
            gid = grp.getgrnam(fifo.group).gr_gid
        with contextlib.suppress(FileExistsError):
            _make(fifo.path, gid)
            self._made.add(fifo.path)
        descriptor = os.open(fifo.path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISFIFO(found.st_mode) or found.st_uid not in owners:
                raise OSError(errno.EPERM, "it is there, but no FIFO of this user; remove it")
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor


def _make(path: str, gid: int) -> None:
    """notify may not give files away, but it may make them in the group of another user (SETGID)."""
    own = os.getegid()
    if gid in (-1, own):
        os.mkfifo(path, _MODE)
        return
    os.setegid(gid)
    mask = os.umask(0)
    try:
        os.mkfifo(path, _GROUP_MODE)
    finally:
        os.umask(mask)
        os.setegid(own)
