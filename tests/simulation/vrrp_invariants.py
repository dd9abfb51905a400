"""The invariants of reliability section 9, held against one simulated run.

Each looks at what the kernels held, at what was on the wire, and at what was told; none believes the machine.
"""

from __future__ import annotations

import itertools

from vrrp_world import EXPIRY_LATENESS_NS, GATE_LATENESS_NS, MS, Router

from keepbus.contracts.vrrp import VrrpState
from keepbus.testing.wire import World


class Holders:
    """Who holds the address: two together (R-I1, R-I2), or nobody (R-I6), longer than may be."""

    def __init__(self, world: World, routers: list[Router], *, together_ns: int, nobody_ns: int) -> None:
        """together_ns: while one is frozen, dead or late. nobody_ns: the longest gap that has a cause."""
        self._world, self._routers = world, routers
        self._together_ns, self._nobody_ns = together_ns, nobody_ns
        self._pairs: dict[tuple[str, str], tuple[int, bool]] = {}
        """Since when two hold the address, and whether one of them was frozen, dead or cut off meanwhile."""
        self._ours = {router.name for router in routers if router.ours}
        self._none_since_ns = 0 if any(router.holds() for router in routers) else world.now_ns
        self.excused_until_ns = 0
        """Until then both may be right, or nobody may know (a cut, a loss, and what they leave behind)."""
        self.caused_at_ns = world.now_ns
        """Of the last thing that may leave nobody for a while."""
        self.wrongs: list[str] = []
        world.watchers.append(self.look)

    def excuse(self, until_ns: int) -> None:
        """The wire is not whole until then."""
        self.excused_until_ns = max(self.excused_until_ns, until_ns)

    def look(self) -> None:
        """After every happening."""
        now_ns = self._world.now_ns
        holding = [router for router in self._routers if router.held_until_ns > now_ns]
        # An address that somebody else's dead router keeps is nobody's.
        if any(router.ours or router.works for router in holding):
            if self._none_since_ns:
                self._nobody(now_ns)
                self._none_since_ns = 0
        elif not self._none_since_ns:
            self._none_since_ns = now_ns
        if len(holding) > 1 or self._pairs:
            self._look_at_pairs(holding, now_ns)

    def _look_at_pairs(self, holding: list[Router], now_ns: int) -> None:
        together = set(itertools.combinations((router.name for router in holding), 2))
        for pair in self._pairs.keys() - together:
            self._two(pair, now_ns)
        late = {router.name for router in holding if not router.works}
        for pair in together:
            since_ns, troubled = self._pairs.get(pair, (now_ns, False))
            self._pairs[pair] = since_ns, troubled or not late.isdisjoint(pair)

    def end(self) -> None:
        """Judge what still lasts."""
        for pair in list(self._pairs):
            self._two(pair, self._world.now_ns)
        if self._none_since_ns:
            self._nobody(self._world.now_ns)

    def _two(self, pair: tuple[str, str], now_ns: int) -> None:
        since_ns, troubled = self._pairs.pop(pair)
        ours = len(self._ours.intersection(pair))
        if ours == 0 or (troubled and ours == 1):
            return  # Without a lease it keeps the address while it is dead, and goes on when it wakes.
        since_ns = max(since_ns, self.excused_until_ns)
        name, bound_ns = ("R-I2", self._together_ns) if troubled else ("R-I1", self._world.delay_ns[1])
        if ours == 1:
            bound_ns *= 2  # It may take over by mistake: what ours answers has to get there, too.
        if now_ns - since_ns > bound_ns:
            self.wrongs.append(
                f"{name}: {' and '.join(pair)} held the address for {(now_ns - since_ns) / MS:.3f} ms, "
                f"{bound_ns / MS:.3f} ms may be"
            )

    def _nobody(self, now_ns: int) -> None:
        since_ns = max(self._none_since_ns, self.caused_at_ns, self.excused_until_ns)
        if now_ns - since_ns > self._nobody_ns:
            self.wrongs.append(
                f"R-I6: nobody held the address for {(now_ns - since_ns) / MS:.3f} ms, "
                f"{self._nobody_ns / MS:.3f} ms may be"
            )


def transitions(routers: list[Router], most: int) -> list[str]:
    """N1, R-I11: numbers go up by one within a life and never come twice; and there are not too many."""
    wrongs = []
    for router in routers:
        expected: dict[str, int] = {}
        for told in router.told:
            number = expected.get(told.life, 0) + 1
            if told.transition.number != number:
                wrongs.append(
                    f"N1: {router.name} told transition {told.transition.number} of life {told.life}, "
                    f"{number} was next"
                )
            expected[told.life] = told.transition.number
        if len(router.told) > most:
            wrongs.append(f"R-I11: {router.name} made {len(router.told)} transitions, {most} may be")
    return wrongs


def settled(routers: list[Router], *, was_master: Router | None, preempts: bool) -> list[str]:
    """R-I3, R-I4, R-I9, R-I10: one master, the right one, who alone has the address; all is told as it is."""
    masters = [router for router in routers if router.state is VrrpState.MASTER]
    if len(masters) != 1:
        return ["R-I3: " + ", ".join(f"{router.name} is {router.state}" for router in routers)]
    wrongs = []
    (master,) = masters
    best = max(router.config.priority for router in routers)
    if preempts and master.config.priority != best:
        wrongs.append(f"R-I4: {master.name} of priority {master.config.priority} is master, {best} is there")
    if not preempts and was_master is not None and master is not was_master:
        wrongs.append(f"R-I4: {was_master.name} was master, nobody preempts, and {master.name} is it now")
    holding = [router.name for router in routers if router.holds()]
    if holding != [master.name]:
        wrongs.append(f"R-I9: {master.name} is master, the address is held by {holding}")
    return wrongs + [wrong for router in routers for wrong in told_wrongly(router)]


def told_wrongly(router: Router) -> list[str]:
    """R-I10: what was published last, which the bus repeats, is what is so."""
    if not router.ours:
        return []
    view, instance = router.view, router.instance
    if view is None or instance is None:
        return [f"R-I10: {router.name} told {view}, it has {instance}"]
    told = (view.life, view.state, view.transitions, view.effective_priority, view.holds_addresses)
    so = (
        instance.life, instance.state, instance.transitions, instance.effective_priority,
        instance.state is VrrpState.MASTER,
    )  # fmt: skip
    return [] if told == so else [f"R-I10: {router.name} told {told}, it is {so}"]


def lease_bound_ns(routers: list[Router]) -> int:
    """R-I2: the longest lease by the slowest clock, and how late the kernel may be. Below 13.4 ms is none."""
    bounds_ns = [0]
    for router in routers:
        interval_us = router.config.advert_interval_us
        if interval_us >= 1_000_000:
            lease_ns, late_ns = 2 * interval_us // 1_000_000 * 1_000_000_000, EXPIRY_LATENESS_NS
        elif interval_us >= 13_400:
            lease_ns, late_ns = 2 * interval_us * 1000, GATE_LATENESS_NS
        else:
            return 1 << 62
        bounds_ns.append(lease_ns * 1_000_000 // router.clock_ppm + late_ns)
    return max(bounds_ns)
