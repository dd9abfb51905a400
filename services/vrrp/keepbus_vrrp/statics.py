"""Static addresses, routes and rules: held from start to stop, whoever is master (features 9).

Law of this file: what somebody else takes away is put back at once, unless `no_track` says that it is not
ours to watch.
"""

from __future__ import annotations

from keepbus.config.model.vrrp import FOREVER_S, VirtualAddress
from keepbus.config.model.vrrp import Statics as Wanted
from keepbus.runtime.machine import Log
from keepbus_vrrp.effects import STATICS, Install
from keepbus_vrrp.events import RoutesRead
from keepbus_vrrp.family import text
from keepbus_vrrp.holdings import Held, Holdings
from keepbus_vrrp.netlink import AddressMessage
from keepbus_vrrp.turn import Turn


class Statics:
    """What is held, and what of it the kernel refused."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self.wanted = Wanted()
        self.held = Holdings(turn, STATICS, lambda: None)
        self.refused: dict[str, str] = {}
        """Addresses, with the kernel's reason."""

    @property
    def count(self) -> int:
        """How many objects are configured."""
        return len(self.wanted.addresses) + len(self.wanted.routes) + len(self.wanted.rules)

    @property
    def all_refused(self) -> list[str]:
        """What of them is not there, with the reason."""
        return [f"{name}: {error}" for name, error in (*self.refused.items(), *self.held.refused.items())]

    def refuse(self, address: bytes, error: str) -> bool:
        """The kernel said no to an address; True when it is news."""
        name = text(address)
        known, self.refused[name] = self.refused.get(name), error
        return known != error

    def apply(self, wanted: Wanted) -> None:
        """Hold these and no others."""
        before, self.wanted = self.wanted, wanted
        gone = tuple(each for each in before.addresses if each not in wanted.addresses)
        self._turn.remove(STATICS, self._turn.links.resolve(gone, renamed=True))
        added = tuple(each for each in wanted.addresses if each not in before.addresses)
        kept = {each.address for each in wanted.addresses} - {each.address for each in added}
        self.refused = {name: error for name, error in self.refused.items() if name in kept}
        self._install(added)
        self.held.hold(wanted.routes, wanted.rules)

    def drop(self) -> None:
        """Remove all: rules, routes, addresses."""
        self.held.drop()
        self._turn.remove(STATICS, self._turn.links.resolve(self.wanted.addresses, renamed=True))
        self.wanted = Wanted()

    def link_up(self, interface: str) -> None:
        """The kernel forgot routes, and IPv6 addresses, while the interface was down or not there."""
        self._install(tuple(each for each in self.wanted.addresses if each.interface == interface))
        self.held.hold(self.wanted.routes, self.wanted.rules, again=interface)

    def address_removed(self, message: AddressMessage) -> None:
        """Somebody removed an address."""
        lost = [
            each
            for each in self.wanted.addresses
            if not each.no_track
            and any(
                (address.interface_index, address.address) == (message.interface_index, message.address)
                for address in self._turn.links.resolve((each,))
            )
        ]
        for each in lost:
            self._tell(each.address)
        self._install(tuple(lost))

    def lost(self, held: Held) -> None:
        """Somebody removed a route or rule."""
        self._tell(held.name)
        self.held.restore(held)

    def compare(self, read: RoutesRead) -> None:
        """Put back what a whole dump does not have."""
        for held in self.held.missing(read.routes, read.rules):
            self.lost(held)

    def _install(self, addresses: tuple[VirtualAddress, ...]) -> None:
        resolved = self._turn.links.resolve(addresses)
        if resolved:
            self._turn.effects.append(Install(STATICS, resolved, FOREVER_S))

    def _tell(self, name: str) -> None:
        self._turn.effects.append(
            Log("warning", f"static {name}: another program removed it; it is put back")
        )
