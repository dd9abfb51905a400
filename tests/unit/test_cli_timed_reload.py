"""`reload_time_file` and `reload_repeat`: when a reload comes, and what becomes of the file."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from keepbus.cli.timed_reload import TimedReload, moment

NOON = 1_795_348_800
"""2026-11-22 12:00:00 UTC; 14:00:00 two hours east."""


@pytest.fixture(autouse=True)
def _two_hours_east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "XXX-2")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "after_noon_s", "daily"),
    [
        ("14:00:01", 1, True),
        ("12:00:01Z", 1, True),
        ("14:00:00", 86_400, True),  # now is past: tomorrow
        ("13:59:59", 86_399, True),
        ("11:59:59Z", 86_399, True),
        ("26-11-22 15:30:00", 5_400, False),
        ("2026-11-22 13:30:00Z", 5_400, False),
        ("2026-11-23 14:00:00", 86_400, False),
        ("01:00:00", 11 * 3600, True),
    ],
)
def test_the_moment(text: str, after_noon_s: int, daily: bool) -> None:
    assert moment(text, NOON) == (NOON + after_noon_s, daily)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("2026-11-22 13:59:59", "is over"),
        ("26-11-22 12:00:00Z", "is over"),
        ("25:00:00", "is none of HH:MM:SS"),
        ("tomorrow", "is none of HH:MM:SS"),
        ("", "is none of HH:MM:SS"),
        ("2026-13-22 13:59:59", "is none of HH:MM:SS"),
    ],
)
def test_what_is_no_moment_to_come(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        moment(text, NOON)


class Stage:
    """A run directory, a file with a moment, and what was said."""

    def __init__(self, folder: Path, *, repeats: bool = False) -> None:
        self.file = folder / "when"
        self.folder = folder
        self.said: list[str] = []
        self.configure(1, reload_time_file=str(self.file), **({"reload_repeat": True} if repeats else {}))
        self.timed = TimedReload(folder, self.said.append)

    def configure(self, generation: int, **fields: object) -> None:
        made = self.folder / "config" / str(generation)
        made.mkdir(parents=True)
        (made / "global_defs.json").write_text(json.dumps(fields))
        current = self.folder / "config" / "current"
        current.unlink(missing_ok=True)
        current.symlink_to(str(generation))

    def reloads(self, seconds: range) -> list[int]:
        """Seconds after noon at which a reload is due, looked at twice a second."""
        return [second for second in seconds for half in (0, 0.5) if self.timed.due(NOON + second + half)]


def test_it_reloads_once_and_the_file_goes(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    assert stage.reloads(range(3)) == []
    stage.file.write_text("14:00:09\n")
    assert stage.reloads(range(3, 20)) == [9]
    assert not stage.file.exists()
    assert stage.said == ["a reload comes at 2026-11-22 14:00:09 XXX"]


def test_each_day_if_it_is_to_repeat(tmp_path: Path) -> None:
    stage = Stage(tmp_path, repeats=True)
    stage.file.write_text("14:00:09")
    assert stage.reloads(range(20)) == [9]
    assert stage.reloads(range(86_400, 86_420)) == [86_409]
    assert stage.file.exists()


def test_a_date_never_repeats(tmp_path: Path) -> None:
    stage = Stage(tmp_path, repeats=True)
    stage.file.write_text("2026-11-22 14:00:09")
    assert stage.reloads(range(20)) == [9]
    assert not stage.file.exists()


def test_a_file_that_goes_or_changes_counts_at_once(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.file.write_text("14:00:09")
    assert stage.reloads(range(5)) == []
    stage.file.unlink()
    assert stage.reloads(range(5, 20)) == []
    stage.file.write_text("2026-11-22 14:00:30")
    assert stage.reloads(range(20, 25)) == []
    stage.file.write_text("26-11-22 12:00:40Z")
    assert stage.reloads(range(25, 50)) == [40]


def test_nonsense_is_told_once(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.file.write_text("soon")
    assert stage.reloads(range(20)) == []
    (said,) = stage.said
    assert said.startswith(f"reload_time_file {stage.file} is ignored: `soon` is none of")


def test_a_reload_may_take_it_away_or_name_another_file(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.file.write_text("14:00:09")
    assert stage.reloads(range(5)) == []
    stage.configure(2)
    assert stage.reloads(range(5, 20)) == []
    other = tmp_path / "other"
    other.write_text("14:00:30")
    stage.configure(3, reload_time_file=str(other))
    assert stage.reloads(range(20, 40)) == [30]
    assert stage.file.exists()


def test_a_fifo_in_its_place_holds_up_nobody(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    os.mkfifo(stage.file)
    signal.alarm(20)  # ends a test that waits for a writer
    assert stage.reloads(range(5)) == []
    signal.alarm(0)
    assert stage.said[0].startswith(f"reload_time_file {stage.file} is ignored: `` is none of")


def test_what_stands_in_it_reaches_no_terminal_raw(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.file.write_text("\x1b[2J")
    assert stage.reloads(range(5)) == []
    assert stage.said == [f"reload_time_file {stage.file} is ignored: it holds characters that are no text"]
