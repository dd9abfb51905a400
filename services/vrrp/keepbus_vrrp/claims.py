"""Another host that says a virtual address is its own, while this node holds it (R-F57).

Law of this file: it is told and nothing else is done about it, as the address is ours by election. Whoever
has one of this node's MAC addresses is this node: its own frames may come back, and routers that share a
virtual MAC address take turns. Another master's announcements are another matter (rivals.py), and are told
here too: with the MAC address one finds the port of a switch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from keepbus.contracts.vrrp import Claim, VrrpState
from keepbus.runtime.machine import Effect, Log
from keepbus_vrrp import events, family, publication, vmac
from keepbus_vrrp.effects import WatchClaims
from keepbus_vrrp.instance import Instance
from keepbus_vrrp.timers import Timer
from keepbus_vrrp.turn import Turn

_TOLD_AGAIN_NS = 60_000_000_000
_STANDS_NS = 600_000_000_000
"""Who was not heard for so long does not claim it any more."""
_SETTLED_NS = 1_000_000_000
"""What an old master said before it heard of the new one may still be on its way."""
_MOST = 64
"""A forger may invent as many MAC addresses as there are."""


@dataclass(slots=True)
class Seen:
    """One host and one address of an instance. `_at_ns`: CLOCK_BOOTTIME, the others wall clock."""

    address: bytes
    mac: bytes
    interface: str
    since_ns: int
    told_at_ns: int
    last_at_ns: int = 0
    last_ns: int = 0
    times: int = 0

    def body(self) -> Claim:
        """For the bus."""
        return Claim(
            address=family.text(self.address),
            mac=self.mac.hex(":"),
            interface=self.interface,
            since_ns=self.since_ns,
            last_ns=self.last_ns,
            times=self.times,
        )


class Claims:
    """Of all instances of the process."""

    __slots__ = ("_instances", "_timer", "_turn", "_watched", "handlers")

    def __init__(self, turn: Turn, instances: Mapping[str, Instance]) -> None:
        """instances are those of the machine, by key; looked at whenever somebody claims an address."""
        self._turn = turn
        self._instances = instances
        self._watched: tuple[bytes, ...] = ()
        self._timer = Timer(self._forget)
        self.handlers: dict[type, Callable[[Any], None]] = {events.Claimed: self._claimed}

    def arrange(self) -> list[Effect]:
        """Listen for the addresses of the instances of now."""
        watched = tuple(
            sorted({family.pack(a.address) for each in self._instances.values() for a in each.all_addresses})
        )
        if watched == self._watched:
            return []
        self._watched = watched
        return [WatchClaims(watched)]

    def _claimed(self, event: events.Claimed) -> None:
        turn = self._turn
        if turn.links.has_mac(event.mac):
            return
        link = turn.links.by_index(event.interface_index)
        for instance in self._instances.values():
            if (
                link is None
                or instance.state is not VrrpState.MASTER
                or turn.now_ns < instance.entered_at_ns + _SETTLED_NS
                or not _is_held(instance, event.address, link.name)
            ):
                continue
            self._hear(instance, event, link.name)

    def _hear(self, instance: Instance, event: events.Claimed, interface: str) -> None:
        turn, key = self._turn, (event.address, event.mac)
        seen = instance.claims.get(key)
        news = seen is None or turn.now_ns >= seen.told_at_ns + _TOLD_AGAIN_NS
        if seen is None:
            if len(instance.claims) >= _MOST:
                self._drop(instance, _TOLD_AGAIN_NS)
            if len(instance.claims) >= _MOST:
                return
            seen = Seen(*key, interface, turn.wall_ns, turn.now_ns)
            instance.claims[key] = seen
        seen.times += 1
        seen.last_at_ns, seen.last_ns = turn.now_ns, turn.wall_ns
        if news:
            seen.told_at_ns = turn.now_ns
            self._tell(instance, event, interface)
            turn.timers.arm(self._timer, turn.now_ns + _STANDS_NS)

    def _tell(self, instance: Instance, event: events.Claimed, interface: str) -> None:
        mac = event.mac.hex(":")
        why = f"{mac} on {interface} says that it has it, too"
        text = f"{instance.config.name}: {family.text(event.address)} is claimed by another host: {why}"
        self._turn.telling.say(
            publication.address(instance, event.address, "claimed", why), Log("warning", text)
        )
        instance.publish()

    def _forget(self, _at_ns: int) -> None:
        for instance in self._instances.values():
            if self._drop(instance, _STANDS_NS):
                instance.publish()
        ends_ns = [
            each.last_at_ns + _STANDS_NS for i in self._instances.values() for each in i.claims.values()
        ]
        if ends_ns:
            self._turn.timers.arm(self._timer, min(ends_ns))

    def _drop(self, instance: Instance, silent_ns: int) -> bool:
        """Those who were not heard for so long; whether there were any."""
        earliest_ns = self._turn.now_ns - silent_ns
        gone = [key for key, seen in instance.claims.items() if seen.last_at_ns <= earliest_ns]
        for key in gone:
            del instance.claims[key]
        return bool(gone)


def _is_held(instance: Instance, address: bytes, interface: str) -> bool:
    """The address is the instance's, and belongs on the wire that this interface is on."""
    text = family.text(address)
    wires = {instance.config.interface, *(each.name for each in vmac.interfaces(instance.config))}
    return any(
        each.address == text and (interface == each.interface or {interface, each.interface} <= wires)
        for each in instance.all_addresses
    )
