"""Another host that says a virtual address is its own, while this node holds it (R-F57).

Law of this file: it is told and nothing else is done about it, as the address is ours by election. Whoever
has one of this node's MAC addresses is this node: its own frames may come back, and routers that share a
virtual MAC address take turns. Another master's announcements are another matter (rivals.py), and are told
here too: with the MAC address one finds the port of a switch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from keepbus.contracts.vrrp import VrrpState
from keepbus.runtime.machine import Effect, Log
from keepbus_vrrp import events, family, publication, vmac
from keepbus_vrrp.effects import WatchClaims
from keepbus_vrrp.instance import Instance
from keepbus_vrrp.turn import Turn

_TOLD_AGAIN_NS = 60_000_000_000
_SETTLED_NS = 1_000_000_000
"""What an old master said before it heard of the new one may still be on its way."""
_MOST = 64
"""A forger may invent as many MAC addresses as there are."""


class Claims:
    """Of all instances of the process."""

    __slots__ = ("_instances", "_told", "_turn", "_watched", "handlers")

    def __init__(self, turn: Turn, instances: Mapping[str, Instance]) -> None:
        """instances are those of the machine, by key; looked at whenever somebody claims an address."""
        self._turn = turn
        self._instances = instances
        self._watched: tuple[bytes, ...] = ()
        self._told: dict[tuple[str, bytes, bytes], int] = {}
        """When it was told last of whom, by instance, address and MAC address."""
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
            if self._is_news((instance.key, event.address, event.mac)):
                self._tell(instance, event, link.name)

    def _is_news(self, key: tuple[str, bytes, bytes]) -> bool:
        """Not told within the last minute, and there is room to remember it."""
        now_ns = self._turn.now_ns
        self._told = {each: at_ns for each, at_ns in self._told.items() if now_ns < at_ns + _TOLD_AGAIN_NS}
        if key in self._told or len(self._told) >= _MOST:
            return False
        self._told[key] = now_ns
        return True

    def _tell(self, instance: Instance, event: events.Claimed, interface: str) -> None:
        mac = event.mac.hex(":")
        why = f"{mac} on {interface} says that it has it, too"
        text = f"{instance.config.name}: {family.text(event.address)} is claimed by another host: {why}"
        self._turn.telling.say(
            publication.address(instance, event.address, "claimed", why), Log("warning", text)
        )


def _is_held(instance: Instance, address: bytes, interface: str) -> bool:
    """The address is the instance's, and belongs on the wire that this interface is on."""
    text = family.text(address)
    wires = {instance.config.interface, *(each.name for each in vmac.interfaces(instance.config))}
    return any(
        each.address == text and (interface == each.interface or {interface, each.interface} <= wires)
        for each in instance.all_addresses
    )
