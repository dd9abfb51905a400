"""Draining: what an operator asks for, what a reload leaves, and that both outlive what happens meanwhile."""

from __future__ import annotations

from ipvs_pair import PAIR, SORRY, A, B, S
from ipvs_play import Play, check_of, real, virtual
from keepbus_ipvs.effects import Remember

from keepbus.contracts import ipvs as contract
from keepbus.contracts.checker import Verdict

T = "-t 172.16.1.253:80"
OTHER = virtual(real(A), address="172.16.1.253")


def started(*servers: object) -> Play:
    play = Play()
    play.configure(*(servers or (PAIR, OTHER)))  # type: ignore[arg-type]
    play.take()
    return play


def after_a_crash(play: Play) -> Play:
    following = Play(table=play.table)
    following.memory = play.memory
    return following


def test_drained_server_keeps_its_connections_and_gets_no_new_ones() -> None:
    play = started()
    asked = play.hear(contract.Drain(real_server=f"{A}:80"))
    assert play.take() == [f"-e {S} -r {A}:80 -g -w 0", f"-e {T} -r {A}:80 -g -w 0"]
    (answer,) = play.published(contract.DrainChanged)
    assert answer.cause == asked
    assert answer.body == contract.DrainChanged(
        real_server=f"{A}:80",
        virtual_servers=("[172.16.1.254]:tcp:80", "[172.16.1.253]:tcp:80"),
        drained=True,
    )
    state = play.told(contract.VirtualServer)[-1].real_servers[0]
    assert (state.drained, state.weight, state.in_table, state.alive) == (True, 0, True, True)
    assert state.reason.startswith("drained by an operator")
    play.hear(contract.Drain(real_server=A, undo=True))
    assert play.take() == [f"-e {S} -r {A}:80 -g -w 1", f"-e {T} -r {A}:80 -g -w 1"]


def test_drain_of_one_virtual_server_leaves_the_others() -> None:
    play = started()
    play.hear(contract.Drain(real_server=A, virtual_server="[172.16.1.253]:tcp:80"))
    assert play.take() == [f"-e {T} -r {A}:80 -g -w 0"]


def test_what_is_not_there_is_answered_with_a_sentence() -> None:
    play = started()
    play.hear(contract.Drain(real_server="192.0.2.9"))
    play.hear(contract.Drain(real_server=A, virtual_server="x"))
    assert play.take() == []
    assert [answer.error for answer in play.told(contract.DrainChanged)] == [
        "there is no real server 192.0.2.9 in any virtual server",
        "there is no virtual server x",
    ]


def test_drain_is_remembered_before_it_is_written_and_outlives_crash_reload_and_verdicts() -> None:
    play = started()
    play.effects.clear()
    play.hear(contract.Drain(real_server=A))
    assert [type(effect).__name__ for effect in play.effects].index("Remember") < [
        type(effect).__name__ for effect in play.effects
    ].index("Write")
    following = after_a_crash(play)
    following.configure(PAIR, OTHER)
    following.verdict(check_of(A), Verdict.UP)
    following.verdict(check_of(B), Verdict.UP)
    assert following.take() == []
    following.configure(virtual(real(A, 5), real(B, 2), sorry=SORRY))
    following.wait(3)
    assert following.take() == [f"-D {T}"]
    following.verdict(check_of(A), Verdict.DOWN)
    following.verdict(check_of(A), Verdict.UP)
    assert following.take() == [f"-d {S} -r {A}:80", f"-a {S} -r {A}:80 -g -w 0"]
    following.hear(contract.Drain(real_server=A, undo=True))
    assert following.take() == [f"-e {S} -r {A}:80 -g -w 5"]


def test_when_all_are_drained_the_sorry_server_serves_and_connections_stay() -> None:
    play = started(PAIR)
    play.hear(contract.Drain(real_server=A))
    play.take()
    play.hear(contract.Drain(real_server=B))
    assert play.take() == [f"-a {S} -r {SORRY}:80 -g -w 1", f"-e {S} -r {B}:80 -g -w 0"]


def test_stop_forgets_no_drain() -> None:
    play = started()
    play.hear(contract.Drain(real_server=A))
    play.stop()
    assert play.table == {}
    assert play.of(Remember)[-1].drained == (
        ("[172.16.1.253]:tcp:80", f"{A}:80"),
        ("[172.16.1.254]:tcp:80", f"{A}:80"),
    )


class TestReload:
    def test_removed_server_stays_with_weight_0_for_its_time(self) -> None:
        play = started(PAIR)
        play.configure(virtual(real(B, 2), sorry=SORRY), drain_s=30)
        assert play.take() == [f"-e {S} -r {A}:80 -g -w 0"]
        play.wait(29)
        assert play.take() == []
        play.wait(2)
        assert play.take() == [f"-d {S} -r {A}:80"]

    def test_removed_virtual_server_does_so_too(self) -> None:
        play = started()
        play.configure(PAIR, drain_s=5)
        assert play.take() == [f"-e {T} -r {A}:80 -g -w 0"]
        play.wait(6)
        assert play.take() == [f"-D {T}"]

    def test_server_that_comes_back_in_time_is_as_before(self) -> None:
        play = started()
        play.configure(virtual(real(B, 2), sorry=SORRY), drain_s=30)
        play.take()
        play.configure(PAIR, OTHER)
        assert sorted(play.take()) == [f"-e {T} -r {A}:80 -g -w 1", f"-e {S} -r {A}:80 -g -w 1"]
        play.wait(60)
        assert play.take() == []

    def test_without_a_time_it_leaves_at_once(self) -> None:
        play = started(PAIR)
        play.configure(virtual(real(B, 2), sorry=SORRY))
        assert play.take() == [f"-d {S} -r {A}:80"]
