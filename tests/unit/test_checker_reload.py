"""What a reload leaves of what checker knows."""

from __future__ import annotations

from dataclasses import replace

from checker_play import US, Play, down, http, tcp

from keepbus.contracts.checker import CheckVerdict, Verdict


def test_a_reload_that_changes_only_the_schedule_keeps_what_is_known() -> None:
    """The id of a check comes from all of it: this is another check of the same."""
    play = Play(down).configure(tcp("old", retry=0)).until(2)
    known = play.bodies(CheckVerdict, "old")[-1]
    play.configure(tcp("new", retry=3, delay_loop_us=7 * US, connect_timeout_us=US))
    assert play.bodies(CheckVerdict, "new") == [replace(known, check="new")]
    assert play.reports[-1].detail == "1 check of 1 target: 0 up, 1 down, 0 unknown"
    play.until(20)
    assert play.measured("new") == [(2, "down")]
    assert play.failures("new") == [], "failures of what is down already are only counted"


def test_a_reload_that_changes_what_is_measured_begins_anew() -> None:
    play = Play().configure(http("/a", name="old")).until(2).configure(http("/b", name="new")).until(2.1)
    assert all(told.verdict is Verdict.UNKNOWN for told in play.bodies(CheckVerdict, "new"))
    assert play.reports[-1].detail == "1 check of 1 target: 0 up, 0 down, 1 unknown"
