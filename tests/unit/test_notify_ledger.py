"""The ledger over crashes, torn lines and growth."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
from keepbus_notify import ledger as module
from keepbus_notify.effects import LedgerEntry
from keepbus_notify.ledger import Ledger
from keepbus_notify.subject import Progress


def entry(
    number: int, script: str = "notify", *, last: bool = True, life: str = "L", name: str = "VI"
) -> LedgerEntry:
    return LedgerEntry(name, life, number, script, last)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "notify" / "ledger"


def test_an_absent_ledger_is_empty_and_is_made_with_the_first_line(path: Path) -> None:
    ledger = Ledger(path)
    assert ledger.read() == ()
    ledger.append(entry(1), durable=True)
    assert path.read_text() == '["VI", "L", 1, "notify", true]\n'
    assert path.stat().st_mode & 0o777 == 0o640


def test_what_was_appended_is_read_by_the_next(path: Path) -> None:
    first = Ledger(path)
    first.read()
    first.append(entry(1, "notify_backup", last=False), durable=True)
    first.append(entry(1), durable=True)
    # It is in the file at once: no crash can lose it.
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        ["VI", "L", 1, "notify_backup", False],
        ["VI", "L", 1, "notify", True],
    ]
    assert Ledger(path).read() == (entry(1, "notify_backup", last=False), entry(1))


def test_durable_means_on_the_disk_before_it_returns(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    ledger = Ledger(path)
    ledger.renew()
    monkeypatch.setattr(module.os, "fdatasync", lambda _fd: synced.append(path.read_text()))
    ledger.append(entry(1), durable=False)
    assert synced == []
    ledger.append(entry(2), durable=True)
    assert synced[0].count("\n") == 2


def test_a_torn_last_line_is_a_script_that_was_not_started(path: Path) -> None:
    path.parent.mkdir()
    path.write_text('["VI","L",1,"notify",true]\n["VI","L",2,"no')
    assert Ledger(path).read() == (entry(1),)


@pytest.mark.parametrize(
    "line", ["", "{}", "[1,2,3,4,5]", "nonsense", '["VI","L",true,"notify",true]', "\xff\x00"]
)
def test_lines_that_are_no_entries_are_ignored(path: Path, line: str) -> None:
    path.parent.mkdir()
    path.write_bytes(line.encode("latin-1") + b'\n["VI","L",1,"notify",true]\n')
    assert Ledger(path).read() == (entry(1),)


def test_only_the_newest_transition_of_the_newest_lives_is_kept(path: Path) -> None:
    ledger = Ledger(path)
    ledger.read()
    for life in range(8):
        for number in (1, 2):
            ledger.append(entry(number, life=f"L{life}"), durable=False)
    again = Ledger(path)
    assert again.read() == tuple(entry(2, life=f"L{life}") for life in range(4, 8))
    again.renew()
    assert len(path.read_text().splitlines()) == 4


def test_a_long_run_does_not_grow_the_file_without_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_COMPACT_AFTER", 10)
    ledger = Ledger(path)
    ledger.read()
    for number in range(1, 100):
        ledger.append(entry(number), durable=False)
        assert len(path.read_text().splitlines()) <= 11
    assert Ledger(path).read() == (entry(99),)


def test_a_full_disk_is_an_error_and_the_next_line_is_whole(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(path)
    ledger.renew()
    write = os.write
    monkeypatch.setattr(module.os, "write", lambda fd, data: write(fd, data[:7]))
    with pytest.raises(OSError, match="No space left"):
        ledger.append(entry(1), durable=True)
    monkeypatch.undo()
    ledger.append(entry(1, life="of another"), durable=True)
    assert Ledger(path).read() == (entry(1), entry(1, life="of another")), (
        "what could not be written then is now"
    )


def test_who_starts_while_the_disk_is_full_knows_what_was_done(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R-F37: else all that stands in the histories would be told a second time."""
    before = Ledger(path)
    before.append(entry(1), durable=True)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module.os, "write", full)
    ledger = Ledger(path)
    assert ledger.read() == (entry(1),)
    with pytest.raises(OSError, match="No space left"):
        ledger.append(entry(2), durable=True)
    monkeypatch.undo()
    assert Ledger(path).read() == (entry(1),)
    ledger.renew()
    assert Ledger(path).read() == (entry(2),)


def test_the_file_is_not_followed_through_a_link(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    (tmp_path / "victim").write_text("precious")
    (path.parent / "ledger.new").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic links"):
        Ledger(path).append(entry(1), durable=True)
    assert (tmp_path / "victim").read_text() == "precious"


def test_progress_from_entries() -> None:
    progress = Progress.replay(
        [
            entry(1),
            entry(2, "notify_master", last=False),
            entry(7, "", life="M"),
            entry(8, "notify", last=False, life="M"),
        ]
    )
    assert progress == {
        ("VI", "L"): Progress(known=1, started=frozenset({"notify_master"})),
        ("VI", "M"): Progress(known=7, started=frozenset({"notify"})),
    }


def test_an_unfinished_transition_is_given_up_when_a_later_one_was_begun() -> None:
    entries = [entry(2, "notify_master", last=False), entry(5, "notify_backup", last=False)]
    assert Progress.replay(entries) == {
        ("VI", "L"): Progress(known=4, started=frozenset({"notify_backup"})),
    }


def test_progress_never_goes_back() -> None:
    assert Progress.replay([entry(5), entry(3)]) == {("VI", "L"): Progress(known=5)}
