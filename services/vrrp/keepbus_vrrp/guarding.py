"""Which addresses pass the gate only while they are held.

Law of this file: the gate is made before an address is held and goes after the last one was removed; what an
earlier process left of it is taken over or taken away with the first configuration.
"""

from __future__ import annotations

from collections.abc import Mapping

from keepbus.runtime.machine import Log
from keepbus_vrrp.effects import Guard
from keepbus_vrrp.instance import Instance
from keepbus_vrrp.turn import Turn


class Guarding:
    """The node's."""

    def __init__(self, turn: Turn, instances: Mapping[str, Instance]) -> None:
        self._turn = turn
        self._instances = instances
        self._guarded: tuple[bytes, ...] | None = None
        """None: what an earlier process left is not known."""

    def arrange(self) -> None:
        """Guard the addresses of all instances that are too fast for a lifetime."""
        self._guard({address for each in self._instances.values() for address in each.terms.gated})

    def end(self) -> None:
        """Leave nothing in the kernel."""
        self._guard(set())

    def changed(self, error: str) -> bool:
        """The kernel made the gate, or did not; True when that is news."""
        turn = self._turn
        if error == turn.gate_error:
            return False
        turn.gate_error = error
        if error:
            turn.effects.append(Log("error", f"no address lease below 1 s: {error}"))
        for instance in self._instances.values():
            if instance.terms.gated:
                instance.publish()
        return True

    def _guard(self, addresses: set[bytes]) -> None:
        guarded = tuple(sorted(addresses))
        if guarded != self._guarded:
            self._guarded = guarded
            self._turn.effects.append(Guard(guarded))
