"""Who runs a virtual router in this network namespace: a socket with its name, in the abstract name space.

The kernel keeps these names apart by network namespace, gives each to one process only, and frees it at any
death, but it takes its time: a successor goes on some milliseconds before. Law of this file: nothing waits.
What a dying process has is as good as free.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import socket
import struct
from collections.abc import Iterable
from pathlib import Path

_PREFIX = "\0keepbus-vrrp/"
_CREDENTIALS = struct.Struct("3i")
_MOST_ASKERS = 4096
"""Nobody accepts who only wants to know the process id: each other process asks once."""
_EXITING = 0x4
"""PF_EXITING of the kernel, among the flags of /proc/PID/stat."""


class RouterLocks:
    """Those of this process."""

    def __init__(self) -> None:
        self._held: dict[str, socket.socket] = {}
        self._others: dict[str, int] = {}
        """Of those that another process has: its pid, 0 when that is not known."""
        self._dying: set[str] = set()
        """Those that a dying process still has."""
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    def want(self, keys: Iterable[str]) -> tuple[tuple[str, int], ...]:
        """Have exactly these; those that another process has, with its pid."""
        wanted = list(keys)
        for key in self._held.keys() - set(wanted):
            self._held.pop(key).close()
        self._dying.clear()
        self._others = {
            key: pid for key in wanted if key not in self._held and (pid := self._find_other(key)) is not None
        }
        return tuple(self._others.items())

    def settle(self) -> tuple[tuple[str, int], ...] | None:
        """Take what a dying process had. As `want`; None when nothing is to be told."""
        if not self._dying:
            return None
        before = len(self._others)
        for key in tuple(self._dying):
            self._dying.discard(key)
            pid = self._find_other(key)
            if pid is not None:
                self._others[key] = pid
        return tuple(self._others.items()) if len(self._others) > before else None

    def close(self) -> None:
        """Have none any more."""
        self.want(())

    def _find_other(self, key: str) -> int | None:
        """The process that has it; None when this one has, or when it is as good as free."""
        if self._take(key):
            return None
        known = self._others.get(key, 0)
        if known and not _is_dying(known):
            return known
        pid = _owner(key)
        if pid and _is_dying(pid):
            self._dying.add(key)
            return None
        # It may have been freed between the two questions.
        return None if not pid and self._take(key) else pid

    def _take(self, key: str) -> bool:
        """False when another process has it."""
        lock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            lock.bind(_PREFIX + key)
            lock.listen(_MOST_ASKERS)
        except OSError as error:
            lock.close()
            return error.errno != errno.EADDRINUSE
        self._held[key] = lock
        return True


def _owner(key: str) -> int:
    """The process that has it; 0 when that cannot be known."""
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as asking,
    ):
        asking.connect(_PREFIX + key)
        octets = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        return int(_CREDENTIALS.unpack(octets)[0])
    return 0


def _is_gone(pid: int) -> bool:
    """/proc may hide the processes of others (hidepid)."""
    try:
        os.kill(pid, 0)
    except OSError as error:
        return error.errno == errno.ESRCH
    return False


def _is_dying(pid: int) -> bool:
    """True also when it is dead."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return _is_gone(pid)
    return words[0] in "ZX" or bool(int(words[6]) & _EXITING)
