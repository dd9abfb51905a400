"""Values of watched files, and the watching (keepalived-features 7.3)."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from keepbus.runtime.loop import Loop
from keepbus.runtime.track_file import TrackFiles, initialise, parse, read


@pytest.mark.parametrize(
    ("octets", "number"),
    [
        (b"7\n", 7), (b"-12 and more", -12), (b"+3", 3), (b"  \n\t5", 5),
        (b"0x1F", 31), (b"-0x10", -16), (b"010", 8), (b"0", 0), (b"08", 0), (b"0xg", 0),
        (b"", 0), (b"none", 0), (b"- 5", 0), (b"\x00\xff", 0), (b"1.9", 1),
        (b"2147483647", 2147483647), (b"-2147483648", -2147483648),
        (b"2147483648", None), (b"-2147483649", None), (b"9" * 126, None),
        (b" " * 126 + b"42", 4), (b" " * 127 + b"42", 0),
    ],
)  # fmt: skip
def test_the_value_is_the_leading_number_of_127_octets(octets: bytes, number: int | None) -> None:
    assert parse(octets) == number


def test_a_missing_file_is_0_and_an_unreadable_one_says_why(tmp_path: Path) -> None:
    assert read(str(tmp_path / "none")) == (0, "")
    assert read(str(tmp_path)) == (None, f"{tmp_path} cannot be read: Is a directory")


def test_a_pipe_without_a_writer_does_not_hold_the_reader(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert read(str(tmp_path / "pipe")).number == 0


def test_init_file_makes_a_missing_file_and_overwrites_only_when_told(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert initialise(str(path), 5, overwrite=False) == ""
    assert path.read_text(encoding="ascii") == "5\n"
    assert initialise(str(path), 6, overwrite=False) == ""
    assert read(str(path)).number == 5
    assert initialise(str(path), 6, overwrite=True) == ""
    assert read(str(path)).number == 6
    missing = tmp_path / "none" / "file"
    assert initialise(str(missing), 1, overwrite=True).endswith(
        "cannot be written: No such file or directory"
    )


class Quiet:
    """A machine that collects events and ends the loop when it has what it waits for."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.told: list[str] = []

    def turn(self, _now_ns: int, events: object) -> list[object]:
        self.told.extend(events)  # type: ignore[arg-type]
        if self.told:
            self.loop.stop()
        return []

    def wake_at_ns(self) -> None:
        return None


class Watch:
    """A loop with watched files; `told` runs it until something is told."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.files = TrackFiles(self.loop, lambda path: (path,))

    def told(self, seconds: float = 5) -> list[str]:
        machine = Quiet(self.loop)
        end = time.monotonic() + seconds
        self.loop.every(20_000_000, lambda _now_ns: self.loop.stop() if time.monotonic() > end else None)
        self.loop.run(machine, lambda effect, _now_ns: None)
        return machine.told


def test_writing_moving_and_removing_are_told_others_are_not(tmp_path: Path) -> None:
    watch = Watch()
    path = tmp_path / "file"
    watch.files.watch(str(path))
    (tmp_path / "other").write_text("1", encoding="ascii")
    path.write_text("1", encoding="ascii")
    assert watch.told() == [str(path)]
    (tmp_path / "other").rename(path)
    assert watch.told() == [str(path)]
    path.rename(tmp_path / "away")
    assert watch.told() == [str(path)]
    (tmp_path / "away").rename(path)
    assert watch.told() == [str(path)]
    path.unlink()
    assert watch.told() == [str(path)]
    with path.open("w", encoding="ascii") as half:
        half.write("1")
        half.flush()
        assert watch.told(0.1) == [], "who writes has not closed the file yet"
    assert watch.told() == [str(path)]
    watch.files.unwatch(str(path))
    path.write_text("1", encoding="ascii")
    assert watch.told(0.1) == []


def test_two_ways_to_one_file_are_both_told(tmp_path: Path) -> None:
    watch = Watch()
    (tmp_path / "a").mkdir()
    (tmp_path / "b").symlink_to("a")
    paths = [str(tmp_path / "a" / "file"), str(tmp_path / "b" / "file")]
    for path in paths:
        watch.files.watch(path)
    Path(paths[0]).write_text("1", encoding="ascii")
    assert watch.told() == paths
    watch.files.unwatch(paths[0])
    Path(paths[0]).write_text("1", encoding="ascii")
    assert watch.told() == paths[1:]


def test_a_directory_that_comes_and_goes(tmp_path: Path) -> None:
    watch = Watch()
    path = tmp_path / "later" / "file"
    watch.files.watch(str(path))
    path.parent.mkdir()
    path.write_text("1", encoding="ascii")
    assert watch.told() == [str(path)]
    path.unlink()
    assert watch.told() == [str(path)]
    path.parent.rmdir()
    assert watch.told() == [str(path)]
    path.parent.mkdir()
    path.write_text("2", encoding="ascii")
    assert str(path) in watch.told()
