"""Many states are told a part at a time, in turns between which everything else goes on."""

from __future__ import annotations

from typing import Any

from ipvs_play import WALL_NS, Play, check_of, real, virtual

from keepbus.config.model.ipvs import IpvsSection
from keepbus.contracts import ipvs as contract
from keepbus.contracts.checker import Verdict
from keepbus.runtime.machine import BusMessage, Configured, Publish

A, B = "172.16.1.3", "172.16.1.4"
MANY = tuple(
    virtual(real(A), real(B), address=f"10.0.{number // 250}.{number % 250}") for number in range(350)
)
MOST = 100


def told_in(effects: list[Any]) -> list[str]:
    return [
        effect.body.name
        for effect in effects
        if isinstance(effect, Publish) and isinstance(effect.body, contract.VirtualServer)
    ]


def step(play: Play, *events: Any) -> tuple[list[Any], list[Any]]:
    """One turn: its effects, and the answers to them."""
    effects = play.machine.turn(play.now_ns, events)
    return effects, [answer for effect in effects for answer in play._perform(effect)]


def test_a_start_tells_all_a_part_at_a_time_and_a_verdict_goes_before_the_rest() -> None:
    play = Play()
    answers: list[Any] = [Configured(1, IpvsSection(virtual_servers=MANY), WALL_NS)]
    told: list[str] = []
    while not told:
        effects, answers = step(play, *answers)
        told += told_in(effects)
    assert len(play.table) == len(MANY), "the table is complete before anybody is told of it"
    assert len(told) == MOST
    assert play.machine.wake_at_ns() == play.now_ns
    # One server of every virtual server dies while most of them are not told of yet.
    effects, answers = step(play, BusMessage(play.message(check_of(A), Verdict.DOWN), WALL_NS))
    while any(len(entry.destinations) > 1 for entry in play.table.values()):
        assert not told_in(effects), "writing comes before telling"
        effects, answers = step(play, *answers)
    parts = []
    while play.machine.wake_at_ns() == play.now_ns or answers:
        effects, answers = step(play, *answers)
        if told_in(effects):
            parts.append(told_in(effects))
    assert max(map(len, parts)) == MOST
    assert {name for part in parts for name in part} == {each.name for each in MANY}
    last = {body.name: body for body in play.told(contract.VirtualServer)}
    assert all([server.alive for server in body.real_servers] == [False, True] for body in last.values())


def test_connection_counts_are_told_of_all_at_one_due_moment() -> None:
    play = Play()
    play.configure(*MANY)
    play.wait(20)
    play.effects.clear()
    found = play.found()
    play.found = lambda: tuple(  # type: ignore[method-assign]
        each._replace(destinations=tuple(item._replace(active=3) for item in each.destinations))
        for each in found
    )
    play.wait(70)
    counted = [body for body in play.told(contract.VirtualServer) if body.real_servers[0].active_connections]
    assert sorted(body.name for body in counted) == sorted(each.name for each in MANY)
