"""Counts processes for vrrp_track_process (features 7.4; docs/decisions/0205).

/proc is read once a second, which finds those that began; a pidfd is held of each that counts, which tells
its end at once. Neither needs a privilege.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence

from keepbus.config.model.tracking import ParamMatch, TrackProcess
from keepbus.runtime.loop import Loop
from keepbus.runtime.machine import Event
from keepbus_checker.events import ProcessesCounted

SCAN_NS = 1_000_000_000
_SHORT_NAME = 15
_MOST_PIDFDS = 256
"""Of more processes the end is seen by reading /proc."""
_MOST_OCTETS = 64 * 1024
"""Of a command line."""
_HIDDEN = "/proc shows only the processes of its own user here (mount option hidepid): remount it without"


class ProcessWatch:
    """The processes that count."""

    def __init__(self, loop: Loop, wall_ns: Callable[[], int], proc: str = "/proc") -> None:
        self._loop = loop
        self._wall_ns = wall_ns
        self._proc = proc
        self._wanted: tuple[TrackProcess, ...] = ()
        self._counting: dict[int, tuple[TrackProcess, ...]] = {}
        """By process id, for whom it counts."""
        self._pidfds: dict[int, int] = {}
        self._told: dict[str, int | None] = {}
        self._scans = False

    def watch(self, processes: tuple[TrackProcess, ...]) -> Iterable[Event]:
        """Count these from now on; tells all of them."""
        self._wanted = processes
        self._told = {}
        if processes and not self._scans:
            self._scans = True
            self._loop.every(SCAN_NS, self._scan)
        return self._scan(0)

    def _scan(self, _now_ns: int) -> Sequence[Event]:
        if not self._wanted:
            self._forget(list(self._pidfds))
            return ()
        try:
            found = self._look()
        except OSError:
            return self._tell(None)
        self._counting = found
        self._forget([pid for pid in self._pidfds if pid not in found])
        for pid in list(found):
            if pid not in self._pidfds and len(self._pidfds) < _MOST_PIDFDS:
                self._hold(pid)
        return self._tell(self._counting)

    def _look(self) -> dict[int, tuple[TrackProcess, ...]]:
        """All processes that count; OSError when others are hidden."""
        lengthy = any(each.param_match is not ParamMatch.ANY for each in self._wanted)
        proc = self._proc
        if not _read(f"{proc}/1/comm"):
            raise PermissionError
        found = {}
        for name in os.listdir(proc):
            if not name.isdecimal():
                continue
            comm = _read(f"{proc}/{name}/comm").rstrip(b"\n")
            command = _read(f"{proc}/{name}/cmdline") if lengthy else b""
            counts = tuple(each for each in self._wanted if matches(each, comm, command))
            if counts and not _is_zombie(_read(f"{proc}/{name}/stat")):
                found[int(name)] = counts
        return found

    def _hold(self, pid: int) -> None:
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            del self._counting[pid]
            return
        except OSError:
            return  # no descriptor left; /proc will tell
        self._pidfds[pid] = pidfd
        self._loop.watch(pidfd, lambda _mask: self._ended(pid))

    def _ended(self, pid: int) -> Iterable[Event]:
        self._forget([pid])
        self._counting.pop(pid, None)
        return self._tell(self._counting)

    def _forget(self, pids: Iterable[int]) -> None:
        for pid in pids:
            pidfd = self._pidfds.pop(pid)
            self._loop.forget(pidfd)
            os.close(pidfd)

    def _tell(self, counting: dict[int, tuple[TrackProcess, ...]] | None) -> list[Event]:
        news = []
        for process in self._wanted:
            count = None if counting is None else sum(process in counts for counts in counting.values())
            if process.name in self._told and self._told[process.name] == count:
                continue
            self._told[process.name] = count
            error = _HIDDEN if count is None else ""
            news.append(ProcessesCounted(process.name, count, error, self._wall_ns()))
        return news


def matches(process: TrackProcess, comm: bytes, command: bytes) -> bool:
    """Whether a process is meant; command is its command line as /proc has it."""
    if process.param_match is ParamMatch.ANY:
        return os.fsencode(os.path.basename(process.path))[:_SHORT_NAME] == comm
    argv = command.removesuffix(b"\0").split(b"\0")
    if argv[0] != os.fsencode(process.path):
        return False
    given, wanted = argv[1:], [os.fsencode(each) for each in process.params]
    if process.param_match is ParamMatch.COMMAND:
        return True
    if process.param_match is ParamMatch.EXACT:
        return given == wanted
    if process.param_match is ParamMatch.PARTIAL or not wanted:
        return given[: len(wanted)] == wanted
    last = len(wanted) - 1
    return len(given) > last and given[:last] == wanted[:last] and given[last].startswith(wanted[last])


def _read(path: str) -> bytes:
    """A file of /proc, or what of it fits; nothing for a process that has ended."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.read(descriptor, _MOST_OCTETS)
        finally:
            os.close(descriptor)
    except OSError:
        return b""


def _is_zombie(stat: bytes) -> bool:
    """An ended process that nobody waited for; also one that is gone already."""
    return stat.rpartition(b")")[2][1:2] in (b"Z", b"X", b"")
