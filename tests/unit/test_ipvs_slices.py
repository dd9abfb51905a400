"""A long table is read in slices; what comes between two of them does not wait (V11, V23, V24)."""

from __future__ import annotations

from typing import Any

import pytest
from ipvs_play import SECOND, WALL_NS, Play, check_of, real, virtual
from keepbus_ipvs.effects import ReadTable
from keepbus_ipvs.events import TableRead, Written
from keepbus_ipvs.pool import pool_of
from keepbus_ipvs.readings import Readings
from keepbus_ipvs.table import AF_INET, TCP, Entry, Service, ServiceKey

from keepbus.config.model.ipvs import IpvsSection
from keepbus.contracts import ipvs as contract
from keepbus.contracts.checker import Verdict
from keepbus.runtime.machine import BusMessage, Configured, Exit, Log, StopRequested

A, B = "172.16.1.3", "172.16.1.4"
FIRST, SECOND_ONE, LAST = THREE = tuple(
    virtual(real(f"172.16.1.{10 + number}"), real(B), address=f"10.0.0.{number}") for number in range(3)
)
KEYS = [pool_of(each).keys[0] for each in THREE]
FOREIGN = Entry(Service(ServiceKey(AF_INET, TCP, "203.0.113.7", 443), "rr"), {})


def started(**options: Any) -> Play:
    """A life that keeps three services and is about to read them again, one in a slice."""
    play = Play(**options)
    play.configure(*THREE)
    play.take()
    play.slice = 1
    play.now_ns += 2 * SECOND
    return play


def step(play: Play, *events: Any) -> list[Any]:
    """One turn of the machine, without those that its answers call for: the answers."""
    effects = play.machine.turn(play.now_ns, events)
    return [answer for effect in effects for answer in play._perform(effect)]


def read(play: Play) -> TableRead:
    """The loop comes round and the machine asks for a slice, and for nothing else."""
    (answer,) = step(play)
    assert type(answer) is TableRead
    return answer


def down(play: Play, server: str) -> BusMessage:
    return BusMessage(play.message(check_of(server), Verdict.DOWN), WALL_NS)


class TestBetweenSlices:
    def test_turn_with_a_slice_asks_for_nothing_so_that_the_loop_comes_round(self) -> None:
        play = started()
        for slices in range(3):
            play.effects.clear()
            answer = read(play)
            assert play.of(ReadTable) == [ReadTable(further=slices > 0)]
            assert answer.more == (slices < 2)
            assert step(play, answer) == []
            assert (play.machine.wake_at_ns() == play.now_ns) == answer.more

    @pytest.mark.parametrize("server", ["172.16.1.10", "172.16.1.12"], ids=["read already", "not yet read"])
    def test_verdict_is_written_before_the_next_slice_and_is_no_drift(self, server: str) -> None:
        play = started()
        assert step(play, read(play)) == []
        (written,) = step(play, down(play, server))
        assert type(written) is Written
        (command,) = play.take()
        assert command.endswith(f"-r {server}:80")
        # Then the reading goes on in the same turn, so that verdicts cannot hold it up for ever.
        (part,) = step(play, written)
        assert type(part) is TableRead
        play.turn(part)
        play.wait(10)
        assert play.told(contract.Drift) == []
        assert play.take() == []

    def test_service_that_was_edited_since_the_services_were_read_is_not_taken_for_what_it_was(self) -> None:
        play = started()
        step(play, read(play))
        other = virtual(*LAST.real_servers, address="10.0.0.2", scheduler="wlc")
        section = IpvsSection(virtual_servers=(FIRST, SECOND_ONE, other))
        play.turn(Configured(2, section, WALL_NS))
        assert play.take() == ["-E -t 10.0.0.2:80 -s wlc"]
        assert play.told(contract.Drift) == []
        play.wait(10)
        assert play.take() == []

    def test_service_that_was_written_and_one_that_was_removed_meanwhile(self) -> None:
        play = started()
        step(play, read(play))
        play.configure(FIRST, SECOND_ONE, virtual(real(A), address="10.0.0.9"))
        assert play.take() == [
            "-A -t 10.0.0.9:80 -s rr",
            f"-a -t 10.0.0.9:80 -r {A}:80 -g -w 1",
            "-D -t 10.0.0.2:80",
        ]
        play.wait(10)
        assert play.take() == []
        assert play.told(contract.Drift) == []

    def test_drift_is_repaired_before_the_last_slice_was_read(self) -> None:
        play = started()
        play.table[KEYS[0]].destinations.popitem()
        step(play, read(play))
        (written,) = step(play)
        assert play.take() == [f"-a -t 10.0.0.0:80 -r {B}:80 -g -w 1"]
        assert len(play.told(contract.Drift)) == 1
        play.turn(written)
        play.wait(10)
        assert play.take() == []

    def test_v23_what_failed_between_two_slices_waits_for_a_reading_that_began_later(self) -> None:
        play = started()
        step(play, read(play))
        play.loses_answers = True
        (written,) = step(play, down(play, "172.16.1.12"))
        play.loses_answers = False
        play.take()
        play.effects.clear()
        play.turn(written)
        # The reading under way comes to its end; it says nothing about what was written in it.
        assert play.of(ReadTable) == [ReadTable(further=True)] * 2
        assert play.take() == []
        play.wait(0.3)
        assert ReadTable(further=False) in play.of(ReadTable)
        # It had been carried out: nothing is repeated.
        assert play.take() == []
        play.wait(10)
        assert play.told(contract.VirtualServer)[-1].error == ""

    def test_r_f49_table_that_is_flushed_in_the_middle_is_back_with_the_next_reading(self) -> None:
        play = started()
        whole = dict(play.table)
        step(play, read(play))
        play.table.clear()
        play.wait(3)
        assert play.table == whole

    def test_reading_that_fails_in_the_middle_counts_for_nothing_and_begins_anew(self) -> None:
        play = started()
        step(play, read(play))
        play.read_error = "cannot read the kernel's table: no answer"
        play.turn()
        play.read_error = ""
        play.effects.clear()
        play.wait(1.1)
        assert [effect.further for effect in play.of(ReadTable)] == [False, True, True]
        assert play.take() == []
        assert play.told(contract.Drift) == []

    def test_foreign_service_is_known_as_such_at_the_end_alone(self) -> None:
        play = started(table={FOREIGN.service.key: FOREIGN})
        play.wait(10)
        assert len([log for log in play.of(Log) if "left alone" in log.text]) == 1
        assert play.told(contract.Table)[-1].foreign == 1

    def test_pause_is_fifty_times_all_slices_together(self) -> None:
        play = started()
        play.reading_took_ns = SECOND // 10
        play.turn()
        play.effects.clear()
        play.wait(14.9)
        assert play.of(ReadTable) == []
        play.wait(0.2)
        assert play.of(ReadTable) != []


class TestLives:
    def test_nothing_is_written_before_the_last_slice_of_the_first_reading(self) -> None:
        first = started()
        last = first.table[KEYS[2]].destinations.popitem()[0]
        second = Play(table=first.table)
        second.memory, second.slice = first.memory, 1
        answers = step(second, Configured(1, IpvsSection(virtual_servers=THREE), WALL_NS))
        for server in ("172.16.1.10", "172.16.1.11", "172.16.1.12", B):
            second.machine.turn(second.now_ns, [second_message(second, server)])
        # The verdicts are there, their time is over, and the table is still being read.
        second.now_ns += 2 * SECOND
        while second.machine.wake_at_ns() == second.now_ns or answers:
            answers = step(second, *answers)
            if any(type(answer) is TableRead and answer.more for answer in answers):
                assert second.take() == []
        second.wait(3)
        assert second.take() == [f"-a -t 10.0.0.2:80 -r {last.address}:80 -g -w 1"]

    def test_without_any_verdict_a_server_in_the_last_slice_stays_even_with_alpha(self) -> None:
        servers = [
            virtual(real(f"172.16.1.{10 + number}"), alpha=True, address=f"10.0.0.{number}")
            for number in range(3)
        ]
        first = Play()
        first.configure(*servers)
        for number in range(3):
            first.verdict(check_of(f"172.16.1.{10 + number}"), Verdict.UP)
        second = Play(table=first.table)
        second.memory, second.slice = first.memory, 1
        answers = step(second, Configured(1, IpvsSection(virtual_servers=tuple(servers)), WALL_NS))
        for _ in range(20):
            # The reading takes longer than the verdicts have time.
            second.now_ns += SECOND
            answers = step(second, *answers)
        second.wait(10)
        assert second.take() == []

    def test_first_start_with_lvs_flush_takes_over_what_is_in_any_slice(self) -> None:
        play = Play(table={FOREIGN.service.key: FOREIGN, KEYS[0]: Entry(Service(KEYS[0], "wlc"), {})})
        play.slice = 1
        play.configure(*THREE, flush=True)
        assert list(play.table) == KEYS

    def test_flush_on_stop_in_the_middle_of_a_reading_leaves_nothing(self) -> None:
        play = Play(table={FOREIGN.service.key: FOREIGN})
        play.configure(*THREE, flush_on_stop=True)
        # Behind the services that the slices before it tell of.
        play.table[FOREIGN.service.key] = play.table.pop(FOREIGN.service.key)
        play.slice = 1
        play.now_ns += 2 * SECOND
        step(play, read(play))
        play.turn(StopRequested(WALL_NS))
        assert play.table == {}
        assert play.of(Exit) == [Exit()]

    def test_stop_in_the_middle_of_a_reading(self) -> None:
        play = started(table={FOREIGN.service.key: FOREIGN})
        step(play, read(play))
        play.stop()
        assert list(play.table) == [FOREIGN.service.key]
        assert play.of(Exit) == [Exit()]


def second_message(play: Play, server: str) -> BusMessage:
    return BusMessage(play.message(check_of(server), Verdict.UP), WALL_NS)


def test_a_reading_waits_for_what_is_being_written_but_not_for_ever() -> None:
    """What is written while a reading is under way is left to the next one: it would be for nothing."""
    play = started()
    others = [virtual(real(A), address=f"10.1.{number // 250}.{number % 250}") for number in range(1500)]
    effects = play.machine.turn(
        play.now_ns, [Configured(2, IpvsSection(virtual_servers=(*THREE, *others)), WALL_NS)]
    )
    answers = [answer for effect in effects for answer in play._perform(effect)]
    turns = 0
    while len(play.table) < len(THREE) + len(others):
        assert not any(type(answer) is TableRead for answer in answers)
        answers = step(play, *answers)
        turns += 1
        assert turns < 20
    assert [type(answer) for answer in step(play, *answers)] == [TableRead]
    readings = Readings()
    readings.soon(SECOND)
    assert not readings.begins(SECOND - 1, is_behind=False)
    assert readings.begins(SECOND, is_behind=False)
    assert not readings.begins(10 * SECOND, is_behind=True)
    assert readings.begins(11 * SECOND, is_behind=True)
