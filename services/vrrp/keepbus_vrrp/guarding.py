"""Which addresses pass the gate only while adverts leave, and when it is opened.

Law of this file: the gate is made before an address is held and goes after the last one was removed; what an
earlier process left of it is taken over or taken away with the first configuration. The gate is never open
for longer than the first lease of its length lasts, and an advert counts from the turn after it: by then
it is known whether it left.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter

from keepbus.runtime.machine import Effect
from keepbus_vrrp.effects import Guard, OpenGate
from keepbus_vrrp.lease import Lease
from keepbus_vrrp.terms import Terms
from keepbus_vrrp.timers import NEVER, NS_PER_US

_END = attrgetter("end_ns")
_NEVER_OPEN = 0
"""A length of lease that nobody has."""


class Guarding:
    """The node's. Times are CLOCK_BOOTTIME nanoseconds."""

    __slots__ = (
        "_ever",
        "_guarded",
        "_leases",
        "_muted",
        "_opened_at_ns",
        "_wanted",
        "error",
        "open_at_ns",
    )

    def __init__(self) -> None:
        self._guarded: tuple[tuple[bytes, int], ...] | None = None
        """None: what an earlier process left is not known."""
        self._wanted: dict[bytes, int] = {}
        self._ever: set[bytes] = set()
        """Guarded at some time."""
        self._muted: set[bytes] = set()
        self._leases: dict[int, set[Lease]] = {}
        """Of those who are master now, by their length in microseconds."""
        self._opened_at_ns = 0
        self.open_at_ns = NEVER
        """When the gate is to be opened for the adverts that left."""
        self.error = ""
        """Why there is no lease below 1 s."""

    def arrange(self, terms: Iterable[Terms]) -> list[Effect]:
        """Guard the addresses of all instances that are too fast for a lifetime."""
        self._wanted = {address: each.lease_us for each in terms for address in each.gated}
        self._ever |= self._wanted.keys()
        return self._guard()

    def mute(self, address: bytes) -> list[Effect]:
        """Nothing of it passes, whoever opens the gate, if it is or was one that the gate guards."""
        if address not in self._ever:
            return []
        self._muted.add(address)
        return self._guard()

    def unmute(self, *addresses: bytes) -> list[Effect]:
        """They pass as others do."""
        if self._muted.isdisjoint(addresses):
            return []
        self._muted.difference_update(addresses)
        return self._guard()

    def _guard(self) -> list[Effect]:
        guarded = tuple(sorted((self._wanted | dict.fromkeys(self._muted, _NEVER_OPEN)).items()))
        if guarded == self._guarded:
            return []
        self._guarded = guarded
        return [Guard(guarded)]

    def renew(self, lease: Lease, terms: Terms, now_ns: int, *, at_once: bool) -> None:
        """An advert is on its way; at_once: the first one of a master, who announces its addresses next.

        Others wait for one another, a third of their interval at most, of the whole one that the gate
        stays open without them.
        """
        leases = self._leases.get(terms.lease_us)
        if leases is None:
            leases = self._leases[terms.lease_us] = set()
        leases.add(lease)
        if at_once:
            self.open_at_ns = now_ns
        elif self.open_at_ns == NEVER:
            self.open_at_ns = max(now_ns, self._opened_at_ns + terms.interval_us * NS_PER_US // 3)

    def end(self, lease: Lease, now_ns: int) -> None:
        """Its master steps down; others whose lease lasts longer do not wait."""
        for leases in self._leases.values():
            if lease in leases:
                leases.remove(lease)
                self.open_at_ns = now_ns

    def open(self, now_ns: int) -> list[Effect]:
        """Open the gate if that is due; nothing has been sent yet in this turn."""
        if self.open_at_ns > now_ns:
            return []
        self.open_at_ns, self._opened_at_ns = NEVER, now_ns
        ends_ns = [
            (length_us, min(map(_END, leases))) for length_us, leases in self._leases.items() if leases
        ]
        return [OpenGate(tuple(ends_ns))] if ends_ns else []
