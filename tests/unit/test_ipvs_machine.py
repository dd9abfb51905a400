"""The ipvs machine: start, driver, verdicts, drift, errors."""

from __future__ import annotations

import itertools

import pytest
from ipvs_pair import FOREIGN, KEY, PAIR, A, B, S, started
from ipvs_play import SECOND, WALL_NS, Play, check_of, real, verdict_message, virtual
from keepbus_ipvs.effects import Open, ReadTable, Remember, Write
from keepbus_ipvs.events import Opened, Written
from keepbus_ipvs.pool import pool_of

from keepbus.contracts import ipvs as contract
from keepbus.contracts.checker import Verdict
from keepbus.contracts.common import Status
from keepbus.runtime.machine import BusMessage, Log, Publish


def is_change(effect: object) -> bool:
    return isinstance(effect, Publish) and isinstance(effect.body, contract.Changed)


class TestStart:
    def test_first_start_enters_all_servers_at_once(self) -> None:
        play = started()
        assert play.take() == [
            f"-A {S} -s rr",
            f"-a {S} -r 172.16.1.3:80 -g -w 1",
            f"-a {S} -r 172.16.1.4:80 -g -w 2",
        ]
        assert play.status is not None
        assert play.status.status is Status.READY

    def test_key_is_remembered_before_it_is_written(self) -> None:
        kinds = [type(effect) for effect in started().effects]
        assert kinds.index(Remember) < kinds.index(Write)

    def test_without_virtual_servers_it_is_idle_and_asks_for_no_driver(self) -> None:
        play = Play()
        play.configure()
        assert play.status is not None
        assert (play.status.status, play.status.detail) == (Status.IDLE, "no virtual servers configured")
        assert play.of(Open) == []
        assert play.machine.wake_at_ns() is None

    def test_service_that_is_already_there_is_adopted_by_its_key(self) -> None:
        pool = pool_of(PAIR)
        pool.evaluate({}, WALL_NS)
        play = started(table=pool.entries())
        assert play.take() == []
        play.stop()
        assert play.table == {}

    def test_state_tells_each_server_and_why(self) -> None:
        (state,) = started().told(contract.VirtualServer)
        assert state.name == "[172.16.1.254]:tcp:80"
        assert [(server.address, server.weight, server.in_table) for server in state.real_servers] == [
            ("172.16.1.3:80", 1, True),
            ("172.16.1.4:80", 2, True),
        ]
        assert state.real_servers[0].reason == "not checked yet, up until then"

    def test_virtual_server_that_is_defined_twice_counts_once(self) -> None:
        play = started(PAIR, virtual(real(A), scheduler="wlc"))
        assert play.take()[0] == f"-A {S} -s rr"
        assert any("defined twice" in log.text for log in play.of(Log))


class TestDriver:
    def test_no_driver_is_degraded_and_heals_by_itself(self) -> None:
        play = Play()
        play.driver = Opened("", "this kernel has no ip_vs: load it with `modprobe ip_vs`")
        play.configure(PAIR)
        assert play.status is not None
        assert play.status.status is Status.DEGRADED
        assert "modprobe ip_vs" in play.status.detail
        assert play.told(contract.VirtualServer)[-1].error == play.driver.detail
        play.driver = Opened("ipvs", "")
        play.wait(6)
        assert len(play.take()) == 3
        assert play.status.status is Status.READY

    def test_fallback_is_said_once_in_the_log_and_stays_in_the_status(self) -> None:
        play = Play()
        play.driver = Opened("nftables", "this kernel has no ip_vs; NAT through nftables stands in")
        play.configure(virtual(real(A)))
        assert [log.text for log in play.of(Log) if log.level == "warning"] == [play.driver.detail]

    def test_what_the_driver_cannot_do_is_not_written_and_told(self) -> None:
        play = Play()
        play.driver = Opened("nftables", "")
        play.configure(PAIR)
        assert play.take() == []
        error = play.told(contract.VirtualServer)[-1].error
        assert error == "the nftables driver has no DR; use lb_kind NAT or the ipvs driver"
        assert play.status is not None
        assert play.status.status is Status.DEGRADED

    def test_r_f47_unreadable_table_is_degraded_and_heals_by_itself(self) -> None:
        play = started()
        play.read_error = "cannot read the kernel's table: no ip_vs"
        play.wait(5)
        assert play.status is not None
        assert (play.status.status, play.status.detail) == (Status.DEGRADED, play.read_error)
        play.table.clear()
        play.read_error = ""
        play.take()
        play.wait(2)
        assert len(play.take()) == 3
        assert play.status.status is Status.READY
        assert play.told(contract.VirtualServer)[-1].error == ""


class TestVerdicts:
    def test_dead_server_leaves_and_returns(self) -> None:
        play = started()
        play.take()
        play.verdict(check_of(A), Verdict.DOWN, "connection refused")
        assert play.take() == [f"-d {S} -r 172.16.1.3:80"]
        play.verdict(check_of(A), Verdict.UP)
        assert play.take() == [f"-a {S} -r 172.16.1.3:80 -g -w 1"]

    def test_writing_comes_before_telling(self) -> None:
        play = started()
        for verdict in (Verdict.DOWN, Verdict.UP):
            play.effects.clear()
            play.verdict(check_of(A), verdict)
            assert type(play.effects[0]) is Write
            assert play.told(contract.RealServerChanged)
        fresh = virtual(real(A), address="172.16.1.253")
        play.effects.clear()
        play.configure(PAIR, fresh)
        assert [type(effect) for effect in play.effects[:2]] == [Remember, Write]

    def test_everything_names_the_verdict_as_its_cause(self) -> None:
        play = started()
        play.effects.clear()
        identity = play.verdict(check_of(A), Verdict.DOWN, "connection refused")
        caused = {type(effect.body): effect.cause for effect in play.of(Publish)}
        assert caused[contract.Changed] == caused[contract.VirtualServer] == identity
        (change,) = play.told(contract.Changed)
        assert (change.action, change.what) == ("remove", f"-d {S} -r 172.16.1.3:80")
        assert change.reason == "TCP_CHECK 172.16.1.3:80 is down: TCP connect: connection refused"

    def test_last_server_to_die_brings_the_sorry_server_and_a_quorum_event(self) -> None:
        play = started()
        play.verdict(check_of(A), Verdict.DOWN)
        play.take()
        identity = play.verdict(check_of(B), Verdict.DOWN)
        assert play.take() == [f"-a {S} -r 172.16.1.99:80 -g -w 1", f"-d {S} -r 172.16.1.4:80"]
        (lost,) = play.published(contract.QuorumChanged)
        assert (lost.body.up, lost.body.weight_up, lost.cause) == (False, 0, identity)  # type: ignore[attr-defined]
        assert play.told(contract.VirtualServer)[-1].sorry_server_active

    def test_repeated_verdict_writes_and_tells_nothing(self) -> None:
        play = started()
        play.verdict(check_of(A), Verdict.UP)
        play.take()
        play.effects.clear()
        play.turn(BusMessage(verdict_message(check_of(A), Verdict.UP, sequence=1), WALL_NS))
        assert play.take() == []
        assert play.of(Publish) == []

    def test_r_f9_checker_that_starts_anew_and_knows_nothing_changes_nothing(self) -> None:
        play = started(virtual(real(A), real(B), alpha=True))
        play.verdict(check_of(A), Verdict.UP)
        play.verdict(check_of(B), Verdict.DOWN)
        play.take()
        play.verdict(check_of(A), Verdict.UNKNOWN)
        play.verdict(check_of(B), Verdict.UNKNOWN)
        assert play.take() == []

    def test_one_check_serves_any_number_of_virtual_servers(self) -> None:
        play = started(virtual(real(A)), virtual(real(A), address="172.16.1.253"))
        play.take()
        play.verdict(check_of(A), Verdict.DOWN)
        assert sorted(play.take()) == ["-d -t 172.16.1.253:80 -r 172.16.1.3:80", f"-d {S} -r 172.16.1.3:80"]

    def test_verdict_that_comes_while_a_write_is_in_flight_is_written_next(self) -> None:
        play = started()
        play.take()
        play.silent = True
        play.verdict(check_of(A), Verdict.DOWN)
        play.verdict(check_of(B), Verdict.DOWN)
        assert play.take() == [f"-d {S} -r 172.16.1.3:80"]
        del play.table[KEY].destinations[pool_of(PAIR).placements[0].destinations[0].key]
        play.silent = False
        play.turn(Written(("",), WALL_NS))
        assert play.take() == [f"-a {S} -r 172.16.1.99:80 -g -w 1", f"-d {S} -r 172.16.1.4:80"]


class TestDrift:
    def test_r_f49_flushed_table_is_back_within_a_second_and_told(self) -> None:
        play = started()
        play.take()
        play.table.clear()
        play.wait(1.1)
        assert len(play.take()) == 3
        (drift,) = play.told(contract.Drift)
        assert drift.found == "no service"
        assert drift.repaired.startswith(f"-A {S} -s rr; -a {S}")
        assert play.told(contract.Table)[-1].drift_repaired == 3

    def test_change_of_ours_is_no_drift(self) -> None:
        play = started()
        play.verdict(check_of(A), Verdict.DOWN)
        play.wait(30)
        assert play.told(contract.Drift) == []

    def test_verdict_that_comes_while_the_table_is_read_is_no_drift(self) -> None:
        play = started()
        play.take()
        play.deaf = True
        play.wait(1.1)
        reading = play.reading()
        play.verdict(check_of(A), Verdict.DOWN)
        assert play.take() == []
        play.turn(reading)
        assert play.take() == [f"-d {S} -r 172.16.1.3:80"]
        assert play.told(contract.Drift) == []

    def test_w23_comparison_of_a_quiet_table_writes_nothing(self) -> None:
        play = started()
        play.take()
        play.wait(60)
        assert len(play.of(ReadTable)) > 30
        assert play.take() == []

    def test_w24_foreign_service_is_counted_said_and_left_alone(self) -> None:
        play = started(table={FOREIGN.service.key: FOREIGN})
        assert play.told(contract.Table)[-1].foreign == 1
        assert any("left alone" in log.text for log in play.of(Log))
        play.stop()
        assert play.table == {FOREIGN.service.key: FOREIGN}

    def test_foreign_destination_in_our_service_is_removed(self) -> None:
        play = started()
        play.take()
        entry = play.table[KEY]
        extra = next(iter(entry.destinations.values()))._replace(
            key=pool_of(PAIR).placements[0].destinations[0].key
        )
        stranger = extra._replace(key=extra.key._replace(address="203.0.113.9"))
        entry.destinations[stranger.key] = stranger
        play.wait(1.1)
        assert play.take() == [f"-d {S} -r 203.0.113.9:80"]


class TestErrors:
    def test_w21_failed_service_is_retried_with_growing_delay_and_blocks_no_other(self) -> None:
        play = Play()
        play.fails = {
            "-A -t 172.16.1.253:80 -s rr": "bad",
            "-a -t 172.16.1.253:80 -r 172.16.1.3:80 -g -w 1": "no",
        }
        play.configure(virtual(real(A), address="172.16.1.253"), PAIR)
        assert KEY in play.table
        assert play.told(contract.VirtualServer)[0].error == "bad"
        tries = []
        for _ in range(400):
            play.wait(0.1)
            if "-A -t 172.16.1.253:80 -s rr" in play.take():
                tries.append(play.now_ns)
        pauses = [(later - earlier) / SECOND for earlier, later in itertools.pairwise(tries)]
        assert pauses[:4] == pytest.approx([0.2, 0.4, 0.8, 1.6], abs=0.11)
        assert [log.text for log in play.of(Log) if log.level == "error"] == [
            "[172.16.1.253]:tcp:80 is not in the table as it should be: bad"
        ]
        play.fails = {}
        play.wait(31)
        assert len(play.table) == 2
        assert play.status is not None
        assert play.status.status is Status.READY

    def test_v23_after_an_error_the_table_is_read_before_anything_is_repeated(self) -> None:
        play = started()
        play.fails = {f"-d {S} -r 172.16.1.3:80": "the kernel's answer was lost"}
        play.verdict(check_of(A), Verdict.DOWN)
        play.take()
        del play.table[KEY].destinations[pool_of(PAIR).placements[0].destinations[0].key]
        play.effects.clear()
        play.wait(10)
        assert play.of(ReadTable) != []
        assert play.take() == []

    def test_v23_nothing_is_repeated_while_the_table_cannot_be_read(self) -> None:
        play = started()
        play.fails = {f"-d {S} -r 172.16.1.3:80": "the kernel's answer was lost"}
        play.read_error = "cannot read the kernel's table: no answer"
        play.verdict(check_of(A), Verdict.DOWN)
        play.take()
        play.wait(10)
        assert play.take() == []
        play.fails, play.read_error = {}, ""
        play.wait(2)
        assert play.take() == [f"-d {S} -r 172.16.1.3:80"]

    def test_long_table_is_written_in_several_batches(self) -> None:
        servers = [
            virtual(*(real(f"10.1.{a}.{b}", checked=False) for b in range(1, 200)), address=f"10.0.0.{a}")
            for a in range(1, 13)
        ]
        play = started(*servers)
        assert len(play.batches) > 1
        assert max(map(len, play.batches)) < 1300
        assert sum(map(len, play.batches)) == 12 * 200

    def test_changes_of_a_long_table_are_told_a_few_at_a_time_when_all_is_written(self) -> None:
        servers = [
            virtual(*(real(f"10.1.{a}.{b}", checked=False) for b in range(1, 200)), address=f"10.0.0.{a}")
            for a in range(1, 13)
        ]
        play = started(*servers)
        last_write = max(index for index, effect in enumerate(play.effects) if isinstance(effect, Write))
        told = [index for index, effect in enumerate(play.effects) if is_change(effect)]
        assert min(told) > last_write
        play.wait(1)
        assert len(play.told(contract.Changed)) == 12 * 200
        assert max(sum(map(is_change, effects)) for _now_ns, _events, effects in play.turns) <= 250
