"""Which script runs next: order, once, late, lost, limits, stopping (N1, N3, R-F11, R-F81)."""

from __future__ import annotations

import pytest
from keepbus_notify.effects import (
    AppendLedger,
    Command,
    Examine,
    LedgerEntry,
    ReadLedger,
    RenewLedger,
    StartScript,
)
from keepbus_notify.events import Examined, LedgerFailed, LedgerWritten, ScriptEnded
from keepbus_notify.machine import RENEW_LEDGER_NS, Machine
from keepbus_notify.scripts import MOST_AT_ONCE, MOST_WAITING
from notify_play import ALL, BACKUP, FAULT, INIT, MASTER, STARTED_WALL_NS, STOP, Play, target

from keepbus.config.model.notify import NotifyKind, NotifySection, NotifyTarget
from keepbus.config.model.scripts import Script
from keepbus.contracts.common import Status
from keepbus.contracts.message import Header, Message
from keepbus.contracts.notify import Notified, ScriptRun
from keepbus.contracts.vrrp import SyncGroup, Transition, VrrpState
from keepbus.runtime.machine import BusMessage, Configured, Log, Publish, Report, Withdraw


def test_at_the_start_the_ledger_is_read_and_the_scripts_are_examined() -> None:
    machine = Machine()
    section = NotifySection(
        targets=(target(notify="/any"),), script_user="carol:staff", enable_script_security=True
    )
    effects = machine.turn(0, [Configured(1, section, 1)])
    assert effects == [
        ReadLedger(),
        Examine((("notify of VI_1", Command(("/any",), "carol", "staff", security=True)),)),
    ]
    again = machine.turn(0, [Configured(2, section, 2)])
    assert [type(effect) for effect in again] == [Examine]


def test_the_script_of_the_state_comes_first_then_the_generic_one_with_its_arguments() -> None:
    play = Play()
    play.heard(BACKUP)
    assert play.started() == [("/b",)]
    play.ended()
    assert play.started() == [("/any", "INSTANCE", "VI_1", "BACKUP", "101")]
    play.ended()
    assert play.started() == []


def test_configured_arguments_and_user_are_kept() -> None:
    script = Script(argv=("/any", "one", "two words"), user="alice", group=":www")
    play = Play(NotifyTarget(name="VI_1", notify=script))
    play.heard(MASTER)
    (start,) = [effect for effect in play.effects if type(effect) is StartScript]
    argv = ("/any", "one", "two words", "INSTANCE", "VI_1", "MASTER", "101")
    assert start.command == Command(argv, "alice", ":www", security=False)


@pytest.mark.parametrize(("state", "script"), [(MASTER, "/m"), (BACKUP, "/b"), (FAULT, "/f"), (STOP, "/s")])
def test_each_state_has_its_script(state: VrrpState, script: str) -> None:
    play = Play()
    play.heard(state)
    assert play.all_ends() == [(script,), ("/any", "INSTANCE", "VI_1", state.value, "101")]


def test_init_is_nothing_to_notify() -> None:
    play = Play()
    play.heard(INIT)
    assert play.started() == []
    play.heard(INIT, BACKUP)
    assert play.started() == [("/b",)]


def test_one_at_a_time_and_in_the_order_of_the_transitions() -> None:
    play = Play(target(notify_master="/m", notify_backup="/b"))
    play.heard(BACKUP, MASTER)
    assert play.started() == [("/b",)]
    play.heard(BACKUP, MASTER, BACKUP)
    assert play.started() == []
    play.ended()
    assert play.started() == [("/m",)]
    play.ended()
    assert play.started() == [("/b",)]


def test_a_repeat_of_a_state_runs_nothing() -> None:
    play = Play()
    play.heard(BACKUP)
    play.all_ends()
    play.heard(BACKUP)
    assert play.effects == []


def test_missed_messages_are_healed_by_the_history() -> None:
    play = Play(target(notify_master="/m", notify_backup="/b", notify_fault="/f"))
    play.heard(BACKUP)
    order = play.all_ends()
    play.heard(BACKUP, MASTER, FAULT, BACKUP)  # the two in between never came
    order += play.all_ends()
    assert order == [("/b",), ("/m",), ("/f",), ("/b",)]
    assert play.machine._scripts.subjects["VI_1"].lost == 0


def test_what_left_the_history_is_counted_as_lost_and_told() -> None:
    play = Play(target(notify_master="/m", notify_backup="/b"))
    play.heard(BACKUP)
    play.all_ends()
    flaps = [BACKUP, *[MASTER, BACKUP] * 10]  # 21 transitions; numbers 6 to 21 are in the history
    play.heard(*flaps)
    assert "4 transitions of VI_1 were lost" in next(e.text for e in play.effects if type(e) is Log)
    assert play.published(Notified)[-1].lost == 4
    assert len(play.all_ends()) == 16


def test_a_new_life_starts_over() -> None:
    play = Play(target(notify_backup="/b"))
    play.heard(BACKUP)
    play.all_ends()
    play.heard(BACKUP, life="L2")
    assert play.started() == [("/b",)]
    assert play.published(Notified)[-1].life == "L2"


def test_the_ledger_entry_comes_right_before_the_start() -> None:
    play = Play()
    play.heard(BACKUP)
    kinds = [type(effect) for effect in play.effects]
    assert kinds.index(AppendLedger) == kinds.index(StartScript) - 1
    assert play.ledger() == [AppendLedger(LedgerEntry("VI_1", "L1", 1, "notify_backup", False), durable=True)]
    play.ended()
    assert play.ledger() == [AppendLedger(LedgerEntry("VI_1", "L1", 1, "notify", True), durable=True)]


def test_after_a_restart_nothing_runs_twice() -> None:
    entries = [
        LedgerEntry("VI_1", "L1", 1, "notify_backup", False),
        LedgerEntry("VI_1", "L1", 1, "notify", True),
    ]
    play = Play(ledger=entries)
    play.heard(BACKUP)
    assert play.started() == []


def test_after_a_restart_the_second_script_of_a_transition_still_runs() -> None:
    play = Play(ledger=[LedgerEntry("VI_1", "L1", 1, "notify_backup", False)])
    play.heard(BACKUP)
    assert play.all_ends() == [("/any", "INSTANCE", "VI_1", "BACKUP", "101")]


def test_after_a_restart_what_was_missed_runs_in_order_and_late() -> None:
    """R-F11."""
    play = Play(
        target(notify_master="/m", notify_backup="/b"),
        ledger=[LedgerEntry("VI_1", "L1", 1, "notify_backup", True)],
    )
    play.heard(BACKUP, MASTER, BACKUP, wall_ns=STARTED_WALL_NS - 1)
    assert play.started() == [("/m",)]
    play.ended()
    assert play.published(ScriptRun)[0].late is True
    assert play.started() == [("/b",)]


def test_a_transition_after_the_start_is_not_late() -> None:
    play = Play(target(notify_backup="/b"))
    play.heard(BACKUP, wall_ns=STARTED_WALL_NS)
    play.ended()
    assert play.published(ScriptRun)[0].late is False


def test_transitions_without_scripts_are_noted_so_that_a_later_script_does_not_run_for_them() -> None:
    play = Play(target(notify_master="/m"))
    play.heard(BACKUP)
    assert play.ledger() == [AppendLedger(LedgerEntry("VI_1", "L1", 1, "", True), durable=False)]
    play.turn(Configured(2, NotifySection(targets=(ALL,)), 3))
    play.heard(BACKUP)
    assert play.started() == []
    play.heard(BACKUP, MASTER)
    assert play.started() == [("/m",)]


def test_an_instance_without_scripts_is_not_on_the_bus() -> None:
    play = Play(target("VI_2", notify="/any"))
    play.heard(BACKUP)
    assert play.published(Notified) == []


def test_instances_do_not_wait_for_each_other() -> None:
    """R-F81."""
    play = Play(
        target("VI_1", notify_backup="/hangs"), target("VI_2", notify_backup="/b", notify_master="/m")
    )
    play.heard(BACKUP, name="VI_1")
    play.heard(BACKUP, name="VI_2")
    assert play.started() == [("/b",)]
    play.ended()
    play.heard(BACKUP, MASTER, name="VI_2")
    assert play.started() == [("/m",)]


def test_so_many_at_once_and_no_more() -> None:
    names = [f"VI_{number}" for number in range(MOST_AT_ONCE + 2)]
    play = Play(*(target(name, notify_backup=f"/{name}") for name in names))
    started = 0
    for name in names:
        play.heard(BACKUP, name=name)
        started += len(play.started())
    assert started == MOST_AT_ONCE
    play.ended(run=1)
    assert play.started() == [(f"/{names[MOST_AT_ONCE]}",)]


def test_a_full_queue_loses_the_oldest_and_delivers_the_newest() -> None:
    """R-F81."""
    play = Play(target(notify_master="/m", notify_backup="/b", notify_fault="/f"))
    states: list[VrrpState] = [BACKUP]
    play.heard(*states)  # this one hangs
    for _ in range(MOST_WAITING):
        states.append(MASTER if states[-1] is BACKUP else BACKUP)
        play.heard(*states)
    assert not any(type(effect) is Log for effect in play.effects)
    play.heard(*states, FAULT)
    assert "1 transitions of VI_1 were lost" in next(e.text for e in play.effects if type(e) is Log)
    assert play.published(Notified)[-1].pending == MOST_WAITING
    assert play.ledger() == [AppendLedger(LedgerEntry("VI_1", "L1", 2, "", True), durable=False)]
    play.ended()
    assert play.started() == [("/b",)]  # transition 3: 2 was given up
    order = play.all_ends()
    assert order[-1] == ("/f",)
    assert len(order) == MOST_WAITING


def test_a_script_that_ended_is_published_with_its_cause() -> None:
    play = Play(target(notify_backup="/b"))
    play.heard(BACKUP)
    play.ended(3, "no such thing")
    (effect,) = [e for e in play.effects if type(e) is Publish and type(e.body) is ScriptRun]
    assert effect.cause == "d1/vrrp/b/1"
    assert effect.body == ScriptRun(
        name="VI_1", life="L1", number=1, state="BACKUP", script="notify_backup", command=("/b",),
        user="nobody", started_ns=5, took_us=7, exit_status=3, timed_out=False, late=False,
        error="no such thing",
    )  # fmt: skip
    (state,) = play.published(Notified)
    assert (state.runs, state.failures, state.last_exit, state.notified) == (1, 1, 3, 1)


def test_what_a_good_script_says_is_no_error() -> None:
    play = Play(target(notify_backup="/b"))
    play.heard(BACKUP)
    play.ended(0, "all fine")
    assert play.published(ScriptRun)[0].error == ""


def test_a_withdrawn_instance_is_forgotten_when_its_scripts_are_through() -> None:
    play = Play(target(notify_backup="/b", notify_stop="/s"))
    play.heard(BACKUP, STOP)
    play.message(None)
    assert not any(type(effect) is Withdraw for effect in play.effects)
    play.ended()
    assert play.started() == [("/s",)]
    play.ended()
    assert play.effects[-1] == Withdraw("state/notify/object/VI_1")
    play.heard(BACKUP, STOP)  # the hub's copy of the same life, once more
    assert play.started() == []


def test_what_it_says_of_itself() -> None:
    play = Play()
    play.turn(Examined((), ()))
    assert play.reported() == [Report(Status.READY, "runs the scripts of VI_1")]
    play.turn(Examined(("notify of VI_1 will not run: x", "y"), ("warned",)))
    assert play.reported() == [Report(Status.DEGRADED, "notify of VI_1 will not run: x (and 1 more)")]
    logged = [(effect.level, effect.text) for effect in play.effects if type(effect) is Log]
    assert logged == [("error", "notify of VI_1 will not run: x"), ("error", "y"), ("warning", "warned")]
    play.turn(Configured(2, NotifySection(), 1))
    play.turn(Examined((), ()))
    assert play.reported() == [Report(Status.IDLE, "the configuration has no notify scripts")]


def test_a_ledger_that_cannot_be_written_degrades_but_stops_no_script() -> None:
    play = Play()
    play.turn(Examined((), ()))
    play.heard(BACKUP)
    assert play.started() == [("/b",)]
    play.turn(LedgerFailed("No space left on device"))
    (report,) = play.reported()
    assert report.status is Status.DEGRADED
    assert "No space left on device" in report.detail
    play.turn(LedgerFailed("No space left on device"))
    assert play.effects == []  # said once
    play.turn(LedgerWritten())
    assert play.reported() == [Report(Status.READY, "runs the scripts of VI_1")]


def test_a_ledger_that_could_not_be_written_is_tried_again_until_it_can() -> None:
    """R-F37: ready again when there is room on the disk, though nothing happens that is to be told."""
    play = Play()
    play.turn(Examined((), ()))
    play.turn(LedgerFailed("No space left on device"))
    for _ in range(3):
        assert play.machine.wake_at_ns() == play.now_ns + RENEW_LEDGER_NS
        assert RenewLedger() not in play.turn(after_ns=RENEW_LEDGER_NS - 1)
        assert play.turn(after_ns=1) == [RenewLedger()]
        play.turn(LedgerFailed("No space left on device"))
    play.turn(LedgerWritten())
    assert play.machine.wake_at_ns() is None


def test_other_topics_are_none_of_its_business() -> None:
    play = Play()
    header = Header(1, "d1", "notify", "old", 1, 1, 1, 1, "")
    body = Notified(
        name="VI_1",
        life="L",
        notified=9,
        pending=0,
        lost=0,
        runs=0,
        failures=0,
        last_command="",
        last_exit=None,
    )
    play.turn(BusMessage(Message("state/notify/object/VI_1", header, body), 1))
    assert play.effects == []


def test_an_end_that_nobody_waits_for_is_ignored() -> None:
    play = Play()
    play.turn(ScriptEnded(99, 0, 0, 0, "", ""))
    assert play.effects == []


def test_a_group_is_told_by_its_own_kind_and_priority_zero_and_is_no_instance_of_its_name() -> None:
    group = NotifyTarget(kind=NotifyKind.GROUP, name="VI_1", notify=Script(argv=("/g",)))
    play = Play(target(notify="/i"), group)
    play.heard(BACKUP)
    assert play.started() == [("/i", "INSTANCE", "VI_1", "BACKUP", "101")]
    step = Transition(number=1, from_state=INIT, to_state=FAULT, at_ns=STARTED_WALL_NS, cause="c")
    body = SyncGroup(
        name="VI_1", members=("VI_1", "VI_2"), life="L1", state=FAULT, transitions=1,
        since_ns=STARTED_WALL_NS, cause="c", history=(step,),
    )  # fmt: skip
    header = Header(1, "d1", "vrrp", "b", 2, 1, 1, 1, "")
    play.turn(BusMessage(Message("state/vrrp/group/VI_1", header, body), 2))
    assert play.started() == [("/g", "GROUP", "VI_1", "FAULT", "0")]
    assert [body.name for body in play.published(Notified)] == ["GROUP VI_1"]
