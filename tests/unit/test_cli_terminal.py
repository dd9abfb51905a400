"""Text for people: what fits, what is clean, what a duration is called."""

from __future__ import annotations

import io
import time

import pytest

from keepbus.cli.terminal import (
    Paint,
    clean,
    clock,
    colour_wanted,
    columns,
    cut,
    duration,
    pad,
    plural,
    table,
    visible,
    wrap,
)

NS = 1_000_000_000


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("duration_ns", "words"),
    [
        (0, "0.0 ms"),
        (400_000, "0.4 ms"),
        (250_000_000, "250 ms"),
        (3_200_000_000, "3.2 s"),
        (59 * NS, "59 s"),
        (125 * NS, "2 min 5 s"),
        (15_000 * NS, "4 h 10 min"),
        (266_400 * NS, "3 d 2 h"),
        (-3_200_000_000, "-3.2 s"),
    ],
)
def test_durations(duration_ns: int, words: str) -> None:
    assert duration(duration_ns) == words


def test_what_a_terminal_would_obey_is_made_harmless() -> None:
    assert clean("\x1b]0;title\x07\x1b[31mred\n") == r"\x1b]0;title\x07\x1b[31mred\n"
    assert clean("Straße → ok") == "Straße → ok"
    assert clean("left\u202eright") == r"left\u202eright"


def test_paint_and_no_paint() -> None:
    assert Paint(True)("x", "red", "bold") == "\x1b[31;1mx\x1b[0m"
    assert Paint(False)("x", "red", "bold") == "x"
    assert Paint(True)("", "red") == ""


def test_colour_only_on_terminals_that_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert colour_wanted(Terminal())
    assert not colour_wanted(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not colour_wanted(Terminal())
    monkeypatch.setenv("NO_COLOR", "")  # empty counts as not set
    assert colour_wanted(Terminal())
    monkeypatch.setenv("TERM", "dumb")
    assert not colour_wanted(Terminal())


def test_what_is_no_terminal_has_no_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    assert columns(io.StringIO()) is None
    assert columns(Terminal()) == 50
    monkeypatch.setenv("COLUMNS", "3")
    assert columns(Terminal()) == 20


@pytest.mark.parametrize("width", range(1, 20))
def test_cut_never_exceeds_the_width_and_ends_its_colours(width: int) -> None:
    text = f"one {Paint(True)('two', 'red')} three"
    result = cut(text, width)
    assert visible(result) == min(width, 13)
    assert result.endswith("\x1b[0m") or visible(text) <= width


def test_cut_leaves_what_fits() -> None:
    assert cut("four", 4) == "four"
    assert cut("fives", 4) == "fiv…"
    assert cut("x" * 1000, None) == "x" * 1000


def test_tables_align_coloured_cells() -> None:
    red = Paint(True)("up", "red")
    lines = table([[red, "x"], ["down", "y"], ["z"]], indent=1)
    assert lines == [f" {red}    x", " down  y", " z"]
    assert table([]) == []


def test_wrap_and_pad() -> None:
    assert wrap("one two three", 9, first="- ", rest="  ") == ["- one two", "  three"]
    assert wrap("one two three", None, first="- ") == ["- one two three"]
    assert wrap("", 9, first="- ") == ["-"]
    assert pad(Paint(True)("x", "red"), 3) == "\x1b[31mx\x1b[0m  "


def test_a_clock_shows_the_date_when_it_is_not_today(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    try:
        now_ns = 1_795_361_366_348_782_000  # 2026-11-22 15:29:26 UTC
        assert clock(now_ns, now_ns) == "15:29:26.348"
        assert clock(now_ns - 86_400 * NS, now_ns) == "2026-11-21 15:29:26.348"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_plurals() -> None:
    assert [plural(0, "message"), plural(1, "message"), plural(2, "address", "addresses")] == [
        "0 messages",
        "1 message",
        "2 addresses",
    ]
