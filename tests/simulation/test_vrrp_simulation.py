"""Routers in virtual time on a wire with faults: the invariants of reliability section 9.

R-I1, R-I2: on a whole wire two routers hold the address together no longer than a packet travels, or, with a
frozen or dead one among them, than the lease. R-I3, R-I4: after healing exactly one holds it, the best.
R-I8: a backup sends nothing but on promotion. R-I13: the same seed gives the same story.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import pytest
from keepbus_vrrp import effects, events, ipv4
from keepbus_vrrp.machine import Machine
from keepbus_vrrp.netlink import FOREVER_S, IFF_RUNNING, IFF_UP, AddressMessage, LinkMessage

from keepbus.config.model import AddressFamily, VirtualAddress, VrrpInstance, VrrpSection
from keepbus.contracts.vrrp import VrrpState
from keepbus.runtime.machine import Configured, Effect, Event, Exit, StopRequested
from keepbus.testing.wire import Node, World

MS = 1_000_000
S = 1_000 * MS
EXPIRY_LATENESS_NS = 234 * MS
"""The kernel's, as measured for a lifetime of 2 s."""
VIP = ipv4.pack("192.0.2.1")


class Router(Node):
    """A machine over a pretended kernel: one interface, addresses with lifetimes, a memory."""

    def __init__(self, world: World, number: int, config: VrrpInstance) -> None:
        super().__init__(world, f"router {number}")
        self.config = config
        self.address = bytes((192, 0, 2, 10 + number))
        self.held_until_ns = 0
        self.memory: dict[str, tuple[str, int, int, tuple[int, ...]]] = {}

    def boot(self) -> None:
        """Start the process."""
        machine = Machine()
        section = VrrpSection(instances=(self.config,))
        self.start(machine, [Configured(1, section, self.world.now_ns)])

    def holds(self) -> bool:
        """True when the kernel has the address."""
        return self.held_until_ns > self.world.now_ns

    @property
    def state(self) -> VrrpState | None:
        """Of the one instance."""
        if not isinstance(self.machine, Machine):
            return None
        return next(iter(self.machine.instances.values())).state

    def received(self, octets: bytes) -> Event:
        return events.Received(effects.Endpoint(2, AddressFamily.IPV4), ((octets, self.world.now_ns),))

    def perform(self, effect: Effect) -> Iterable[Event] | None:
        now_ns = self.world.now_ns
        match effect:
            case effects.ReadKernel():
                link = LinkMessage(False, 2, "eth0", IFF_UP | IFF_RUNNING, b"router", 1500)
                found = [AddressMessage(False, 2, self.address, 24)]
                if self.holds():
                    found.append(AddressMessage(False, 2, VIP, 24))
                return [events.KernelRead((link,), tuple(found))]
            case effects.Recall():
                return [events.Remembered("boot", tuple(self.memory.values()))]
            case effects.Remember(key, text, holds_lease):
                _, sent, lease_end, counters = self.memory.get(key, ("", 0, 0, (0,) * 6))
                self.memory[key] = (text, sent, lease_end if holds_lease else 0, counters)
            case effects.Advertise():
                self.world.broadcast(self, effect.copies[0][1])
                if effect.lease_end_ns:
                    text, _, _, counters = self.memory.get(effect.instance, ("", 0, 0, (0,) * 6))
                    self.memory[effect.instance] = (text, now_ns, effect.lease_end_ns, counters)
                if effect.addresses:
                    self._install(effect.valid_s)
                if effect.confirm:
                    return [events.Installed(effect.instance, (VIP,))]
            case effects.Remove():
                self.held_until_ns = 0
            case Exit():
                self.machine = None
        return None

    def _install(self, valid_s: int) -> None:
        forever = valid_s == FOREVER_S
        self.held_until_ns = 1 << 62 if forever else self.world.now_ns + valid_s * S + EXPIRY_LATENESS_NS
        if not forever:
            self.world.at(self.held_until_ns, lambda: None)  # so that the watchers see it go


class Overlaps:
    """How long two or more held the address together; with wanted=0: how long nobody did."""

    def __init__(self, world: World, routers: list[Router], wanted: int = 2) -> None:
        self._world, self._routers, self._wanted = world, routers, wanted
        self._since_ns: int | None = None
        self.longest_ns = 0
        world.watchers.append(self.look)

    def look(self) -> None:
        together = min(sum(router.holds() for router in self._routers), 2) == self._wanted
        if together and self._since_ns is None:
            self._since_ns = self._world.now_ns
        if self._since_ns is not None:
            self.longest_ns = max(self.longest_ns, self._world.now_ns - self._since_ns)
        if not together:
            self._since_ns = None


def build(seed: int) -> tuple[World, list[Router]]:
    """2 to 4 routers of one virtual router; v2 or v3, intervals of 1 to 2 s, ties among the priorities."""
    world = World(seed)
    pick = world.random
    version = pick.choice((2, 3))
    interval_us = 1_000_000 if version == 2 else pick.choice((1_000_000, 1_250_000, 2_000_000))
    routers = [
        Router(
            world,
            number,
            VrrpInstance(
                name="VI_1",
                interface="eth0",
                virtual_router_id=51,
                version=version,
                advert_interval_us=interval_us,
                priority=pick.choice((50, 100, 100, 150, 200)),
                virtual_addresses=(VirtualAddress(address="192.0.2.1", prefix=24, interface="eth0"),),
            ),
        )
        for number in range(pick.randint(2, 4))
    ]
    for router in routers:
        world.after(pick.randrange(3 * S), router.boot)
    return world, routers


def settle_ns(routers: list[Router]) -> int:
    """R-I3: the running timer, one interval more, two delays; and a step down before it after a freeze."""
    interval_ns = routers[0].config.advert_interval_us * 1000
    return 9 * interval_ns


def assert_settled(world: World, routers: list[Router]) -> None:
    """Exactly one master with the address, and it is the best."""
    assert not any(router.frozen or router.machine is None for router in routers)
    best = max(routers, key=lambda router: (router.config.priority, router.address))
    tied = [router for router in routers if router.config.priority == best.config.priority]
    masters = [router for router in routers if router.state is VrrpState.MASTER]
    assert len(masters) == 1, [(router.name, router.state) for router in routers]
    # Among equals the first stays: a backup does not compare addresses (B6).
    assert masters[0] in tied
    assert [router for router in routers if router.holds()] == masters


def break_things(world: World, routers: list[Router], *, hold: int, crash_only: bool = False) -> None:
    """One random fault of a router; it ends after `hold` ns at most."""
    pick = world.random
    router = pick.choice(routers)
    duration_ns = pick.randrange(1, hold)
    kind = "crash" if crash_only else pick.choice(("crash", "freeze", "stop"))
    if router.machine is None or router.frozen:
        return
    if kind == "freeze":
        router.freeze()
        world.after(duration_ns, router.thaw)
        return
    if kind == "stop" and isinstance(router.machine, Machine):
        for effect in router.machine.turn(world.now_ns, [StopRequested(world.now_ns)]):
            router.perform(effect)
    router.crash()
    world.after(duration_ns, router.boot)


def scatter(
    world: World, routers: list[Router], count: int, *, until: int, hold: int, crash_only: bool = False
) -> None:
    """Faults at random moments from 5 s on."""
    for _ in range(count):
        moment_ns = world.random.randrange(5 * S, until)
        world.after(moment_ns, partial(break_things, world, routers, hold=hold, crash_only=crash_only))


@pytest.mark.parametrize("block", range(10))
def test_no_faults_no_overlap_longer_than_a_delay(block: int) -> None:
    """R-I1, and regular stops among it."""
    for seed in range(block * 20, block * 20 + 20):
        world, routers = build(seed)
        overlaps = Overlaps(world, routers)
        world.run(world.now_ns + 40 * S)
        assert_settled(world, routers)
        assert overlaps.longest_ns <= world.delay_ns[1], seed


@pytest.mark.parametrize("block", range(10))
def test_crashes_freezes_and_stops_on_a_whole_wire(block: int) -> None:
    """R-I2, R-I3, R-I14: never longer than the lease together, one master at the end."""
    for seed in range(1000 + block * 20, 1000 + block * 20 + 20):
        world, routers = build(seed)
        overlaps = Overlaps(world, routers)
        scatter(world, routers, 8, until=60 * S, hold=10 * S)
        world.run(world.now_ns + 75 * S)
        lease_ns = routers[0].config.advert_interval_us * 2000
        assert overlaps.longest_ns <= lease_ns + EXPIRY_LATENESS_NS, seed
        world.run(world.now_ns + settle_ns(routers))
        assert_settled(world, routers)


@pytest.mark.parametrize("block", range(5))
def test_loss_and_cuts_then_healing(block: int) -> None:
    """R-I3, R-I4: what happened on a broken wire is forgotten."""
    for seed in range(2000 + block * 20, 2000 + block * 20 + 20):
        world, routers = build(seed)
        world.loss = 0.3
        for one in routers:
            for other in routers:
                if world.random.random() < 0.3:
                    world.cut.add((one.name, other.name))
        scatter(world, routers, 4, until=30 * S, hold=8 * S)
        world.run(world.now_ns + 40 * S)
        world.loss = 0.0
        world.cut.clear()
        world.run(world.now_ns + settle_ns(routers))
        assert_settled(world, routers)
        overlaps = Overlaps(world, routers)
        world.run(world.now_ns + 30 * S)
        assert overlaps.longest_ns == 0
        assert_settled(world, routers)


def test_a_restart_within_the_lease_is_seen_by_nobody() -> None:
    """R-I14, R-F2: crashes of at most half an interval; nobody else is ever master."""
    for seed in range(3000, 3030):
        world, routers = build(seed)
        world.run(world.now_ns + 30 * S)
        assert_settled(world, routers)
        before = [router.state for router in routers]
        for _ in range(20):
            scatter(world, routers, 1, until=25 * S, hold=450 * MS, crash_only=True)
        together = Overlaps(world, routers)
        missing = Overlaps(world, routers, wanted=0)
        world.run(world.now_ns + 30 * S)
        assert [router.state for router in routers] == before
        assert together.longest_ns == missing.longest_ns == 0


def test_the_same_seed_tells_the_same_story() -> None:
    """R-I13."""

    def story(seed: int) -> list[tuple[str, str, int, str]]:
        world, routers = build(seed)
        scatter(world, routers, 8, until=60 * S, hold=10 * S)
        world.run(world.now_ns + 80 * S)
        return [
            (router.name, str(each.to_state), each.at_ns, each.cause)
            for router in routers
            if isinstance(router.machine, Machine)
            for instance in router.machine.instances.values()
            for each in instance.history
        ]

    assert story(7) == story(7)
    assert story(7) != story(8)
