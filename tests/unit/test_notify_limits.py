"""How long a script may take, and what is left to do when the node stops (R-F80)."""

from __future__ import annotations

from keepbus_notify.effects import EndScript
from keepbus_notify.machine import (
    DEFAULT_TIME_LIMIT_NS,
    STOP_EXIT_NS,
    STOP_KILL_NS,
    STOP_READ_NS,
    STOP_SCRIPTS_NS,
)
from keepbus_notify.scripts import KILL_AFTER_NS
from notify_play import BACKUP, MASTER, STOP, Play, target

from keepbus.contracts.notify import ScriptRun
from keepbus.runtime.machine import Exit, StopRequested


def test_over_the_time_limit_first_asked_then_killed() -> None:
    play = Play(target(notify_backup="/b", notify_master="/m"))
    play.heard(BACKUP, MASTER)
    assert play.machine.wake_at_ns() == play.now_ns + DEFAULT_TIME_LIMIT_NS
    play.turn(after_ns=DEFAULT_TIME_LIMIT_NS - 1)
    assert play.effects == []
    play.turn(after_ns=1)
    assert EndScript(1, forced=False) in play.effects
    assert play.machine.wake_at_ns() == play.now_ns + KILL_AFTER_NS
    play.turn(after_ns=KILL_AFTER_NS)
    assert play.effects == [EndScript(1, forced=True)]
    assert play.machine.wake_at_ns() is None
    play.ended(-9)
    assert play.published(ScriptRun)[0].timed_out is True
    assert play.started() == [("/m",)]


def test_without_a_time_limit_nothing_is_due() -> None:
    play = Play(limit_ns=0)
    play.heard(BACKUP)
    assert play.machine.wake_at_ns() is None


def test_at_the_end_it_listens_a_moment_for_the_last_transition() -> None:
    play = Play(target(notify_stop="/s"))
    play.heard(MASTER)
    play.turn(StopRequested(1))
    assert not any(type(effect) is Exit for effect in play.effects)
    assert play.machine.wake_at_ns() == play.now_ns + STOP_READ_NS
    play.turn(after_ns=STOP_READ_NS // 2)
    play.heard(MASTER, STOP)
    assert play.started() == [("/s",)]
    play.turn(after_ns=STOP_READ_NS)
    assert not any(type(effect) is Exit for effect in play.effects)
    play.ended()
    assert play.effects[-1] == Exit()


def test_at_the_end_with_nothing_to_do_it_goes_after_that_moment() -> None:
    play = Play()
    play.turn(StopRequested(1))
    play.turn(after_ns=STOP_READ_NS)
    assert play.effects == [Exit()]


def test_at_the_end_a_script_gets_one_second() -> None:
    play = Play(target(notify_master="/m", notify_stop="/s"))
    play.heard(MASTER, STOP)
    play.turn(StopRequested(1))
    stop_ns = play.now_ns
    play.turn(after_ns=STOP_SCRIPTS_NS)
    assert play.effects == [EndScript(1, forced=False)]
    play.now_ns = stop_ns
    play.turn(after_ns=STOP_KILL_NS)
    assert play.effects == [EndScript(1, forced=True)]
    play.ended(-9)
    assert play.started() == []  # its time is over; the ledger knows that it was not started
    assert play.effects[-1] == Exit()


def test_at_the_end_nothing_is_started_once_the_scripts_had_their_second() -> None:
    play = Play()
    play.heard(MASTER)
    play.turn(StopRequested(1))
    play.turn(after_ns=STOP_SCRIPTS_NS)
    play.ended()
    play.heard(MASTER, STOP)
    assert play.started() == []


def test_at_the_end_nothing_is_waited_for_longer_than_that() -> None:
    play = Play()
    play.heard(MASTER)
    play.turn(StopRequested(1))
    play.turn(after_ns=STOP_EXIT_NS)
    assert play.effects == [EndScript(1, forced=False), EndScript(1, forced=True), Exit()]


def test_a_second_request_to_stop_is_obeyed_at_once() -> None:
    play = Play()
    play.heard(MASTER)
    play.turn(StopRequested(1))
    play.turn(StopRequested(2))
    assert play.effects[-1] == Exit()
