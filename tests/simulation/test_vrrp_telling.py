"""Hundreds of instances that take over together, in a process for which everything takes time.

R-L7 ends the reign of a master whose process was held up. What a transition costs must never hold up the
process for so long: else step-downs cause takeovers, these step-downs, and so on.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

from keepbus_vrrp import effects, events, ipv4
from keepbus_vrrp.machine import Machine
from keepbus_vrrp.netlink import IFF_RUNNING, IFF_UP, AddressMessage, LinkMessage

from keepbus.config.model.vrrp import VirtualAddress, VrrpInstance, VrrpSection
from keepbus.contracts.vrrp import Instance, Transitioned, VrrpState
from keepbus.runtime.machine import Configured, Exit, Log, Publish, StopRequested

MS = 1_000_000
COUNT = 250
INTERVAL_MS = 100
COST_NS = {Publish: 1 * MS, Log: MS // 5, effects.Advertise: MS // 50, effects.Remember: MS // 20}
"""Of carrying out an effect, on a busy machine: 1 s for what 250 takeovers have to say, five leases long."""

INSTALL_NS = 2 * MS
"""Of an address, while the kernel's lock is busy: all 250 take longer than a lease."""


class Process:
    """A machine whose effects take time, as `Loop` turns it."""

    def __init__(self) -> None:
        self.machine = Machine()
        self.now_ns = 1_000 * MS
        self.adverts_at_ns: dict[str, list[int]] = {}
        self.told: list[Any] = []
        self.exited = False
        section = VrrpSection(
            instances=tuple(
                VrrpInstance(
                    name=f"VI_{number}",
                    interface="eth0",
                    virtual_router_id=number,
                    version=3,
                    advert_interval_us=INTERVAL_MS * 1000,
                    virtual_addresses=(
                        VirtualAddress(address=f"10.8.{number}.1", prefix=32, interface="eth0"),
                    ),
                )
                for number in range(1, COUNT + 1)
            )
        )
        link = LinkMessage(False, 2, "eth0", IFF_UP | IFF_RUNNING, b"router", 1500)
        address = AddressMessage(False, 2, ipv4.pack("10.7.0.1"), 24)
        self._kernel = events.KernelRead((link,), (address,))
        self.turn(Configured(1, section, self.now_ns))

    def turn(self, *happened: Any) -> None:
        """One turn and those that answers call for."""
        waiting = list(happened)
        looked_at_ns = self.now_ns
        while True:
            answers: list[Any] = []
            for effect in self.machine.turn(looked_at_ns, waiting):
                self.now_ns += COST_NS.get(type(effect), 0)
                answers += self._perform(effect)
            if not answers:
                return
            waiting = answers

    def run(self, milliseconds: int) -> None:
        """Turn whenever the machine wants it."""
        until_ns = self.now_ns + milliseconds * MS
        while (wake_at_ns := self.machine.wake_at_ns()) is not None and wake_at_ns <= until_ns:
            self.now_ns = max(self.now_ns, wake_at_ns)
            if self.now_ns > until_ns:
                return
            self.turn()

    def _perform(self, effect: Any) -> list[Any]:
        match effect:
            case effects.Recall():
                return [events.Remembered("boot", ())]
            case effects.ReadKernel():
                return [self._kernel]
            case effects.Advertise():
                self.adverts_at_ns.setdefault(effect.instance, []).append(self.now_ns)
                if effect.confirm:
                    self.now_ns += INSTALL_NS
                    taken = tuple(address.address for address in effect.addresses)
                    return [events.Installed(effect.instance, taken)]
            case Publish():
                self.told.append(effect.body)
            case Exit():
                self.exited = True
        return []


def test_telling_never_holds_up_adverts() -> None:
    """R-F65: 250 masterships change at once; addresses are there within a second, adverts on time."""
    process = Process()
    process.run(10_000)
    instances = process.machine.instances.values()
    # Each started as backup and took over, once.
    assert {(instance.state, instance.transitions) for instance in instances} == {(VrrpState.MASTER, 2)}
    first_ns = [moments[0] for moments in process.adverts_at_ns.values()]
    assert max(first_ns) - min(first_ns) < 1_000 * MS
    gaps_ns = [
        later - earlier for moments in process.adverts_at_ns.values() for earlier, later in pairwise(moments)
    ]
    assert len(gaps_ns) > COUNT * 80
    assert max(gaps_ns) < 2 * INTERVAL_MS * MS, "a lease ended"
    # And everything was told in the end: each transition once, and the state of now as the last.
    happened = Counter(
        (body.instance, body.transition.number) for body in process.told if type(body) is Transitioned
    )
    assert happened == {(f"VI_{number}", change): 1 for number in range(1, COUNT + 1) for change in (1, 2)}
    last = {body.name: body for body in process.told if type(body) is Instance}
    assert len(last) == COUNT
    assert all(
        body.state is VrrpState.MASTER and body.holds_addresses and len(body.history) == 2
        for body in last.values()
    )


def test_a_stall_is_over_after_one_step_down() -> None:
    """All step down together, take over together, and that is the end of it."""
    process = Process()
    process.run(10_000)
    process.now_ns += 1_000 * MS
    process.run(10_000)
    instances = process.machine.instances.values()
    assert {(instance.state, instance.transitions) for instance in instances} == {(VrrpState.MASTER, 4)}


def test_what_waits_to_be_told_is_told_before_the_end() -> None:
    process = Process()
    process.run(600)  # in the midst of it
    process.turn(StopRequested(process.now_ns))
    assert process.exited
    last = {body.name: body.state for body in process.told if type(body) is Instance}
    assert last == {f"VI_{number}": VrrpState.STOP for number in range(1, COUNT + 1)}
