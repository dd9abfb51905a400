"""IPv4 and IPv6 as VRRP uses them.

Law of this file: what the two families differ in stands in their two rows; everybody else asks the row and
does not ask which family it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from keepbus.config.model.vrrp import AddressFamily
from keepbus_vrrp import ipv4, ipv6


class Family(NamedTuple):
    """One of the two."""

    name: AddressFamily
    number: int
    """The kernel's AF_INET or AF_INET6."""
    address_octets: int
    group: str
    """To which adverts are sent, if nothing else is configured."""
    first_octet: int
    """Of a datagram without options."""
    header_octets: int
    """Of a datagram without options."""
    ttl_at: int
    source_at: int
    destination_at: int
    auth_data: bool
    """VRRP version 2 ends in authentication data."""
    pack: Callable[[str], bytes]
    pseudo_header: Callable[[bytes, bytes, int], bytes]
    datagram: Callable[[bytes, bytes, int, bytes], bytes]
    payload: Callable[[bytes], bytes]
    is_multicast: Callable[[bytes], bool]


IPV4 = Family(
    name=AddressFamily.IPV4,
    number=2,
    address_octets=4,
    group="224.0.0.18",
    first_octet=ipv4.VERSION_AND_HEADER_LENGTH,
    header_octets=ipv4.HEADER_LENGTH,
    ttl_at=8,
    source_at=12,
    destination_at=16,
    auth_data=True,
    pack=ipv4.pack,
    pseudo_header=ipv4.pseudo_header,
    datagram=ipv4.datagram,
    payload=ipv4.payload,
    is_multicast=ipv4.is_multicast,
)
IPV6 = Family(
    name=AddressFamily.IPV6,
    number=10,
    address_octets=16,
    group="ff02::12",
    first_octet=ipv6.VERSION_AND_CLASS >> 24,
    header_octets=ipv6.HEADER_LENGTH,
    ttl_at=7,
    source_at=8,
    destination_at=24,
    auth_data=False,
    pack=ipv6.pack,
    pseudo_header=ipv6.pseudo_header,
    datagram=ipv6.datagram,
    payload=ipv6.payload,
    is_multicast=ipv6.is_multicast,
)
BY_NAME = {family.name: family for family in (IPV4, IPV6)}


def of(octets: bytes) -> Family:
    """The family of an address of 4 or 16 octets."""
    return IPV4 if len(octets) == IPV4.address_octets else IPV6


def pack(text: str) -> bytes:
    """An address of either family to octets; ValueError when it is none."""
    return ipv6.pack(text) if ":" in text else ipv4.pack(text)


def text(octets: bytes) -> str:
    """An address of either family as people write it; empty for none."""
    if not octets:
        return ""
    return ipv4.dotted(octets) if len(octets) == IPV4.address_octets else ipv6.text(octets)
