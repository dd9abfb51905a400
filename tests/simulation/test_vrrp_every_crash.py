"""kill -9 before each thing that a router does, one run for each (R-F4, R-F6, R-F15).

The story that is cut: two routers start, the better one preempts, yields to a reload, preempts again, stops
and starts. It has every order of advert, address, record and announcement that there is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
from vrrp_invariants import Holders, lease_bound_ns, settled
from vrrp_world import Router, configured

from keepbus.runtime.machine import Effect, Event
from keepbus.testing.wire import World


class Mortal(Router):
    """Dies instead of carrying out one of its effects."""

    done = 0
    last = -1
    """Number of the effect that it dies before; -1 for none."""
    back_after_ns = 0

    def perform(self, effect: Effect) -> Iterable[Event] | None:
        if self.machine is None:
            return None  # what the dead one had decided
        self.done += 1
        if self.done == self.last:
            self.crash()
            self.world.after(self.back_after_ns, self.boot)
            return None
        return super().perform(effect)


def story(interval_us: int) -> tuple[World, list[Mortal], Holders]:
    """Not yet begun."""
    world = World(15)
    routers = [
        Mortal(
            world,
            number,
            configured(
                version=3,
                advert_interval_us=interval_us,
                priority=priority,
            ),
        )
        for number, priority in enumerate((200, 100))
    ]
    interval_ns = interval_us * 1000
    holders = Holders(
        world,
        list(routers),
        together_ns=lease_bound_ns(list(routers)),
        nobody_ns=1 << 62,
    )
    one, other = routers
    at = (
        (0, other.boot),
        (6, one.boot),
        (14, lambda: one.reload(replace(one.config, priority=50))),
        (22, lambda: one.reload(replace(one.config, priority=200))),
        (30, one.stop),
        (36, one.boot),
    )
    for intervals, action in at:
        world.after(intervals * interval_ns, action)
    return world, routers, holders


def repeated(router: Router) -> list[str]:
    """N1: a number that came twice. One that a death kept from being told is in the history that is."""
    numbers = [(told.life, told.transition.number) for told in router.told]
    return [f"N1: {router.name} told {numbers}"] if len(set(numbers)) < len(numbers) else []


def play(interval_us: int, who: int, last: int, back_after_ns: int) -> tuple[list[str], int]:
    """What went wrong, and how many effects there were before the quiet at the end."""
    world, routers, holders = story(interval_us)
    routers[who].last, routers[who].back_after_ns = last, back_after_ns
    world.run(world.now_ns + 45 * interval_us * 1000)
    count = routers[who].done
    world.run(world.now_ns + 15 * interval_us * 1000)
    holders.end()
    wrongs = holders.wrongs + settled(list(routers), was_master=None, preempts=True)
    return wrongs + [wrong for router in routers for wrong in repeated(router)], count


@pytest.mark.parametrize("who", [0, 1])
@pytest.mark.parametrize("back_after", [0.1, 5])
@pytest.mark.parametrize("interval_us", [1_000_000, 100_000])
def test_r_f4_r_f6_r_f15_killed_before_every_effect(interval_us: int, back_after: float, who: int) -> None:
    """Back within the lease (a tenth of an interval) or after it, nothing that may not be is ever seen."""
    back_after_ns = int(back_after * interval_us * 1000)
    wrongs, count = play(interval_us, who, -1, back_after_ns)
    assert (wrongs, count > 100) == ([], True)
    for last in range(1, count + 1):
        wrongs, done = play(interval_us, who, last, back_after_ns)
        assert done >= last
        assert not wrongs, f"killed before effect {last}: {wrongs}"
