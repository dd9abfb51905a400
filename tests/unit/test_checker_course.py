"""Verdicts and their times. What is in CAPTURED was recorded from keepalived 2.2.7 with the same targets."""

from __future__ import annotations

import pytest
from checker_play import US, Play, Target, down, failing, http, tcp, up

from keepbus.config.model.checker import Check
from keepbus.contracts.checker import Evidence

TWO, THREE = ("/a", "/b"), ("/a", "/b", "/c")
QUICK = {"retry": 1, "delay_before_retry_us": US}

CAPTURED: dict[str, tuple[Check, Target, str, list[tuple[float, str]]]] = {
    "one page, first failure counts at once, two good answers to return": (
        http("/a", **QUICK),
        failing(1, 2),
        "1a 3a 5a 7a 9a 11a",
        [(1, "down"), (7, "up")],
    ),
    "second page fails: retried, then alone, then all from the first": (
        http(*TWO, **QUICK),
        failing(4, 5, 6, 7),
        "1a 3b 5a 7b 8b 10b 12b 14b 16a 18b 20a 22b",
        [(3, "up"), (8, "down"), (18, "up")],
    ),
    "first start: the second page's first failure counts at once": (
        http(*TWO, retry=2, delay_before_retry_us=US),
        failing(2, 3),
        "1a 3b 5b 7b 9a 11b 13a",
        [(3, "down"), (11, "up")],
    ),
    "each page has its own retries": (
        http(*TWO, **QUICK),
        failing(3, 5),
        "1a 3b 5a 6a 8b 9b 11a 13b",
        [(3, "up")],
    ),
    "on the way back a page is asked for until it is there": (
        http(*TWO, **QUICK),
        failing(1, 4, 5, 6),
        "1a 3a 5a 7b 8b 9b 10b 12a 14b",
        [(1, "down"), (10, "up")],
    ),
    "delay_before_retry longer than delay_loop": (
        http(*TWO, retry=2, delay_before_retry_us=3 * US),
        failing(3, 4, 5, 6, 9, 10),
        "1a 3b 5a 8a 11a 14a 17a 19a 21b 24b 27b 29a",
        [(3, "up"), (11, "down"), (27, "up")],
    ),
    "fast_recovery: no pause between pages before the first verdict and while recovering": (
        http(*THREE, fast_recovery=True, **QUICK),
        failing(1, 2, 8, 9, 10),
        "1a 3a 5a 5a 5b 5c 7a 9b 10b 12b 14b 14a 14b 14c 16a 18b 20c",
        [(1, "down"), (5, "up"), (10, "down"), (14, "up")],
    ),
    "connections: retries while up, none while down": (
        tcp(retry=2, delay_before_retry_us=US),
        failing(4, 5, 6, 7, 8),
        "1a 3a 5a 7a 8a 9a 11a 13a 15a 17a",
        [(1, "up"), (9, "down"), (15, "up")],
    ),
}


@pytest.mark.parametrize("name", CAPTURED)
def test_as_captured_from_keepalived(name: str) -> None:
    check, target, probes, verdicts = CAPTURED[name]
    end = float(probes.rsplit(maxsplit=1)[-1][:-1])
    play = Play(target).configure(check).until(end)
    assert " ".join(f"{at:g}{'abc'[url]}" for at, _, url in play.probes) == probes
    assert play.measured() == verdicts


def test_without_retries_one_failure_is_enough() -> None:
    play = Play(failing(3)).configure(tcp(retry=0)).until(8)
    assert play.verdicts() == [(1, "up"), (5, "down"), (7, "up")]
    assert play.failures() == [(5, 1, 1)]


def test_a_success_between_failures_begins_the_retries_anew() -> None:
    play = Play(failing(2, 4, 6)).configure(tcp(retry=1)).until(20)
    assert play.verdicts() == [(1, "up")]
    assert [attempt for _, attempt, _ in play.failures()] == [1, 1, 1]


def test_failures_are_told_until_the_verdict_falls_and_counted_after_that() -> None:
    play = Play(lambda probe, count: up(probe, count) if count == 1 else down(probe, count))
    play.configure(tcp(retry=2)).until(30)
    assert play.failures() == [(3, 1, 3), (4, 2, 3), (5, 3, 3)]
    last = play.bodies(type(play.published[-1][1]))[-1]
    assert last.failures > 3


def test_fast_recovery_never_asks_a_failing_page_without_pause() -> None:
    """keepalived 2.2.7 does: 8,500 requests in 3 s."""
    for pause_us in (US, 0):
        check = http(*TWO, fast_recovery=True, retry=1, delay_before_retry_us=pause_us)
        play = Play(lambda probe, count: failing(1)(probe, count) if count < 4 else down(probe, count))
        play.configure(check).until(13)
        assert len(play.probes) < 20


def test_evidence_names_the_request_and_the_answer() -> None:
    play = Play(failing(2)).configure(http("/x", "/y", retry=0, http_protocol="1.1")).until(4)
    assert play.published[-1][1].evidence == Evidence(
        sent="GET /y HTTP/1.1", received="failed", took_us=5, at_ns=play.published[-1][1].since_ns
    )
    play = Play().configure(tcp()).until(2)
    assert play.published[-1][1].evidence.sent == "TCP connect"


def test_ipv6_targets_stand_in_brackets() -> None:
    play = Play().configure(tcp(address="2001:db8::1")).until(2)
    assert play.published[-1][1].target == "[2001:db8::1]:80"
