"""Faults of the network by their numbers, in virtual time: loss, duplicates, delays, cuts, clocks (R-F40,
R-F59 to R-F63, R-F66).

Three routers of one second each unless said otherwise; a minute takes some milliseconds.
"""

from __future__ import annotations

import pytest
from vrrp_world import MS, Router, S, configured

from keepbus.contracts.vrrp import VrrpState
from keepbus.testing.wire import World

MASTER, BACKUP = VrrpState.MASTER, VrrpState.BACKUP
MASTER_DOWN_S = 3.609375
"""Of priority 100."""


def network(seed: int, *priorities: int, version: int = 3) -> tuple[World, list[Router]]:
    """Routers that have elected the best of them."""
    world = World(seed)
    routers = [
        Router(
            world,
            number,
            configured(
                version=version,
                priority=priority,
            ),
        )
        for number, priority in enumerate(priorities)
    ]
    for router in routers:
        router.boot()
    world.run(world.now_ns + 20 * S)
    best = max(routers, key=lambda router: router.config.priority)
    assert [router for router in routers if router.state is MASTER] == [best]
    return world, routers


def transitions(routers: list[Router]) -> list[int]:
    return [len(router.told) for router in routers]


def cut(world: World, one: Router, other: Router) -> None:
    world.cut |= {(one.name, other.name), (other.name, one.name)}


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("clocks_ppm", [(950_000, 1_050_000), (1_050_000, 950_000)])
def test_r_f40_clocks_that_differ_by_10_percent_move_nothing(
    version: int, clocks_ppm: tuple[int, int]
) -> None:
    world, routers = network(1, 200, 100, version=version)
    for router, clock_ppm in zip(routers, clocks_ppm, strict=True):
        router.crash()
        router.memory.clear()
        router.clock_ppm = clock_ppm
        router.boot()
    world.run(world.now_ns + 20 * S)
    before = transitions(routers)
    world.run(world.now_ns + 600 * S)
    assert [router.state for router in routers] == [MASTER, BACKUP]
    assert transitions(routers) == before


@pytest.mark.parametrize(("loss", "hours"), [(0.01, 1), (0.1, 10), (0.33, 2)])
def test_r_f59_takeovers_are_as_rare_as_three_losses_in_a_row(loss: float, hours: int) -> None:
    """A takeover needs three adverts lost after one that came: p^3 (1 - p) for each advert. Of a rare event
    any number up to three is within chance."""
    world, routers = network(59, 200, 100)
    world.loss = loss
    backup = routers[1]
    before = len(backup.told)
    world.run(world.now_ns + hours * 3600 * S)
    takeovers = sum(told.transition.to_state is MASTER for told in backup.told[before:])
    expected = hours * 3600 * loss**3 * (1 - loss)
    assert expected / 2 - 3 < takeovers < 2 * expected + 3
    world.loss = 0
    world.run(world.now_ns + 5 * S)
    assert [router.holds() for router in routers] == [True, False]


def test_r_f60_duplicates_and_delays_below_an_interval_move_nothing() -> None:
    world, routers = network(60, 200, 150, 100)
    before = transitions(routers)
    world.duplication, world.delay_ns = 1.0, (0, 900 * MS)
    world.run(world.now_ns + 600 * S)
    assert transitions(routers) == before


@pytest.mark.parametrize("seed", range(10))
def test_r_f61_r_f66_a_clean_cut_has_a_master_on_each_side_and_one_is_left(seed: int) -> None:
    """Also where the switch forgets the group: nobody hears anybody."""
    world, routers = network(seed, 200, 150, 100)
    world.run(world.now_ns + world.random.randrange(S))
    for other in routers[1:]:
        cut(world, routers[0], other)
    world.run(world.now_ns + int((MASTER_DOWN_S + 1) * S))
    assert [router.state for router in routers] == [MASTER, MASTER, BACKUP]
    world.cut.clear()
    healed_ns = world.now_ns
    while routers[1].state is MASTER:
        world.run(world.now_ns + MS)
    assert world.now_ns - healed_ns <= S + world.delay_ns[1] + MS
    world.run(world.now_ns + 10 * S)
    assert [router.holds() for router in routers] == [True, False, False]


@pytest.mark.parametrize("pair", [(0, 1), (0, 2), (1, 2)])
def test_r_f63_a_node_that_one_other_does_not_hear_oscillates_with_nobody(pair: tuple[int, int]) -> None:
    world, routers = network(63, 200, 150, 100)
    cut(world, routers[pair[0]], routers[pair[1]])
    world.run(world.now_ns + 10 * S)
    before = transitions(routers)
    world.run(world.now_ns + 600 * S)
    assert transitions(routers) == before
    assert routers[0].state is MASTER
    world.cut.clear()
    world.run(world.now_ns + 10 * S)
    assert [router.holds() for router in routers] == [True, False, False]
