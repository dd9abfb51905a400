"""The node's interfaces and their IPv4 addresses, as the kernel told them."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from keepbus.config.model import VirtualAddress
from keepbus_vrrp import ipv4
from keepbus_vrrp.netlink import IFF_NOARP, IFF_RUNNING, IFF_UP, Address, AddressMessage, LinkMessage


class Link:
    """One interface."""

    __slots__ = ("addresses", "arp", "index", "mac", "mtu", "name", "up")

    def __init__(self, index: int) -> None:
        self.index = index
        self.name = ""
        self.up = False
        """Administratively up and with carrier (UP and RUNNING)."""
        self.arp = True
        self.mac = b""
        self.mtu = 0
        self.addresses: dict[bytes, int] = {}
        """Address to prefix length, in the kernel's order: the first is the primary one."""

    def primary_address(self, virtual: Collection[bytes]) -> bytes:
        """The first address that is not virtual; empty when there is none."""
        return next((address for address in self.addresses if address not in virtual), b"")


class Links:
    """All interfaces."""

    def __init__(self) -> None:
        self._links: dict[int, Link] = {}

    def replace(self, links: Iterable[LinkMessage], addresses: Iterable[AddressMessage]) -> None:
        """Take a whole dump for what is there; what it does not name is gone."""
        self._links.clear()
        for link in links:
            self.change_link(link)
        for address in addresses:
            self.change_address(address)

    def change_link(self, message: LinkMessage) -> Link | None:
        """Take a change of an interface; the interface, None when it is gone."""
        if message.gone:
            self._links.pop(message.interface_index, None)
            return None
        link = self._links.get(message.interface_index)
        if link is None:
            link = self._links[message.interface_index] = Link(message.interface_index)
        link.name = message.name
        link.up = message.flags & (IFF_UP | IFF_RUNNING) == IFF_UP | IFF_RUNNING
        link.arp = not message.flags & IFF_NOARP and len(message.mac) == 6
        link.mac = message.mac
        link.mtu = message.mtu
        return link

    def change_address(self, message: AddressMessage) -> None:
        """Take a change of an address; those of unknown interfaces are ignored."""
        link = self._links.get(message.interface_index)
        if link is None:
            return
        if message.gone:
            link.addresses.pop(message.address, None)
        else:
            link.addresses[message.address] = message.prefix

    def forget(self, addresses: Iterable[Address]) -> None:
        """Addresses that were removed by this process."""
        for address in addresses:
            link = self._links.get(address.interface_index)
            if link is not None:
                link.addresses.pop(address.address, None)

    def resolve(self, addresses: Iterable[VirtualAddress]) -> tuple[Address, ...]:
        """Configured addresses with interface indices; those whose interface is missing are left out."""
        resolved = []
        for address in addresses:
            link = self.by_name(address.interface)
            if link is not None:
                broadcast = ipv4.pack(address.broadcast) if address.broadcast else b""
                octets = ipv4.pack(address.address)
                resolved.append(
                    Address(link.index, octets, address.prefix, broadcast, address.label, address.scope)
                )
        return tuple(resolved)

    def by_name(self, name: str) -> Link | None:
        """The interface of this name."""
        return next((link for link in self._links.values() if link.name == name), None)

    def by_index(self, index: int) -> Link | None:
        """The interface of this index."""
        return self._links.get(index)

    def all(self) -> list[Link]:
        """Every interface."""
        return list(self._links.values())
