"""The models of other people's routers are what they are said to be (conformance section 15, features 5, E3,
E4 of the reliability notes): else a simulation in their company would show nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from vrrp_peers import KINDS, Peer
from vrrp_world import MS, Router, S, configured

from keepbus.contracts.vrrp import VrrpState
from keepbus.testing.wire import World

MASTER, BACKUP = VrrpState.MASTER, VrrpState.BACKUP
each_kind = pytest.mark.parametrize("kind", KINDS)


def beside_ours(kind: str, *, priority: int = 200, version: int = 3) -> tuple[World, Peer, Router]:
    """A master of this kind, and ours as its backup."""
    world = World(1)
    peer = Peer(world, 0, configured(version=version, priority=priority), kind)
    ours = Router(world, 1, configured(version=version, priority=100))
    peer.boot()
    world.run(world.now_ns + 5 * S)
    ours.boot()
    world.run(world.now_ns + 5 * S)
    assert (peer.state, ours.state) == (MASTER, BACKUP)
    return world, peer, ours


@pytest.mark.parametrize(("kind", "stays"), [("keepalived", True), ("strict", False), ("FRR", True)])
def test_what_a_dead_one_leaves(kind: str, stays: bool) -> None:
    world, peer, ours = beside_ours(kind)
    peer.crash()
    world.run(world.now_ns + 5 * S)
    assert ours.state is MASTER
    assert ours.holds()
    assert peer.holds() is stays
    peer.boot()
    assert not peer.holds()


@each_kind
def test_a_frozen_one_goes_on_as_master(kind: str) -> None:
    world, peer, ours = beside_ours(kind)
    peer.freeze()
    world.run(world.now_ns + 10 * S)
    assert (peer.state, ours.state) == (MASTER, MASTER)
    assert peer.holds()
    peer.thaw()
    world.run(world.now_ns + 10 * MS)
    assert (peer.state, ours.state) == (MASTER, BACKUP)


@each_kind
def test_a_frozen_backup_believes_its_clock_before_its_socket(kind: str) -> None:
    world, peer, ours = beside_ours(kind)
    ours.reload(replace(ours.config, priority=250))
    world.run(world.now_ns + 5 * S)
    assert (peer.state, ours.state) == (BACKUP, MASTER)
    peer.freeze()
    world.run(world.now_ns + 5 * S)
    before = len(peer.told)
    peer.thaw()
    world.run(world.now_ns + 2 * S)
    assert [told.transition.to_state for told in peer.told[before:]] == [MASTER, BACKUP]
    assert ours.state is MASTER


@each_kind
def test_a_stop_is_told_by_priority_0(kind: str) -> None:
    world, peer, ours = beside_ours(kind)
    peer.stop()
    world.run(world.now_ns + S)
    assert ours.state is MASTER
    assert ours.told[-1].transition.cause.startswith("192.0.2.10 released (priority 0)")


@pytest.mark.parametrize(
    ("kind", "version", "answers"),
    [
        ("keepalived", 2, True),
        ("keepalived", 3, True),
        ("strict", 2, False),
        ("strict", 3, True),
        ("FRR", 2, False),
        ("FRR", 3, False),
    ],
)
def test_a_worse_master_is_answered_at_once_or_not(kind: str, version: int, answers: bool) -> None:
    world, peer, _ = beside_ours(kind, version=version)
    said: list[bytes] = []
    world.broadcast = lambda _sender, octets: said.append(octets)  # type: ignore[method-assign]
    worse = Peer(world, 2, configured(version=version, priority=50), kind)
    worse._advertise(50)
    peer.arrive(said.pop())
    assert bool(said) is answers


def test_timers_of_whole_centiseconds() -> None:
    """At 1 s and priority 254 the skew is 7.8 ms, and 0 where it is cut to centiseconds (T5)."""
    for kind, wait_ms in (("keepalived", 3007.812), ("strict", 3007.812), ("FRR", 3000)):
        world = World(1)
        peer = Peer(world, 0, configured(version=3, priority=254), kind)
        began_ns = world.now_ns
        peer.boot()
        world.run(world.now_ns + 4 * S)
        assert (peer.told[-1].at_ns - began_ns) / MS == pytest.approx(wait_ms, abs=0.001)
