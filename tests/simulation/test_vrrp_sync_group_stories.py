"""Two routers, two wires, one sync group, in virtual time with faults: E8 as an invariant.

After each turn the members of a router are in one state, whatever links go down, packets are lost or
processes die; and when all is whole again, one router holds both addresses and the other none (R-I3, R-I4).
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from keepbus_vrrp import effects, events, ipv4
from keepbus_vrrp.machine import Machine
from keepbus_vrrp.netlink import IFF_RUNNING, IFF_UP, AddressMessage, LinkMessage
from keepbus_vrrp.record import dump

from keepbus.config.model.vrrp import (
    FOREVER_S,
    AddressFamily,
    SyncGroup,
    VirtualAddress,
    VrrpInstance,
    VrrpSection,
)
from keepbus.contracts.vrrp import VrrpState
from keepbus.runtime.machine import Configured, Effect, Event
from keepbus.testing.wire import Node, World

MS = 1_000_000
S = 1_000 * MS
EXPIRY_LATENESS_NS = 234 * MS
WIRES = (0, 1)
VIPS = tuple(bytes((192, 0, 2 + wire, 1)) for wire in WIRES)


class Router(Node):
    """A machine over a pretended kernel with two interfaces; a packet's first octet names its wire."""

    def __init__(self, world: World, number: int, priority: int, version: int) -> None:
        super().__init__(world, f"router {number}")
        self.number = number
        self.up = [True, True]
        self.held_until_ns = dict.fromkeys(VIPS, 0)
        self.memory: dict[str, tuple[str, int, int, tuple[int, ...]]] = {}
        configs = tuple(
            VrrpInstance(
                name=f"VI_{wire}",
                interface=f"eth{wire}",
                virtual_router_id=51 + wire,
                version=version,
                priority=priority,
                virtual_addresses=(
                    VirtualAddress(address=ipv4.dotted(VIPS[wire]), prefix=24, interface=f"eth{wire}"),
                ),
            )
            for wire in WIRES
        )
        group = SyncGroup(name="VG_1", members=("VI_0", "VI_1"))
        self.section = VrrpSection(instances=configs, sync_groups=(group,))

    def boot(self) -> None:
        """Start the process, unless it runs."""
        if self.machine is None:
            self.start(Machine(), [Configured(1, self.section, self.world.now_ns)])

    def set_link(self, wire: int, up: bool) -> None:
        """Carrier of one interface; without it nothing is heard or said there."""
        self.up[wire] = up
        if self.machine is not None:
            self._inbox.append(events.LinkChanged(self._link(wire)))
            self.turn()

    def states(self) -> list[VrrpState]:
        """Of the members, if the process runs."""
        return [each.state for each in self.machine.instances.values()] if self.machine else []  # type: ignore[attr-defined]

    def holds(self) -> list[bool]:
        """Per wire: has the kernel the address?"""
        return [self.held_until_ns[vip] > self.world.now_ns for vip in VIPS]

    def _link(self, wire: int) -> LinkMessage:
        flags = IFF_UP | (IFF_RUNNING if self.up[wire] else 0)
        return LinkMessage(False, 2 + wire, f"eth{wire}", flags, b"router", 1500)

    def arrive(self, octets: bytes) -> None:
        if self.up[octets[0]]:
            super().arrive(octets)

    def received(self, octets: bytes) -> Event:
        endpoint = effects.Endpoint(2 + octets[0], AddressFamily.IPV4)
        return events.Received(endpoint, ((octets[1:], self.world.now_ns),))

    def perform(self, effect: Effect) -> Iterable[Event] | None:
        match effect:
            case effects.ReadKernel():
                own = [
                    AddressMessage(False, 2 + wire, bytes((192, 0, 2 + wire, 10 + self.number)), 24)
                    for wire in WIRES
                ]
                own += [AddressMessage(False, 2 + w, VIPS[w], 24) for w in WIRES if self.holds()[w]]
                return [events.KernelRead(tuple(map(self._link, WIRES)), tuple(own))]
            case effects.Recall():
                return [events.Remembered("boot", tuple(self.memory.values()))]
            case effects.Remember(key, left, holds_lease):
                _, sent, lease_end, counters = self.memory.get(key, ("", 0, 0, (0,) * 6))
                self.memory[key] = (dump(left), sent, lease_end if holds_lease else 0, counters)
            case effects.Advertise():
                return self._advertise(effect)
            case effects.Remove():
                for address in effect.addresses:
                    self.held_until_ns[address.address] = 0
        return None

    def _advertise(self, effect: effects.Advertise) -> list[Event]:
        wire = effect.endpoint.interface_index - 2
        if self.up[wire]:
            for copy in effect.copies:
                self.world.broadcast(self, bytes([wire]) + copy[1])
        now_ns = self.world.now_ns
        if effect.lease_end_ns:
            text, _, _, counters = self.memory.get(effect.instance, ("", 0, 0, (0,) * 6))
            self.memory[effect.instance] = (text, now_ns, effect.lease_end_ns, counters)
        if effect.addresses:
            forever = effect.valid_s == FOREVER_S
            until_ns = 1 << 62 if forever else now_ns + effect.valid_s * S + EXPIRY_LATENESS_NS
            self.held_until_ns[VIPS[wire]] = until_ns
        return [events.Installed(effect.instance, (VIPS[wire],))] if effect.confirm else []


def story(seed: int) -> tuple[World, list[Router]]:
    """Half a minute of faults, then all is whole."""
    world = World(seed)
    pick = world.random
    version = pick.choice((2, 3))
    priorities = pick.sample((90, 100, 150, 200), 2)
    routers = [Router(world, number, priority, version) for number, priority in enumerate(priorities)]
    world.loss = pick.choice((0.0, 0.0, 0.1, 0.3))
    for router in routers:
        world.after(pick.randint(0, 4 * S), router.boot)
        for _ in range(pick.randint(0, 3)):
            wire, at_ns = pick.choice(WIRES), pick.randint(1 * S, 25 * S)
            world.after(at_ns, lambda r=router, w=wire: r.set_link(w, False))  # type: ignore[misc]
            world.after(at_ns + pick.randint(1, 8000) * MS, lambda r=router, w=wire: r.set_link(w, True))  # type: ignore[misc]
        if pick.random() < 0.4:
            at_ns = pick.randint(5 * S, 25 * S)
            world.after(at_ns, router.crash)
            world.after(at_ns + pick.randint(1, 6000) * MS, router.boot)
    return world, routers


@pytest.mark.parametrize("block", range(10))
def test_e8_members_are_in_one_state_and_one_router_has_all_at_the_end(block: int) -> None:
    for seed in range(block * 20, block * 20 + 20):
        world, routers = story(seed)

        def look(routers: list[Router] = routers, seed: int = seed, world: World = world) -> None:
            for router in routers:
                assert len(set(router.states())) <= 1, (
                    f"seed {seed}: {router.name} at {world.now_ns}: {router.states()}"
                )

        world.watchers.append(look)
        begun_ns = world.now_ns
        world.run(begun_ns + 35 * S)
        world.loss = 0.0
        for router in routers:
            for wire in WIRES:
                router.set_link(wire, True)
            router.boot()
        world.run(begun_ns + 60 * S)
        best = max(routers, key=lambda router: router.section.instances[0].priority)
        (other,) = (router for router in routers if router is not best)
        assert best.holds() == [True, True], f"seed {seed}: {best.states()} {other.states()}"
        assert other.holds() == [False, False], f"seed {seed}"
