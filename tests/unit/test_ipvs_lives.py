"""The ipvs machine over its lives: restart, reload, stop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ipvs_pair import KEY, PAIR, SORRY, A, B, S, started
from ipvs_play import WALL_NS, Play, check_of, only_entry, real, virtual
from keepbus_ipvs.effects import ReadTable, Remember, Write
from keepbus_ipvs.events import RECORDED, Opened, Written
from keepbus_ipvs.machine import Machine
from keepbus_ipvs.pool import Pool, pool_of

from keepbus.config import ipvs_drivers
from keepbus.config.model.ipvs import IpvsSection
from keepbus.contracts import ipvs as contract
from keepbus.contracts.checker import Verdict
from keepbus.contracts.common import Status
from keepbus.contracts.message import Header, Message, topic_of
from keepbus.runtime.machine import BusMessage, Exit, Publish, Withdraw
from keepbus.runtime.recorder import Recorder, turns


def crashed(play: Play) -> Play:
    """The next process on the same table and memory."""
    after = Play(table=play.table)
    after.memory, after.daemons, after.timeouts = play.memory, play.daemons, play.timeouts
    return after


def earlier_state(play: Play) -> BusMessage:
    """What the hub retains of the process before."""
    body = play.told(contract.VirtualServer)[-1]
    header = Header(1, "node", "ipvs", "earlier", 1, 1, WALL_NS, WALL_NS, "")
    return BusMessage(Message(topic_of(body, "ipvs"), header, body), WALL_NS)


class TestRestart:
    def test_w10_restart_changes_not_one_entry(self) -> None:
        first = started()
        first.verdict(check_of(A), Verdict.DOWN)
        second = crashed(first)
        second.configure(PAIR)
        second.verdict(check_of(A), Verdict.DOWN)
        second.verdict(check_of(B), Verdict.UP)
        second.wait(10)
        assert second.take() == []

    def test_r_f8_restart_in_the_middle_of_a_rebuild_sends_only_what_is_missing(self) -> None:
        first = started()
        last = pool_of(PAIR).placements[0].destinations[1].key
        del first.table[KEY].destinations[last]
        second = crashed(first)
        second.configure(PAIR)
        second.verdict(check_of(A), Verdict.UP)
        second.verdict(check_of(B), Verdict.UP)
        assert second.take() == [f"-a {S} -r 172.16.1.4:80 -g -w 2"]

    def test_nothing_is_written_before_the_retained_verdicts_had_their_chance(self) -> None:
        first = started()
        first.verdict(check_of(A), Verdict.DOWN)
        second = crashed(first)
        second.configure(PAIR)
        second.wait(1.4)
        assert second.take() == []
        assert second.status is not None
        assert second.status.status is Status.STARTING

    def test_without_any_verdict_a_server_in_the_kernel_stays_even_with_alpha(self) -> None:
        server = virtual(real(A), alpha=True)
        first = started(server)
        first.verdict(check_of(A), Verdict.UP)
        second = crashed(first)
        second.configure(server)
        second.wait(10)
        assert second.take() == []
        second.verdict(check_of(A), Verdict.DOWN)
        assert second.take() == [f"-d {S} -r 172.16.1.3:80"]

    def test_without_any_verdict_the_last_published_state_decides(self) -> None:
        first = started()
        first.verdict(check_of(A), Verdict.DOWN)
        second = crashed(first)
        second.configure(PAIR)
        second.turn(earlier_state(first))
        second.wait(10)
        assert second.take() == []
        assert second.told(contract.VirtualServer)[-1].real_servers[0].verdict is Verdict.DOWN

    def test_quorum_within_its_band_is_what_it_was(self) -> None:
        server = virtual(real(A, 2), real(B, 3), sorry=SORRY, quorum=3, hysteresis=1)
        first = started(server)
        first.verdict(check_of(B), Verdict.UP)
        first.verdict(check_of(A), Verdict.DOWN)
        assert first.told(contract.VirtualServer)[-1].quorum_up
        second = crashed(first)
        second.configure(server)
        second.verdict(check_of(B), Verdict.UP)
        second.verdict(check_of(A), Verdict.DOWN)
        assert second.take() == []
        assert second.told(contract.VirtualServer)[-1].quorum_up

    def test_service_that_left_the_file_meanwhile_is_removed(self) -> None:
        first = started(PAIR, virtual(real(A), address="172.16.1.253"))
        second = crashed(first)
        second.configure(PAIR)
        second.wait(2)
        assert second.take() == ["-D -t 172.16.1.253:80"]
        assert second.owned == (KEY,)

    def test_everything_left_the_file_meanwhile(self) -> None:
        second = crashed(started())
        second.configure()
        assert second.take() == [f"-D {S}"]
        assert second.status is not None
        assert second.status.status is Status.IDLE


class TestRecording:
    def test_replay_of_a_life_gives_the_same_effects(self, tmp_path: Path) -> None:
        play = started()
        play.verdict(check_of(A), Verdict.DOWN)
        play.table.clear()
        play.wait(3)
        play.stop()
        recorder = Recorder(tmp_path / "turns")
        for now_ns, events, _effects in play.turns:
            recorder.turn(now_ns, events)
        machine = Machine(ipvs_drivers.unsupported)
        again = [
            machine.turn(now_ns, events)
            for now_ns, events in turns(tmp_path / "turns", RECORDED, IpvsSection)
        ]
        assert again == [effects for _now_ns, _events, effects in play.turns]


class TestReload:
    def test_same_configuration_writes_nothing(self) -> None:
        play = started()
        play.take()
        play.configure(PAIR)
        assert play.take() == []

    def test_unchanged_virtual_server_is_neither_written_nor_told(self) -> None:
        other = virtual(real(A), address="172.16.1.253")
        play = started(PAIR, other)
        play.take()
        play.effects.clear()
        play.configure(PAIR, virtual(real(A, 9), address="172.16.1.253"))
        assert play.take() == ["-e -t 172.16.1.253:80 -r 172.16.1.3:80 -g -w 9"]
        assert [state.name for state in play.told(contract.VirtualServer)] == ["[172.16.1.253]:tcp:80"]

    @pytest.mark.parametrize("unchanged", [1, 1000])
    def test_one_change_costs_one_command_beside_any_number_of_others(
        self, unchanged: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        others = [virtual(real(A), address=f"10.0.{each >> 8}.{each & 255}") for each in range(unchanged)]
        play = started(PAIR, *others)
        play.wait(10)
        play.take()
        play.turns.clear()
        play.effects.clear()
        evaluated: list[str] = []
        evaluate = Pool.evaluate

        def counted(pool: Pool, *arguments: Any, **options: Any) -> bool:
            evaluated.append(pool.name)
            return evaluate(pool, *arguments, **options)

        monkeypatch.setattr(Pool, "evaluate", counted)
        play.configure(virtual(real(A), real(B, 3), sorry=SORRY), *others)
        assert evaluated == [PAIR.name]
        assert play.take() == [f"-e {S} -r {B}:80 -g -w 3"]
        assert len(play.of(Write)) == 1
        assert not play.of(ReadTable)
        assert not play.of(Remember)
        # Nothing is told of those others either, and it is all over at once.
        assert [body.name for body in play.told(contract.VirtualServer)] == [PAIR.name]
        assert len(play.turns) == 2

    def test_new_address_comes_before_the_old_one_leaves(self) -> None:
        play = started()
        play.take()
        play.configure(virtual(real(A), address="172.16.1.253"))
        assert play.take() == [
            "-A -t 172.16.1.253:80 -s rr",
            "-a -t 172.16.1.253:80 -r 172.16.1.3:80 -g -w 1",
            f"-D {S}",
        ]
        assert [effect.topic for effect in play.of(Withdraw)] == [
            "state/ipvs/virtual_server/[172.16.1.254]:tcp:80"
        ]

    def test_virtual_server_that_was_never_written_leaves_nothing_to_do(self) -> None:
        play = Play()
        play.driver = Opened("nftables", "")
        play.configure(PAIR)
        play.configure()
        assert play.take() == []
        play.wait(5)
        assert play.machine.wake_at_ns() is None
        assert play.status is not None
        assert play.status.status is Status.IDLE

    def test_verdicts_and_quorum_outlive_it(self) -> None:
        play = started()
        play.verdict(check_of(A), Verdict.DOWN)
        play.take()
        play.configure(virtual(real(A), real(B, 5), sorry=SORRY))
        assert play.take() == [f"-e {S} -r 172.16.1.4:80 -g -w 5"]


class TestStop:
    def test_owned_services_are_removed_and_forgotten(self) -> None:
        play = started()
        play.take()
        play.stop()
        assert play.take() == [f"-D {S}"]
        assert play.owned == ()
        assert play.of(Exit) == [Exit(0)]
        assert len(play.of(Withdraw)) == 1

    @pytest.mark.parametrize("omega", [False, True])
    def test_with_omega_and_only_then_servers_are_told_down_before_their_state_goes(
        self, omega: bool
    ) -> None:
        play = started(virtual(real(A), real(B), omega=omega))
        play.verdict(check_of(B), Verdict.DOWN)
        play.effects.clear()
        play.stop()
        told = play.told(contract.VirtualServer)
        assert len(told) == omega
        for body in told:
            assert (body.quorum_up, body.changes) == (False, 2)
            assert [(each.alive, each.changes) for each in body.real_servers] == [(False, 1), (False, 1)]
            assert body.real_servers[0].reason == "Shutting down"
        kinds = [type(effect) for effect in play.effects if isinstance(effect, Publish | Withdraw)]
        assert kinds[-1] is Withdraw

    def test_keep_table_leaves_all_and_remembers_it(self) -> None:
        play = started(keep_table=True)
        play.take()
        play.stop()
        assert play.take() == []
        assert play.owned == (KEY,)
        assert play.of(Exit) == [Exit(0)]

    def test_table_that_cannot_be_cleared_does_not_hold_up_the_stop(self) -> None:
        play = started()
        play.fails = {f"-D {S}": "the kernel's answer was lost"}
        play.stop()
        assert play.of(Exit) == []
        play.wait(1.6)
        assert play.of(Exit) == [Exit(1)]
        assert play.owned == (KEY,)

    def test_stop_waits_for_the_answer_that_is_under_way(self) -> None:
        play = started()
        play.take()
        play.deaf = True
        play.wait(1.1)
        play.stop()
        assert play.of(Exit) == []
        play.deaf = False
        play.turn(play.reading())
        assert play.take() == [f"-D {S}"]
        assert play.of(Exit) == [Exit(0)]

    def test_stop_while_a_write_is_in_flight_removes_what_it_wrote(self) -> None:
        play = Play()
        play.silent = True
        play.configure(PAIR)
        play.stop()
        pool = pool_of(PAIR)
        pool.evaluate({}, WALL_NS)
        play.table[KEY] = only_entry(pool)
        play.silent = False
        play.turn(Written(("", "", ""), WALL_NS))
        assert play.table == {}
        assert play.of(Exit) == [Exit(0)]

    def test_stop_before_there_was_a_driver(self) -> None:
        play = Play()
        play.driver = Opened("", "no driver")
        play.configure(PAIR)
        play.stop()
        assert play.of(Exit) == [Exit(0)]
