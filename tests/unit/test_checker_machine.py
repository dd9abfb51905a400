"""checker's machine: schedule, deadlines, limits, what it tells, reload and restart."""

from __future__ import annotations

from dataclasses import replace

import pytest
from checker_play import US, Play, S, down, failing, http, tcp, up
from keepbus_checker.effects import ForgetCheck, StartProbe
from keepbus_checker.events import Outcome, ProbeEnded, ProbesAdvanced, ProbesPassed

from keepbus.config.model.checker import Check
from keepbus.contracts.checker import CheckVerdict, Evidence, ProbeFailed, Statistics, Verdict
from keepbus.contracts.common import Status
from keepbus.runtime.machine import Exit, Log, StopRequested


def never(_probe: StartProbe, _count: int) -> Outcome | None:
    return None


def local(_probe: StartProbe, _count: int) -> Outcome | None:
    return Outcome.LOCAL


def many(number: int, **settings: object) -> list[Check]:
    return [tcp(f"c{index}", address=f"192.0.2.{index % 250}", **settings) for index in range(number)]


# Schedule


def test_the_first_run_comes_one_second_after_the_start() -> None:
    assert Play().configure(tcp()).until(1).probes == [(1, "one", 0)]


def test_warmup_spreads_the_first_runs_evenly_and_the_seed_decides() -> None:
    def starts(seed: int) -> list[float]:
        play = Play(seed=seed).configure(*many(1000, warmup_us=60 * US, delay_loop_us=600 * US)).until(61.1)
        return [at for at, _, _ in play.probes]

    first = starts(1)
    assert len(first) == 1000
    assert min(first) >= 1
    assert max(first) <= 61.1
    tenths = [sum(1 + 6 * tenth <= at < 7 + 6 * tenth for at in first) for tenth in range(10)]
    assert min(tenths) > 50, tenths
    assert starts(1) == first
    assert starts(2) != first


def test_a_stall_does_not_make_up_for_missed_runs() -> None:
    play = Play().configure(tcp()).until(1)
    play.now_ns += 100 * S
    play.feed()
    assert [at for at, _, _ in play.probes] == [1, 101]
    play.until(104)
    assert [at for at, _, _ in play.probes] == [1, 101, 103]


def test_late_starts_are_counted() -> None:
    play = Play().configure(tcp()).until(1)
    play.now_ns += 2 * S + S // 10
    play.feed()
    play.now_ns += 2 * S + 3 * S // 10
    play.feed()
    play.until(20)
    assert play.bodies(Statistics)[-1].late == 1


def test_no_more_probes_are_open_than_allowed_and_the_others_wait_in_order() -> None:
    play = Play(never, most_open=3).configure(*many(5, connect_timeout_us=20 * US)).until(5)
    assert [name for _, name, _ in play.probes] == ["c0", "c1", "c2"]
    play.end(1, Outcome.PASSED)
    assert play.probes[-1] == (5, "c3", 0)
    play.until(30)
    assert len(play.open) == 3
    assert play.probes[4][1] == "c4"


def test_a_burst_of_starts_is_cut_into_turns() -> None:
    """10,000 checks due at once (R-F77): no turn keeps the sockets waiting for long."""
    play = Play(never, most_open=100_000).configure(*many(10_000))
    play.now_ns += S
    play.feed()
    assert 0 < len(play.probes) <= 100
    play.until(1.1)
    assert len(play.probes) == 10_000


def test_a_pause_shorter_than_a_slot_is_still_a_pause() -> None:
    play = Play().configure(tcp(delay_loop_us=1)).until(2)
    assert len(play.probes) <= 51


def test_checks_come_as_often_as_configured_although_starts_are_gathered() -> None:
    play = Play().configure(*many(100, delay_loop_us=US, warmup_us=US)).until(102)
    assert 9_900 <= len(play.probes) <= 10_200


def test_what_is_left_of_a_burst_was_due_when_it_was_due() -> None:
    """The loop measures its lateness by this moment."""
    play = Play(never, most_open=100_000).configure(*many(200))
    due_at_ns = play.now_ns + S
    play.now_ns = due_at_ns
    play.feed()
    assert 0 < len(play.probes) < 200
    assert play.machine.wake_at_ns() == due_at_ns


def test_connections_told_together_count_as_if_each_were_told_by_itself() -> None:
    """Failures of some in between, so that retries, verdicts and evidence move as well."""

    def told(gathers: bool) -> list[object]:
        play = Play(failing(4, 5, 9, 10, 11, 12))
        play.gathers = gathers
        settings = {"retry": 2, "warmup_us": US, "delay_loop_us": US}
        pages = http("/", name="page", **settings), http("/a", "/b", name="pages", **settings)
        play.configure(*many(40, **settings), *pages).until(60)
        # Within a moment the order is nobody's concern.
        return [sorted(play.probes), sorted(map(repr, play.published))]

    assert told(gathers=True) == told(gathers=False)


def test_connections_told_together_begin_the_retries_anew() -> None:
    """Also while the verdict waits for being told again: every second probe fails, never two in a row."""
    play = Play(failing(2, 4, 6, 8))
    play.gathers = True
    play.configure(tcp(retry=1, delay_loop_us=500_000, delay_before_retry_us=500_000)).until(6)
    assert len(play.probes) > 8
    assert play.measured() == [(1.0, "up")]


def test_a_connection_told_with_others_is_evidence() -> None:
    play = Play()
    play.gathers = True
    play.configure(tcp()).until(20)
    last = play.bodies(CheckVerdict)[-1]
    assert last.probes > 1
    assert last.evidence == replace(
        EVIDENCE, received="passed", took_us=5, at_ns=play.wall_ns - 20 * S + last.probes * 2 * S - S
    )


def test_connections_told_together_may_hold_one_that_was_given_up() -> None:
    play = Play(never).configure(tcp("a"), tcp("b")).until(2.5)
    play.configure(tcp("b"))
    play.feed(ProbesPassed([(1, 5, "connected"), (2, 5, "connected")], play.wall_ns)).until(2.6)
    assert play.measured("a") == []
    assert play.measured("b") == [(2.5, "up")]


# Deadlines


def test_a_probe_that_does_not_end_is_aborted_at_its_deadline_and_failed() -> None:
    play = Play(never).configure(tcp(connect_timeout_us=2_500_000)).until(4)
    assert play.aborted == [(3.5, 1)]
    assert play.measured() == [(3.5, "down")]
    [failure] = play.bodies(ProbeFailed)
    assert failure.evidence.received == "no connection within 2.5 s"
    assert failure.evidence.took_us == 2_500_000


def test_each_step_has_connect_timeout_anew() -> None:
    play = Play(never).configure(tcp()).until(2.5)
    play.feed(ProbesAdvanced([1], "answer")).until(4.4)
    assert play.aborted == []
    play.feed(ProbesAdvanced([1], "more")).until(6.3)
    assert play.aborted == []
    play.until(6.5)
    assert play.aborted == [(6.4, 1)]
    assert play.bodies(ProbeFailed)[0].evidence.received == "nothing more of the answer within 2 s"


def test_all_steps_together_have_ten_times_connect_timeout() -> None:
    """R-F78: an octet a second would go on for ever otherwise."""
    play = Play(never).configure(tcp()).until(1)
    while not play.aborted:
        play.feed(ProbesAdvanced([1], "more")).until(play.seconds + 1)
        assert play.seconds < 100
    assert play.aborted == [(21, 1)]
    assert play.bodies(ProbeFailed)[0].evidence.received == "answer not complete within 20 s"


def test_an_end_after_the_abort_is_nothing() -> None:
    play = Play(never).configure(tcp()).until(3.5)
    told = len(play.published)
    play.feed(ProbeEnded(1, Outcome.PASSED, "", 5, play.wall_ns), ProbesAdvanced([1], "more"))
    assert len(play.published) == told
    assert play.measured() == [(3, "down")]


def test_deadlines_that_were_met_do_not_pile_up() -> None:
    play = Play().configure(tcp(delay_loop_us=1000, connect_timeout_us=3600 * US)).until(20)
    assert len(play.probes) > 900
    assert len(play.machine._schedule.deadlines) == 1
    assert len(play.machine._schedule.starts) == 1


# Failures of this host


def test_a_failure_of_this_host_changes_no_verdict_and_uses_no_retry() -> None:
    play = Play(lambda probe, count: Outcome.PASSED if count == 1 else Outcome.LOCAL)
    play.configure(tcp(retry=0)).until(20)
    assert play.verdicts() == [(1, "up")]
    assert play.failures() == []
    assert [at for at, _, _ in play.probes][:4] == [1, 3, 5, 7]
    statistics = play.bodies(Statistics)[-1]
    assert (statistics.probes, statistics.failures, statistics.local_errors) == (1, 0, {"local": 9})
    assert len([effect for effect in play.others if isinstance(effect, Log) and effect.level == "error"]) == 1


# What it tells


def test_a_change_is_told_at_once_and_what_stays_only_now_and_then() -> None:
    play = Play(failing(20)).configure(tcp(delay_loop_us=100_000, retry=0)).until(60)
    told = [at for at, body in play.published if isinstance(body, CheckVerdict)]
    changed = [at for at, _ in play.verdicts()]
    assert changed == [1, 2.9, 3]
    assert set(changed) <= set(told)
    assert len(told) < 60 / 5 + 3


def test_all_verdicts_together_stay_under_fifty_messages_a_second() -> None:
    play = Play().configure(*many(1500, delay_loop_us=US, warmup_us=US)).until(12)
    told = [at for at, body in play.published if isinstance(body, CheckVerdict)]
    for second in range(3, 12):
        assert sum(second <= at < second + 1 for at in told) <= 55


def test_changes_count_and_since_is_the_moment_of_the_change() -> None:
    play = Play(failing(3)).configure(tcp(retry=0)).until(20)
    first = play.wall_ns - 20 * S
    changes = {
        (body.verdict, body.changes, (body.since_ns - first) / S) for body in play.bodies(CheckVerdict)
    }
    assert changes == {(Verdict.UP, 1, 1), (Verdict.DOWN, 2, 5), (Verdict.UP, 3, 7)}


def test_what_was_never_measured_is_told_as_unknown_after_a_while() -> None:
    play = Play(never).configure(tcp(connect_timeout_us=30 * US)).until(10)
    assert play.verdicts() == [(1.5, "unknown")]


def test_it_reports_how_many_are_up() -> None:
    play = Play(lambda probe, _count: {"a": Outcome.PASSED, "b": Outcome.FAILED}.get(probe.check.id))
    play.configure(tcp("a"), tcp("b"), tcp("c", port=81)).until(2)
    assert play.reports[0] == (Status.READY, "3 checks of 2 targets: 0 up, 0 down, 3 unknown")
    assert play.reports[-1] == (Status.READY, "3 checks of 2 targets: 1 up, 1 down, 1 unknown")


def test_without_checks_it_sleeps() -> None:
    play = Play().configure()
    assert play.reports == [(Status.IDLE, "no checks configured")]
    assert play.machine.wake_at_ns() is None


def test_statistics_are_told_every_few_seconds_when_they_changed() -> None:
    play = Play(failing(1)).configure(tcp(delay_loop_us=20 * US)).until(19)
    assert play.bodies(Statistics) == [Statistics(checks=1, probes=1, failures=1)]


# Reload


def test_a_reload_keeps_what_did_not_change() -> None:
    kept = tcp("kept", retry=3)
    play = (
        Play(lambda probe, count: up(probe, count) if count == 1 else down(probe, count))
        .configure(kept)
        .until(4)
    )
    play.configure(kept, tcp("new")).until(6)
    kept_runs = [at for at, name, _ in play.probes if name == "kept"]
    assert kept_runs == [1, 3, 4, 5, 6], "schedule and retries went on"
    assert play.failures("kept") == [(3, 1, 4), (4, 2, 4), (5, 3, 4), (6, 4, 4)]
    assert next(at for at, name, _ in play.probes if name == "new") == 5


def test_a_reload_withdraws_what_is_gone_and_aborts_its_probe() -> None:
    play = Play(never).configure(tcp("kept"), tcp("gone")).until(1.6).configure(tcp("kept"))
    assert play.withdrawn == ["state/checker/verdict/gone"]
    assert ForgetCheck("gone") in play.others
    assert [check.check.id for check in play.open.values()] == ["kept"]
    play.until(30)
    assert {name for at, name, _ in play.probes if at > 2} == {"kept"}
    assert all(at < 2 for at, body in play.published if getattr(body, "check", "") == "gone")


def test_a_new_check_at_a_reload_has_all_its_retries() -> None:
    play = Play(down).configure().until(5)
    play.configure(tcp(retry=2)).until(20)
    assert play.failures() == [(6, 1, 3), (7, 2, 3), (8, 3, 3)]
    assert play.verdicts()[-1] == (8, "down")


def test_a_check_whose_settings_changed_under_its_name_starts_anew() -> None:
    play = Play().configure(tcp()).until(2)
    play.configure(tcp(port=81)).until(10)
    assert play.withdrawn == []
    assert play.bodies(CheckVerdict)[-1].target == "192.0.2.1:81"
    assert play.bodies(CheckVerdict)[-1].changes == 1


def test_a_topic_key_is_quoted_in_a_withdrawal_as_in_a_publication() -> None:
    name = "HTTP_GET:[2001:db8::1]:80#1a/b c"
    play = Play().configure(tcp(name)).until(2).configure()
    assert play.withdrawn == ["state/checker/verdict/HTTP_GET:[2001:db8::1]:80%231a%2Fb%20c"]


# Restart

EVIDENCE = Evidence(sent="TCP connect", received="connected", took_us=9, at_ns=77)


def earlier(verdict: Verdict, name: str = "one") -> CheckVerdict:
    return CheckVerdict(
        check=name,
        kind="TCP_CHECK",
        target="192.0.2.1:80",
        verdict=verdict,
        changes=7,
        since_ns=66,
        probes=100,
        failures=50,
        evidence=EVIDENCE,
    )


@pytest.mark.parametrize("verdict", [Verdict.UP, Verdict.DOWN])
def test_a_predecessors_verdict_is_gone_on_with(verdict: Verdict) -> None:
    play = Play(up if verdict is Verdict.UP else down).configure(tcp()).hear(earlier(verdict))
    assert play.published == [(0, earlier(verdict))], "said again as its own, at once"
    play.until(30)
    assert play.verdicts() == [(0, verdict.value)]
    last = play.bodies(CheckVerdict)[-1]
    assert (last.changes, last.since_ns) == (7, 66)
    assert last.probes > 100
    assert last.evidence != EVIDENCE


def test_a_failure_after_a_restart_is_retried_first() -> None:
    play = Play(down).configure(tcp(retry=2)).hear(earlier(Verdict.UP)).until(10)
    assert play.failures() == [(1, 1, 3), (2, 2, 3), (3, 3, 3)]
    assert play.bodies(CheckVerdict)[-1].changes == 8


def test_a_predecessors_verdict_is_heard_late_but_not_after_a_probe() -> None:
    play = Play(never).configure(tcp(connect_timeout_us=30 * US)).until(8).hear(earlier(Verdict.UP))
    assert play.verdicts() == [(1.5, "unknown"), (8, "up")]
    play = Play().configure(tcp()).until(2).hear(earlier(Verdict.DOWN)).until(10)
    assert play.verdicts() == [(1, "up")]


def test_verdicts_of_checks_that_are_not_configured_are_left_alone() -> None:
    play = Play().configure(tcp()).hear(earlier(Verdict.DOWN, "other"))
    assert play.published == []


def test_the_counts_follow_an_adopted_verdict() -> None:
    play = Play(never).configure(tcp()).hear(earlier(Verdict.DOWN)).until(0.6)
    assert play.reports[-1].detail == "1 check of 1 target: 0 up, 1 down, 0 unknown"


# End


def test_a_stop_gives_the_descriptors_back_and_leaves_the_verdicts() -> None:
    play = Play(never).configure(tcp("a"), tcp("b")).until(1)
    play.feed(StopRequested(play.wall_ns))
    assert play.open == {}
    assert play.withdrawn == []
    assert play.others[-1] == Exit()
    assert play.machine.wake_at_ns() is None


def test_equal_inputs_give_equal_effects() -> None:
    def run() -> list[object]:
        play = Play(failing(2, 3)).configure(*many(50, warmup_us=5 * US)).until(30)
        return [play.probes, play.published]

    assert run() == run()


def test_the_evidence_is_that_of_the_last_probe() -> None:
    play = Play(never).configure(tcp()).until(1)
    play.end(1, Outcome.FAILED, "connection refused")
    assert play.bodies(ProbeFailed)[0].evidence == replace(
        EVIDENCE, received="connection refused", took_us=5, at_ns=play.wall_ns
    )
