"""The node's interfaces and their addresses, as the kernel told them."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from keepbus.config.model.vrrp import VirtualAddress
from keepbus_vrrp.family import IPV4, Family, pack
from keepbus_vrrp.ipv6 import is_link_local
from keepbus_vrrp.link_codec import Make
from keepbus_vrrp.netlink import (
    IFF_NOARP,
    IFF_RUNNING,
    IFF_UP,
    Address,
    AddressMessage,
    ForwardingMessage,
    LinkMessage,
)


class Link:
    """One interface."""

    __slots__ = (
        "addresses",
        "admin_up",
        "arp",
        "former_name",
        "forwards",
        "index",
        "mac",
        "make",
        "mtu",
        "name",
        "tentative",
        "up",
    )

    def __init__(self, index: int) -> None:
        self.index = index
        self.name = ""
        self.former_name = ""
        """It was renamed; what was installed under that name is still here."""
        self.up = False
        """Administratively up and with carrier (UP and RUNNING)."""
        self.admin_up = False
        """Administratively up, whatever the carrier."""
        self.make = Make()
        self.arp = True
        self.mac = b""
        self.mtu = 0
        self.forwards = False
        """IPv6 packets, as a router does."""
        self.addresses: dict[bytes, int] = {}
        """Address to prefix length, in the kernel's order: the first of IPv4 is the primary one."""
        self.tentative: set[bytes] = set()
        """Addresses that cannot be used yet, because the kernel looks whether somebody else has them."""

    def source_address(self, family: Family, virtual: Collection[bytes]) -> bytes:
        """The first address that is not virtual (S1), in IPv6 the first link-local one that can be used (S2);
        empty when there is none."""
        for address in self.addresses:
            if len(address) != family.address_octets or address in virtual or address in self.tentative:
                continue
            if family is IPV4 or is_link_local(address):
                return address
        return b""


class Links:
    """All interfaces."""

    def __init__(self) -> None:
        self._links: dict[int, Link] = {}
        self.seeming: dict[str, bool] = {}
        """Name to what instances see of it for a while, which is not what it is (debounce.py)."""

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
        if link.name != message.name:
            link.former_name, link.name = link.name, message.name
        link.up = message.flags & (IFF_UP | IFF_RUNNING) == IFF_UP | IFF_RUNNING
        link.admin_up = bool(message.flags & IFF_UP)
        link.make = message.make
        link.arp = not message.flags & IFF_NOARP and len(message.mac) == 6
        link.mac = message.mac
        link.mtu = message.mtu
        link.forwards = message.forwards
        return link

    def change_address(self, message: AddressMessage) -> None:
        """Take a change of an address; those of unknown interfaces are ignored."""
        link = self._links.get(message.interface_index)
        if link is None:
            return
        link.tentative.discard(message.address)
        if message.gone:
            link.addresses.pop(message.address, None)
            return
        link.addresses[message.address] = message.prefix
        if message.tentative:
            link.tentative.add(message.address)

    def change_forwarding(self, message: ForwardingMessage) -> None:
        """An interface began or ended to forward IPv6."""
        link = self._links.get(message.interface_index)
        if link is not None:
            link.forwards = message.forwards

    def has_mac(self, mac: bytes) -> bool:
        """True when an interface of this host has this MAC address."""
        return any(link.mac == mac for link in self._links.values())

    def forget(self, addresses: Iterable[Address]) -> None:
        """Addresses that were removed by this process."""
        for address in addresses:
            link = self._links.get(address.interface_index)
            if link is not None:
                link.addresses.pop(address.address, None)

    def resolve(self, addresses: Iterable[VirtualAddress], *, renamed: bool = False) -> tuple[Address, ...]:
        """Configured addresses with interface indices; those whose interface is missing are left out.

        renamed: an interface that had the name will do, to take off what was put there."""
        resolved = []
        for address in addresses:
            link = self.by_name(address.interface)
            if link is None and renamed:
                link = next((each for each in self.all() if each.former_name == address.interface), None)
            if link is not None:
                resolved.append(
                    Address(
                        link.index,
                        pack(address.address),
                        address.prefix,
                        pack(address.broadcast) if address.broadcast else b"",
                        address.label,
                        address.scope,
                        pack(address.peer) if address.peer else b"",
                        address.flags,
                        address.preferred_s,
                    )
                )
        return tuple(resolved)

    def drop(self, index: int) -> None:
        """An interface that was removed by this process."""
        self._links.pop(index, None)

    def by_name(self, name: str) -> Link | None:
        """The interface of this name."""
        return next((link for link in self._links.values() if link.name == name), None)

    def seems_up(self, link: Link) -> bool:
        """Up, as instances see it."""
        return self.seeming.get(link.name, link.up) if self.seeming else link.up

    def by_index(self, index: int) -> Link | None:
        """The interface of this index."""
        return self._links.get(index)

    def all(self) -> list[Link]:
        """Every interface."""
        return list(self._links.values())
