"""The live page: when it is drawn, what counts as news, what a short terminal shows."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from keepbus.cli.live import Pace, last_paragraph, learn
from keepbus.cli.screen import fit
from keepbus.contracts import vrrp
from keepbus.contracts.common import Service, Status
from keepbus.contracts.message import Header, Message

BEAT = Service(pid=7, started_ns=1, generation=3, status=Status.READY, detail="fine", progress=1)
STATISTICS = vrrp.Statistics(name="VI_1")
HEADER = Header(1, "d1", "vrrp", "b", 1, 1, 1, 1, "")


def message(body: Any, topic: str = "state/vrrp/service") -> Message:
    return Message(topic, HEADER, body)


def change(body: Any, **fields: Any) -> Any:
    return dataclasses.replace(body, **fields)


def test_the_first_page_waits_for_the_burst_then_one_a_second() -> None:
    pace = Pace(100.0)
    assert pace.due_at_s() == pytest.approx(100.2)
    pace.changed = True  # the burst itself hurries nothing
    assert pace.due_at_s() == pytest.approx(100.2)
    pace.draw(100.2)
    assert pace.due_at_s() == pytest.approx(101.2)


def test_a_change_is_drawn_soon_but_at_most_four_times_a_second() -> None:
    pace = Pace(100.0)
    pace.draw(101.0)
    pace.changed = True
    assert pace.due_at_s() == pytest.approx(101.25)
    pace.draw(101.25)
    assert pace.due_at_s() == pytest.approx(102.25)


@pytest.mark.parametrize(
    ("before", "after", "news"),
    [
        (None, BEAT, True),
        (BEAT, change(BEAT, progress=2), False),
        (BEAT, change(BEAT, status=Status.DEGRADED), True),
        (BEAT, change(BEAT, pid=8), True),
        (BEAT, change(BEAT, generation=4), True),
        (BEAT, None, True),
        (None, None, False),
    ],
)
def test_news(before: Service | None, after: Service | None, news: bool) -> None:
    states = {"state/vrrp/service": message(before)} if before else {}
    assert learn(states, [message(after)]) is news
    assert states == ({"state/vrrp/service": message(after)} if after else {})


def test_counters_are_no_news() -> None:
    topic = "state/vrrp/statistics/VI_1"
    states = {topic: message(STATISTICS, topic)}
    later = message(change(STATISTICS, adverts_sent=9), topic)
    assert learn(states, [later]) is False
    assert states == {topic: later}


def test_a_page_that_fits_is_whole() -> None:
    lines = ["a", "", "all is well"]
    assert fit(lines, 3, 1) == lines


PAGE = [*(f"line {n}" for n in range(20)), "", "2 problems", "  ! first", "  ! second"]


def test_of_a_page_that_is_too_long_the_beginning_and_the_last_paragraph_stay() -> None:
    assert last_paragraph(PAGE) == 3
    shown = fit(PAGE, 10, 3)
    assert shown == [
        *PAGE[:6], "… 15 lines more in a taller terminal", "2 problems", "  ! first", "  ! second",
    ]  # fmt: skip


@pytest.mark.parametrize("rows", range(1, 26))
@pytest.mark.parametrize("tail", [0, 1, 3, 30])
def test_every_height_is_kept(rows: int, tail: int) -> None:
    tail = min(tail, len(PAGE))
    shown = fit(PAGE, rows, tail)
    assert len(shown) == min(rows, len(PAGE))
    assert set(shown) - {each for each in shown if each.startswith("…")} <= set(PAGE)


def test_of_a_long_last_paragraph_the_worst_stays() -> None:
    assert fit(["head", "", "3 problems", "worst", "bad", "less"], 5, 4) == [
        "head", "", "… 2 lines more in a taller terminal", "3 problems", "worst",
    ]  # fmt: skip


def test_a_page_without_paragraphs() -> None:
    assert last_paragraph(["a", "b"]) == 2
    assert last_paragraph([]) == 0
