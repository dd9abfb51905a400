"""Addresses that had to go and that the kernel did not let go: asked again until they are gone.

Law of this file: such an address is in nobody's hands, and the other node has it by now. Where the gate
guards it, it is mute from the moment of the refusal until it is gone or this node is its master again,
whoever else keeps the gate open (R-L3, R-F46); elsewhere its lifetime ends by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from keepbus.contracts.vrrp import VrrpState
from keepbus.runtime.machine import Log
from keepbus_vrrp import events, family, publication
from keepbus_vrrp.effects import Remove
from keepbus_vrrp.instance import Instance
from keepbus_vrrp.netlink import Address
from keepbus_vrrp.timers import Timer
from keepbus_vrrp.turn import Turn

_FIRST_WAIT_NS = 500_000_000
_LONGEST_WAIT_NS = 30_000_000_000

_Place = tuple[int, bytes, int]
"""What the kernel knows an address by: interface index, address, prefix length."""


@dataclass(slots=True)
class _Left:
    instance: str
    address: Address
    wait_ns: int
    at_ns: int
    """When it is asked again, CLOCK_BOOTTIME."""


class Removals:
    """Of all instances of the process."""

    def __init__(self, turn: Turn, instances: Mapping[str, Instance]) -> None:
        """instances are those of the machine, by key."""
        self._turn = turn
        self._instances = instances
        self._left: dict[_Place, _Left] = {}
        self._timer = Timer(self._ask)
        self.handlers: dict[type, Callable[[Any], None]] = {events.Removed: self._removed}

    def _removed(self, event: events.Removed) -> None:
        turn = self._turn
        refused = dict(event.refused)
        for address in event.addresses:
            if address in refused:
                self._keep(event.instance, address, refused[address])
            elif address[:3] in self._left:
                self._forget(address[:3])
                turn.effects.append(Log("info", f"{_text(address)} is removed now"))
        self._arm()

    def _keep(self, key: str, address: Address, error: str) -> None:
        turn = self._turn
        if any(self._masters(address)):
            return
        left = self._left.get(address[:3])
        if left is None:
            left = self._left[address[:3]] = _Left(key, address, _FIRST_WAIT_NS, 0)
        else:
            left.wait_ns = min(2 * left.wait_ns, _LONGEST_WAIT_NS)
        left.at_ns = turn.now_ns + left.wait_ns
        turn.effects += turn.guarding.mute(address.address)
        instance = self._instances.get(key)
        if instance is not None and instance.kept.get(address.address) != error:
            instance.kept[address.address] = error
            turn.telling.say(publication.address(instance, address.address, "kept", error))
            instance.publish()

    def _ask(self, _at_ns: int) -> None:
        turn = self._turn
        for place, left in list(self._left.items()):
            if any(self._masters(left.address)):
                self._forget(place)
            elif left.at_ns <= turn.now_ns:
                turn.effects.append(Remove(left.instance, (left.address,), again=True))
                # Until the answer comes; it is taken for a refusal if there is none.
                left.at_ns = turn.now_ns + left.wait_ns
        self._arm()

    def _forget(self, place: _Place) -> None:
        """It is gone, or this node's by right."""
        left = self._left.pop(place)
        self._turn.effects += self._turn.guarding.unmute(left.address.address)
        instance = self._instances.get(left.instance)
        if instance is not None and instance.kept.pop(left.address.address, None) is not None:
            instance.publish()

    def _masters(self, address: Address) -> Iterator[Instance]:
        """Those who have it by right."""
        for instance in self._instances.values():
            if instance.state is VrrpState.MASTER and any(
                each[:2] == address[:2] for each in instance.installable(instance.all_addresses)
            ):
                yield instance

    def _arm(self) -> None:
        if self._left:
            self._turn.timers.arm(self._timer, min(left.at_ns for left in self._left.values()))
        else:
            self._turn.timers.cancel(self._timer)


def _text(address: Address) -> str:
    return f"{family.text(address.address)}/{address.prefix}"
