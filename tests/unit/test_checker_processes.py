"""Which processes count for a vrrp_track_process (features 7.4; docs/decisions/0205), with real ones."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from keepbus_checker.events import ProcessesCounted
from keepbus_checker.process_watch import SCAN_NS, ProcessWatch, matches

from keepbus.config.model.tracking import ParamMatch, TrackProcess
from keepbus.runtime.loop import Loop

ANY, COMMAND = ParamMatch.ANY, ParamMatch.COMMAND
EXACT, PARTIAL, INITIAL = ParamMatch.EXACT, ParamMatch.PARTIAL, ParamMatch.INITIAL


@pytest.mark.parametrize(
    ("path", "params", "match", "command", "is_meant"),
    [
        ("nginx", (), ANY, b"/usr/sbin/nginx", True),
        ("/usr/sbin/nginx", (), ANY, b"other", True),
        ("apache", (), ANY, b"nginx", False),
        ("/usr/sbin/nginx", (), COMMAND, b"/usr/sbin/nginx\0-g\0x", True),
        ("nginx", (), COMMAND, b"/usr/sbin/nginx\0-g\0x", False),
        ("p", ("-a", "b"), EXACT, b"p\0-a\0b", True),
        ("p", ("-a", "b"), EXACT, b"p\0-a\0b\0c", False),
        ("p", (), EXACT, b"p", True),
        ("p", (), EXACT, b"p\0-a", False),
        ("p", ("-a",), PARTIAL, b"p\0-a\0b", True),
        ("p", ("-a",), PARTIAL, b"p\0-ab", False),
        ("p", ("-a", "b"), PARTIAL, b"p\0-a", False),
        ("p", ("-a", "b"), INITIAL, b"p\0-a\0bcd\0e", True),
        ("p", ("-a", "b"), INITIAL, b"p\0-ax\0bcd", False),
        ("p", ("-a", "b"), INITIAL, b"p\0-a", False),
        ("p", (), INITIAL, b"p\0-a", True),
    ],
)
def test_which_process_is_meant(
    path: str, params: tuple[str, ...], match: ParamMatch, command: bytes, is_meant: bool
) -> None:
    process = TrackProcess(name="t", path=path, params=params, param_match=match)
    assert matches(process, b"nginx", command + b"\0") is is_meant


def test_a_short_name_has_15_octets() -> None:
    process = TrackProcess(name="t", path="a-rather-long-name")
    assert matches(process, b"a-rather-long-n", b"")
    assert not matches(process, b"a-rather-long-name", b"")


class Counting:
    """A loop with counted processes."""

    def __init__(self, *wanted: TrackProcess) -> None:
        self.loop = Loop()
        self.watch = ProcessWatch(self.loop, time.time_ns)
        self.numbers = [told.number for told in self.watch.watch(wanted)]
        self._awaited = 0

    def turn(self, _now_ns: int, events: Iterable[ProcessesCounted]) -> list[object]:
        self.numbers += [told.number for told in events]
        if self.numbers[-1] == self._awaited:
            self.loop.stop()
        return []

    def wake_at_ns(self) -> None:
        return None

    def until(self, number: int) -> float:
        """Run until so many are told; how long it took."""
        self._awaited = number
        began = time.monotonic()
        self.loop.every(
            20_000_000, lambda _now_ns: self.loop.stop() if time.monotonic() > began + 10 else None
        )
        self.loop.run(self, lambda _effect, _now_ns: None)
        assert self.numbers[-1] == number, self.numbers
        return time.monotonic() - began


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """sleep under a name that nobody else has."""
    path = tmp_path / f"kb{os.getpid()}"
    shutil.copy(shutil.which("sleep") or "/bin/sleep", path)
    return path


def test_processes_come_and_go(program: Path) -> None:
    """A beginning is seen by the next look, an end at once; one that nobody waited for does not count."""
    counting = Counting(TrackProcess(name="t", path=program.name))
    assert counting.numbers == [0]
    running = [subprocess.Popen([str(program), "60"]) for _ in range(2)]
    try:
        counting.until(2)
        running[0].kill()
        assert counting.until(1) < SCAN_NS / 1e9 / 2
        again = Counting(TrackProcess(name="t", path=program.name))
        assert again.numbers == [1], "the one that was killed is a zombie"
    finally:
        for process in running:
            process.kill()
            process.wait()


def test_where_others_are_hidden_nothing_is_counted(tmp_path: Path) -> None:
    (tmp_path / "77").mkdir()
    (tmp_path / "77" / "comm").write_text("nginx\n", encoding="ascii")
    loop = Loop()
    watch = ProcessWatch(loop, time.time_ns, str(tmp_path))
    (told,) = watch.watch((TrackProcess(name="t", path="nginx"),))
    assert told.number is None
    assert "hidepid" in told.error
