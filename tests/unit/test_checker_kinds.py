"""SMTP, UDP, MISC and FILE checks in the machine: when, what counts, and the weights (features 13.2).

The moments of SMTP_CHECK and MISC_CHECK were also seen with keepalived 2.2.7 and the same targets.
"""

from __future__ import annotations

import pytest
from checker_play import US, Play, down, failing, file, misc, smtp, tcp, up
from keepbus_checker.effects import ForgetCheck
from keepbus_checker.events import Outcome
from keepbus_checker.scripts import judge

from keepbus.config.model.checker import CheckKind, UdpExchange
from keepbus.contracts.checker import Statistics, Verdict
from keepbus.runtime.machine import StopRequested

PASSED, FAILED, LOCAL = Outcome.PASSED, Outcome.FAILED, Outcome.LOCAL
UDP = {"kind": CheckKind.UDP_CHECK}


class TestSmtp:
    def test_a_first_failure_is_not_enough(self) -> None:
        """A cycle begins with no retries used, at the first start, too."""
        play = Play(down).configure(smtp(retry=2)).until(9)
        assert [at for at, _, _ in play.probes] == [1, 2, 3, 5, 6, 7, 9]
        assert play.measured() == [(3, "down")]

    def test_every_cycle_has_its_retries_also_while_down(self) -> None:
        play = Play(failing(1, 2, 3, 4, 5, 7)).configure(smtp(retry=1)).until(12)
        assert [at for at, _, _ in play.probes] == [1, 2, 4, 5, 7, 8, 10, 11]
        assert play.measured() == [(2, "down"), (8, "up")]


class TestUdp:
    def test_without_require_reply_silence_is_success(self) -> None:
        check = tcp(**UDP, udp=UdpExchange(payload="00"), connect_timeout_us=US // 2)
        play = Play(lambda probe, count: None).configure(check).until(4)
        assert play.measured() == [(1.5, "up")]
        evidence = play.last().evidence
        assert evidence is not None
        assert (evidence.sent, evidence.received) == ("UDP datagram of 1 octets", "no error within 0.5 s")
        assert [at for at, _ in play.aborted] == [1.5, 4]

    def test_with_require_reply_it_is_failure(self) -> None:
        check = tcp(**UDP, udp=UdpExchange(require_reply=True), connect_timeout_us=US // 2)
        play = Play(lambda probe, count: None).configure(check).until(2)
        assert play.measured() == [(1.5, "down")]
        assert play.last().evidence.received == "no answer within 0.5 s"  # type: ignore[union-attr]

    def test_an_icmp_error_is_failure_either_way(self) -> None:
        play = Play(down).configure(tcp(**UDP, udp=UdpExchange())).until(2)
        assert play.measured() == [(1, "down")]


class TestMisc:
    def test_runs_are_counted_from_start_to_start(self) -> None:
        play = Play().configure(misc())
        play.until(2.5).script_ends(PASSED).until(7.5).script_ends(PASSED).until(12)
        assert [at for at, _, _ in play.probes] == [1, 6, 11]

    def test_a_run_that_takes_longer_than_the_interval_is_followed_at_once(self) -> None:
        play = Play().configure(misc(timeout_us=60 * US)).until(9.31)
        assert [at for at, _, _ in play.probes] == [1]
        play.script_ends(PASSED).until(9.5)
        assert [at for at, _, _ in play.probes] == [1, 9.32]

    def test_retries_are_counted_from_the_start_too(self) -> None:
        play = Play().configure(misc(retry=1, delay_before_retry_us=3 * US))
        play.until(2).script_ends(PASSED).until(7).script_ends(FAILED).until(8.9)
        assert [at for at, _, _ in play.probes] == [1, 6]
        play.until(9.5).script_ends(FAILED)
        assert [at for at, _, _ in play.probes] == [1, 6, 9]
        assert play.measured() == [(2, "up"), (9.5, "down")]

    def test_r_f44_a_script_that_cannot_be_started_counts_for_nothing(self) -> None:
        play = Play().configure(misc()).until(1.5)
        play.script_ends(Outcome.LOCAL, "resource temporarily unavailable").until(7)
        play.script_ends(Outcome.PASSED).until(12)
        play.script_ends(Outcome.LOCAL, "resource temporarily unavailable").until(16.5)
        assert [verdict for _, verdict in play.measured()] == ["up"]
        assert play.failures() == []
        assert play.bodies(Statistics)[-1].local_errors == {"resource temporarily unavailable": 2}

    def test_r_f80_a_script_over_its_time_fails_at_once_and_is_ended(self) -> None:
        play = Play().configure(misc(timeout_us=2 * US)).until(2.99)
        assert play.signalled == []
        play.until(3)
        (probe,) = play.running
        assert play.signalled == [(3, probe, False)]
        assert play.measured() == [(3, "down")]
        assert play.last().evidence.received == "not ended within 2 s"  # type: ignore[union-attr]
        play.until(4).script_ends(FAILED, "ended by SIGTERM")
        assert play.last().failures == 1, "counted once"
        play.until(6)
        assert [at for at, _, _ in play.probes] == [1, 6]

    def test_r_f80_a_script_that_ignores_sigterm_is_killed_and_waited_for(self) -> None:
        play = Play().configure(misc(timeout_us=2 * US)).until(30)
        (probe,) = play.running
        assert play.signalled == [(3, probe, False), (5, probe, True), (15, probe, True), (25, probe, True)]
        assert len(play.probes) == 1, "never two at a time"
        assert play.last().failures == 1
        play.script_ends(FAILED).until(30.1)
        assert len(play.probes) == 2

    def test_success_after_the_time_is_none(self) -> None:
        play = Play().configure(misc(timeout_us=2 * US)).until(3.5).script_ends(PASSED)
        assert play.measured() == [(3, "down")]

    def test_a_removed_check_kills_its_script(self) -> None:
        play = Play().configure(misc(), tcp("other")).until(2)
        (probe,) = play.running
        play.configure(tcp("other"))
        assert play.signalled == [(2, probe, True)]
        assert ForgetCheck("one") in play.others
        play.script_ends(FAILED)
        assert play.measured("one") == []

    def test_stopping_leaves_no_script_behind(self) -> None:
        play = Play().configure(misc()).until(2)
        (probe,) = play.running
        play.feed(StopRequested(play.wall_ns))
        assert play.signalled == [(2, probe, True)]

    def test_a_script_that_cannot_be_run_is_no_failure_of_the_server(self) -> None:
        play = Play().configure(misc()).until(1).script_ends(LOCAL, "/bin/check cannot be run").until(7)
        assert play.measured() == []
        assert [at for at, _, _ in play.probes] == [1, 6]
        assert play.bodies(Statistics, "one")[-1].local_errors == {"/bin/check cannot be run": 1}

    def test_weights_are_told_at_once_and_0_restores(self) -> None:
        play = Play().configure(misc(dynamic=True, delay_loop_us=US))
        seen = []
        for status, weight in [
            (PASSED, 8),
            (PASSED, 8),
            (PASSED, 3),
            (FAILED, None),
            (PASSED, 3),
            (PASSED, None),
        ]:
            play.until(play.seconds + 1)
            before = len(play.published)
            play.script_ends(status, weight=weight)
            told = [body for _, body in play.published[before:] if hasattr(body, "verdict")]
            seen.append([(body.verdict.value, body.weight) for body in told])
        assert seen == [
            [("up", 8)], [], [("up", 3)], [("down", 3)], [("up", 3)], [("up", None)],
        ]  # fmt: skip

    def test_the_weight_outlives_a_restart(self) -> None:
        first = Play().configure(misc(dynamic=True)).until(1).script_ends(PASSED, weight=40)
        second = Play().configure(misc(dynamic=True)).hear(first.last()).until(0.5)
        assert (second.last().verdict, second.last().weight) == (Verdict.UP, 40)

    @pytest.mark.parametrize(
        ("status", "dynamic", "judgement"),
        [
            (0, False, (True, "exit status 0", None)),
            (0, True, (True, "exit status 0", None)),
            (1, False, (False, "exit status 1", None)),
            (1, True, (False, "exit status 1", None)),
            (2, False, (False, "exit status 2", None)),
            (2, True, (True, "exit status 2, weight 0", 0)),
            (255, True, (True, "exit status 255, weight 253", 253)),
            (255, False, (False, "exit status 255", None)),
            (-9, True, (False, "ended by SIGKILL", None)),
            (-63, True, (False, "ended by signal 63", None)),
        ],
    )
    def test_exit_statuses(self, status: int, dynamic: bool, judgement: tuple[bool, str, int | None]) -> None:
        assert judge(status, dynamic=dynamic) == judgement


class TestFile:
    def test_it_is_read_and_never_polled(self) -> None:
        play = Play(up).configure(file()).reads(5).until(600)
        assert play.watched == ["one"]
        assert play.probes == []
        assert play.measured() == [(0, "up")]

    @pytest.mark.parametrize(
        ("weight", "reverse", "value", "verdict", "added"),
        [
            (0, False, 0, "up", 0),
            (0, False, 1, "down", 0),
            (0, False, -1, "down", 0),
            (0, True, 0, "down", 0),
            (0, True, 1, "up", 0),
            (1, False, 0, "up", 0),
            (1, False, -7, "up", -7),
            (3, False, 5, "up", 15),
            (3, True, 5, "up", -15),
            (-3, True, 5, "up", 15),
            (2147483647, False, 2147483647, "up", 2147483647),
            (1, False, -2147483647, "up", -2147483647),
            (1, False, -2147483648, "down", -2147483648),
            (2147483647, True, 2147483647, "down", -2147483648),
        ],
    )
    def test_value_times_weight(
        self, weight: int, reverse: bool, value: int, verdict: str, added: int
    ) -> None:
        told = Play().configure(file(weight=weight, reverse=reverse)).reads(value).last()
        assert (told.verdict, told.weight_added) == (verdict, added)

    def test_a_change_is_told_at_once(self) -> None:
        play = Play().configure(file(weight=2)).reads(1).until(3).reads(4)
        assert [(at, body.weight_added) for at, body in play.published if hasattr(body, "weight_added")] == [
            (0, 2), (3, 8),
        ]  # fmt: skip
        assert play.last().evidence.received == "value 4"  # type: ignore[union-attr]

    def test_a_number_out_of_range_leaves_the_value(self) -> None:
        play = Play().configure(file(weight=2)).reads(3).reads(None)
        assert play.last().weight_added == 6
        assert Play().configure(file(weight=2)).reads(None).last().weight_added == 0

    def test_a_file_that_cannot_be_read_changes_nothing(self) -> None:
        play = Play().configure(file(weight=0)).reads(None, "/run/load cannot be read").until(5)
        assert play.measured() == []
        play.reads(1).reads(None, "/run/load cannot be read")
        assert play.measured() == [(5, "down")]

    def test_what_is_read_after_its_removal_is_nothing(self) -> None:
        play = Play().configure(file(), tcp("other")).configure(tcp("other"))
        assert ForgetCheck("one") in play.others
        assert play.reads(1).measured() == []
