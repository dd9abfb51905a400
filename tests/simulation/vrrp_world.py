"""Routers in virtual time: vrrp's machine over a pretended kernel, and what is noted of each.

Nothing here judges. What the machine is told and what it wishes is noted in a form of this file's own, so
that the invariants do not believe what the machine says of itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, NamedTuple

from keepbus_vrrp import effects, events, ipv4
from keepbus_vrrp.instance import Instance
from keepbus_vrrp.machine import Machine
from keepbus_vrrp.netlink import IFF_RUNNING, IFF_UP, AddressMessage, LinkMessage
from keepbus_vrrp.record import dump

from keepbus.config.model.vrrp import FOREVER_S, AddressFamily, VirtualAddress, VrrpInstance, VrrpSection
from keepbus.contracts.vrrp import Instance as View
from keepbus.contracts.vrrp import Transition, Transitioned, VrrpState
from keepbus.runtime.machine import Configured, Effect, Event, Exit, Publish, StopRequested
from keepbus.testing.wire import Node, World

MS = 1_000_000
S = 1_000 * MS
EXPIRY_LATENESS_NS = 234 * MS
"""Of the kernel's address lifetimes, as measured for a lifetime of 2 s."""
GATE_LATENESS_NS = 10 * MS
"""Of the timeouts of nftables: a tick of the slowest kernel."""
VIP = ipv4.pack("192.0.2.1")
ADDRESS = VirtualAddress(address="192.0.2.1", prefix=24, interface="eth0")
_INTERFACE = 2
_VERSION, _VRID, _PRIORITY = 20, 21, 22
"""Where they stand in a datagram without IP options."""


def configured(**fields: Any) -> VrrpInstance:
    """The one virtual router of a simulated wire; fields are those that differ."""
    return VrrpInstance(
        name="VI_1", interface="eth0", virtual_router_id=51, virtual_addresses=(ADDRESS,), **fields
    )


class Heard(NamedTuple):
    """An advert that reached a running process."""

    at_ns: int
    priority: int
    source: bytes


class Told(NamedTuple):
    """A transition that went out, with the life in which it is numbered."""

    life: str
    transition: Transition
    at_ns: int


class Router(Node):
    """A machine over a pretended kernel: one interface, addresses with lifetimes, a memory."""

    ours: ClassVar[bool] = True
    """False for routers of others (vrrp_peers.py)."""

    def __init__(self, world: World, number: int, config: VrrpInstance) -> None:
        super().__init__(world, f"router {number}")
        self.config = config
        self.address = bytes((192, 0, 2, 10 + number))
        self.held_until_ns = 0
        """The kernel has the address and lets it pass until then."""
        self._present_until_ns = self._open_until_ns = 0
        self._guarded_us = 0
        self.link_up = True
        self.memory: dict[str, tuple[str, int, int, tuple[int, ...]]] = {}
        self.heard: list[Heard] = []
        """Since the process started."""
        self.told: list[Told] = []
        self.wrongs: list[str] = []
        """What no router may ever do, seen while it happened."""
        self.view: View | None = None
        """The last that was published of the one instance."""
        self._generation = 0
        self._was = VrrpState.INIT

    # What is done to it

    def boot(self) -> None:
        """Start the process, unless it runs."""
        if self.machine is None:
            self.heard.clear()
            self._was = VrrpState.INIT
            self._generation = 1
            self.start(Machine(), [Configured(1, self._section(), self.clock_ns())])

    def reload(self, config: VrrpInstance) -> None:
        """Another configuration; a process that does not run starts with it later."""
        self.config = config
        self._generation += 1
        self.tell(Configured(self._generation, self._section(), self.clock_ns()))

    def stop(self) -> None:
        """SIGTERM."""
        self.tell(StopRequested(self.world.now_ns))

    def set_link(self, up: bool) -> None:
        """Carrier of the one interface; without it nothing is heard or said."""
        self.link_up = up
        self.tell(events.LinkChanged(self._link()))

    def step_wall_clock(self, by_ns: int) -> None:
        """Somebody sets the clock."""
        self.tell(events.WallClock(by_ns))

    def tell(self, event: Event) -> None:
        """An event from the node itself."""
        if self.machine is not None:
            self._inbox.append(event)
            self.turn()

    # What can be seen of it

    def holds(self) -> bool:
        """True when the kernel has the address."""
        return self.held_until_ns > self.world.now_ns

    @property
    def instance(self) -> Instance | None:
        """The one instance of a process that runs and is configured."""
        if not isinstance(self.machine, Machine):
            return None
        return next(iter(self.machine.instances.values()), None)

    @property
    def state(self) -> VrrpState | None:
        """Of the one instance."""
        instance = self.instance
        return None if instance is None else instance.state

    @property
    def works(self) -> bool:
        """A process that runs, with a link."""
        return self.machine is not None and not self.frozen and self.link_up

    def protocol_state(self) -> tuple[object, ...]:
        """All that decides what the router does next."""
        one = self.instance
        assert one is not None
        return (
            one.state, one.timer.due_at_ns, one.wait_us, one.master_interval_us, one.master_source,
            one.master_priority, one.preempt_at_ns, one.adverts.message_sum, one.lease.end_ns,
            one.transitions, one.last_advert_at_ns, one.effective_priority, self.held_until_ns,
        )  # fmt: skip

    # The pretended world

    def turn(self) -> None:
        """Look that nothing is sent that the state does not allow (R-I8)."""
        super().turn()
        self._was = self.state or self._was

    def arrive(self, octets: bytes) -> None:
        if self.link_up:
            if self.machine is not None:
                self.heard.append(Heard(self.world.now_ns, octets[_PRIORITY], octets[12:16]))
            super().arrive(octets)

    def received(self, octets: bytes) -> Event:
        return events.Received(effects.Endpoint(_INTERFACE, AddressFamily.IPV4), ((octets, self.clock_ns()),))

    def perform(self, effect: Effect) -> Iterable[Event] | None:
        match effect:
            case effects.ReadKernel():
                found = [AddressMessage(False, _INTERFACE, self.address, 24)]
                if self._present_until_ns > self.world.now_ns:
                    found.append(AddressMessage(False, _INTERFACE, VIP, 24))
                return [events.KernelRead((self._link(),), tuple(found))]
            case effects.Recall():
                return [events.Remembered("boot", tuple(self.memory.values()))]
            case effects.Remember(key, left, holds_lease):
                _, sent, lease_end, counters = self.memory.get(key, ("", 0, 0, (0,) * 6))
                self.memory[key] = (dump(left), sent, lease_end if holds_lease else 0, counters)
            case effects.Advertise():
                return self._advertise(effect)
            case effects.Install():
                self._install(effect.valid_s)
                return [events.Installed(effect.instance, effect.announce)]
            case effects.Remove():
                if any(address.address == VIP for address in effect.addresses):
                    self._present_until_ns = 0
                    self._hold()
            case effects.Guard(addresses):
                self._guarded_us = dict(addresses).get(VIP, 0)
                self._hold()
                return [events.GateChanged("")]
            case effects.OpenGate(leases):
                end_ns = dict(leases).get(self._guarded_us, 0)
                if end_ns > self.clock_ns():
                    self._open_until_ns = self.moment_ns(end_ns) + GATE_LATENESS_NS
                    self._hold()
            case Publish(View() as body):
                self.view = body
            case effects.Forget(key):
                self.memory.pop(key, None)
            case Publish(Transitioned() as body):
                self.told.append(Told(body.life, body.transition, self.world.now_ns))
            case Exit():
                self.machine = None
        return None

    def _advertise(self, effect: effects.Advertise) -> list[Event]:
        ((_, datagram),) = effect.copies
        self._look_at(datagram[_PRIORITY])
        if not self.link_up:
            return [events.TransmitFailed(effect.instance, "Network is down")]
        self.world.broadcast(self, datagram)
        if effect.lease_end_ns:
            text, _, _, counters = self.memory.get(effect.instance, ("", 0, 0, (0,) * 6))
            self.memory[effect.instance] = (text, self.clock_ns(), effect.lease_end_ns, counters)
        if effect.addresses:
            self._install(effect.valid_s)
        return [events.Installed(effect.instance, (VIP,))] if effect.confirm else []

    def _look_at(self, priority: int) -> None:
        state = self.state
        if priority == 0 and (self._was is not VrrpState.MASTER or state is VrrpState.MASTER):
            self.wrongs.append(
                f"{self.name} sent priority 0 and did not leave MASTER ({self._was} to {state})"
            )
        if priority and state is not VrrpState.MASTER and self._was is not VrrpState.MASTER:
            self.wrongs.append(f"{self.name} sent an advert and was no master ({self._was} to {state})")

    def _install(self, valid_s: int) -> None:
        if not self.link_up:
            return
        if valid_s == FOREVER_S:
            self._present_until_ns = 1 << 62
        else:
            end_ns = self.moment_ns(self.clock_ns() + valid_s * S)
            self._present_until_ns = end_ns + EXPIRY_LATENESS_NS
        self._hold()

    def _hold(self) -> None:
        until_ns = self._present_until_ns
        if self._guarded_us:
            until_ns = min(until_ns, self._open_until_ns)
        if until_ns != self.held_until_ns:
            self.held_until_ns = until_ns
            if self.world.now_ns < until_ns < 1 << 62:
                self.world.at(until_ns, _nothing)  # so that the watchers see it go

    def _link(self) -> LinkMessage:
        flags = IFF_UP | IFF_RUNNING if self.link_up else IFF_UP
        return LinkMessage(False, _INTERFACE, "eth0", flags, b"router", 1500)

    def _section(self) -> VrrpSection:
        return VrrpSection(instances=(self.config,))


def _nothing() -> None:
    return
