"""The first starts are never delayed, a crash loop is more and more, a life begins anew (R-F21)."""

from __future__ import annotations

from pathlib import Path

import pytest

from keepbus.runtime.backoff import Backoff, delay_s


def test_the_delays() -> None:
    assert [delay_s(starts, 0) for starts in range(1, 13)] == [
        0, 0, 0, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30,
    ]  # fmt: skip
    assert delay_s(10_000, 0) == 30
    assert delay_s(4, 1) == pytest.approx(0.15)


def starts(run_dir: Path, count: int) -> list[float]:
    slept: list[float] = []
    for _ in range(count):
        Backoff(run_dir, "vrrp").begin(lambda _: None, sleep=slept.append, jitter=lambda: 0.0)
    return slept


def test_a_crash_loop_waits_and_says_so_once_each_time(tmp_path: Path) -> None:
    (tmp_path / "locks").mkdir()
    said: list[str] = []
    assert starts(tmp_path, 5) == [0.2, 0.4]
    Backoff(tmp_path, "vrrp").begin(said.append, sleep=lambda _: None, jitter=lambda: 0.0)
    assert said == ["died at once 5 times in a row; waits 0.8 s before it starts again"]


def test_a_process_that_lived_begins_anew(tmp_path: Path) -> None:
    (tmp_path / "locks").mkdir()
    starts(tmp_path, 8)
    Backoff(tmp_path, "vrrp").settled()
    assert starts(tmp_path, 3) == []


@pytest.mark.parametrize("content", ["", "nonsense", "\0"])
def test_a_damaged_count_delays_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / "vrrp.starts").write_text(content)
    assert starts(tmp_path, 3) == []


def test_a_directory_that_cannot_be_written_delays_nothing(tmp_path: Path) -> None:
    assert starts(tmp_path / "absent", 9) == []
