"""The journal's file: rotation, torn lines, a full disk, a file that was moved away."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from keepbus_audit import journal as module
from keepbus_audit.journal import Journal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit" / "journal.jsonl"


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_lines_are_in_the_file_when_append_returns(path: Path) -> None:
    journal = Journal(path)
    journal.open()
    journal.append(['{"n":1}', '{"n":"ä"}'])
    assert path.read_bytes() == b'{"n":1}\n{"n":"\xc3\xa4"}\n'
    assert path.stat().st_mode & 0o777 == 0o640
    assert journal.octets == path.stat().st_size


def test_a_new_process_goes_on_in_the_same_file(path: Path) -> None:
    for number in (1, 2):
        journal = Journal(path)
        journal.open()
        journal.append([f'{{"n":{number}}}'])
        journal.close()
    assert lines(path) == [{"n": 1}, {"n": 2}]


def test_after_a_torn_line_it_begins_a_new_one(path: Path) -> None:
    path.parent.mkdir()
    path.write_text('{"n":1}\n{"n":')
    journal = Journal(path)
    journal.open()
    journal.append(['{"n":2}'])
    assert path.read_text() == '{"n":1}\n{"n":\n{"n":2}\n'
    journal.append(['{"n":3}'])
    assert path.read_text().endswith('{"n":2}\n{"n":3}\n')


def test_rotation_keeps_so_many_files_and_no_line_is_lost_between_them(path: Path) -> None:
    journal = Journal(path, size=40, files=3)
    journal.open()
    for number in range(12):
        journal.append([f'{{"number":{1000 + number}}}'])
    names = sorted(entry.name for entry in path.parent.iterdir())
    assert names == ["journal.jsonl", "journal.jsonl.1", "journal.jsonl.2"]
    numbers = [
        line["number"]
        for name in ("journal.jsonl.2", "journal.jsonl.1", "journal.jsonl")
        for line in lines(path.with_name(name))
    ]
    assert numbers == list(range(1006, 1012))
    assert all(path.with_name(name).stat().st_size <= 40 for name in names)
    assert journal.rotations == 5


def test_with_one_file_the_old_one_goes(path: Path) -> None:
    journal = Journal(path, size=10, files=1)
    journal.open()
    journal.append(['{"n":1}'])
    journal.append(['{"n":2}'])
    assert [entry.name for entry in path.parent.iterdir()] == ["journal.jsonl"]
    assert lines(path) == [{"n": 2}]


def test_a_line_longer_than_the_limit_gets_a_file_of_its_own(path: Path) -> None:
    journal = Journal(path, size=10, files=2)
    journal.open()
    journal.append(['{"n":1}'])
    journal.append(['{"n":"%s"}' % ("x" * 100)])
    assert lines(path.with_name("journal.jsonl.1")) == [{"n": 1}]
    assert len(lines(path)) == 1


@pytest.mark.parametrize("how", ["moved", "removed", "replaced"])
def test_a_file_that_was_taken_away_is_made_anew(path: Path, how: str) -> None:
    journal = Journal(path)
    journal.open()
    journal.append(['{"n":1}'])
    if how == "moved":
        path.rename(path.with_name("elsewhere"))
    elif how == "removed":
        path.unlink()
    else:
        path.rename(path.with_name("elsewhere"))
        path.touch()
    journal.append(['{"n":2}'])
    assert lines(path) == [{"n": 2}]


def test_a_link_in_its_place_is_not_followed(path: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    path.parent.mkdir()
    path.symlink_to(victim)
    journal = Journal(path)
    with pytest.raises(OSError, match="symbolic links"):
        journal.open()
    with pytest.raises(OSError, match="symbolic links"):
        journal.append(['{"n":1}'])
    assert (victim.read_text(), journal.lost) == ("precious", 1)


def whole_and_torn(path: Path) -> tuple[list[Any], list[str]]:
    whole, torn = [], []
    for line in path.read_text().splitlines():
        try:
            whole.append(json.loads(line))
        except ValueError:
            torn.append(line)
    return whole, torn


class Disk:
    """A disk with room for so many octets."""

    def __init__(self, write: Callable[[int, bytes], int], room: int) -> None:
        self._write = write
        self.room = room

    def write(self, fd: int, data: bytes) -> int:
        if self.room == 0:
            raise OSError(28, "No space left on device")
        written = self._write(fd, data[: self.room])
        self.room -= written
        return written


@pytest.mark.parametrize("room", range(26))
def test_when_the_disk_is_full_every_line_is_whole_or_counted(
    path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    disk = Disk(os.write, room)
    monkeypatch.setattr(module.os, "write", disk.write)
    journal = Journal(path)
    journal.open()
    wanted = ['{"n":1}', '{"n":2}', '{"n":3}', '{"n":4}']
    if room >= 24:
        journal.append(wanted[:3])
    else:
        with pytest.raises(OSError, match="No space"):
            journal.append(wanted[:3])
    with pytest.raises(OSError, match="No space"):
        journal.append(wanted[3:])
    disk.room = 10_000
    journal.append(['{"n":5}'])
    journal.append(['{"n":6}'])
    read, torn = whole_and_torn(path)
    fitted = (room + 1) // 8  # a line without its newline is whole, too
    assert [line["n"] for line in read if "n" in line] == [*range(1, fitted + 1), 5, 6]
    assert [line["lost"] for line in read if "lost" in line] == [4 - fitted] == [journal.lost]
    assert len(torn) == (room % 8 not in (0, 7))


@pytest.mark.parametrize("room", range(1, 140))
def test_the_line_that_tells_of_a_loss_can_be_lost_itself(
    path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    disk = Disk(os.write, 0)
    monkeypatch.setattr(module.os, "write", disk.write)
    journal = Journal(path)
    journal.open()
    with pytest.raises(OSError, match="No space"):
        journal.append(['{"n":1}', '{"n":2}'])
    disk.room = room  # the line of the loss takes 83 octets
    with contextlib.suppress(OSError):
        journal.append(['{"n":3}', '{"n":4}'])
    disk.room = 10_000
    journal.append(['{"n":5}'])
    read, _ = whole_and_torn(path)
    written = [line["n"] for line in read if "n" in line]
    told = sum(line["lost"] for line in read if "lost" in line)
    assert len(written) + told == 5
    assert told == journal.lost


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "keepbus-test", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("cannot mount a small disk here: nothing was tried about a really full one")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_really_full_disk(small_disk: Path) -> None:
    path = small_disk / "journal.jsonl"
    journal = Journal(path)
    journal.open()
    (small_disk / "filler").write_bytes(b"x" * 40_000)
    for number in range(1000):
        with contextlib.suppress(OSError):
            journal.append([f'{{"n":{number},"x":"{"x" * 100}"}}'])
    lost = journal.lost
    assert lost > 0
    (small_disk / "filler").unlink()
    journal.append(['{"n":1000}'])
    read = []
    for line in path.read_text().splitlines():
        if line.endswith("}"):
            read.append(json.loads(line))
    numbers = [line["n"] for line in read if "n" in line]
    assert numbers == [*range(1000 - lost), 1000]
    assert [line["lost"] for line in read if "lost" in line] == [lost]
