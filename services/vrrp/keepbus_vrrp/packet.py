"""VRRP adverts: octets to meaning and back.

Law of this file: `examine` makes the checks of conformance section 5 in that one order, so that a bad packet
has exactly one reason; it raises for no octet string whatever, and it knows nothing of protocol state
(D15). A reason is the name of a counter.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Callable, Mapping
from typing import NamedTuple

from keepbus.config.model.vrrp import ChecksumForm
from keepbus_vrrp import ah, hmac_trailer, ipv4, ipv6
from keepbus_vrrp.checksum import ALL_ONES, checksum, ones_complement_sum
from keepbus_vrrp.family import IPV4, IPV6, Family, text
from keepbus_vrrp.refusal import Refused

ADVERTISEMENT = 1
TTL = 255
AUTH_NONE = 0
AUTH_PASS = 1
AUTH_AH = 2
AUTH_DATA_LENGTH = 8
MOST_ADDRESSES = 255
_LEAST_LENGTH = 8
_HEAD = struct.Struct("!BBBBHH")


class Advert(NamedTuple):
    """An advert that passed every check."""

    version: int
    virtual_router_id: int
    priority: int
    source: bytes
    """4 or 16 octets."""
    interval_us: int
    addresses: tuple[bytes, ...]
    """In the order of the packet."""
    message_sum: bool
    """v3 over IPv4: the checksum covers the message only (RFC 9568), not the pseudo-header too (C2)."""
    same_addresses: bool
    """False: the addresses are not those configured here; counted and told, not refused (D9)."""
    ttl: int
    """Or hop limit."""
    sequence: int | None = None
    """Of `auth_type AH` or `auth_hmac`; None without."""


class Expected(NamedTuple):
    """What an instance accepts, compiled from its configuration."""

    version: int
    virtual_router_id: int
    group: bytes
    """Multicast group to which adverts go; empty for unicast."""
    source: bytes
    """Own primary address; empty while there is none."""
    auth_type: int
    auth_data: bytes
    """8 octets."""
    interval_us: int
    addresses: frozenset[bytes]
    trusted_source: bytes = b""
    """skip_check_adv_addr: the master whose addresses need not be compared again."""
    peers: Mapping[bytes, tuple[int, int]] = {}
    """Unicast: who may send, and the least and the highest TTL (U1, U2)."""
    checksum: ChecksumForm = ChecksumForm.AUTO
    """Anything else: no other form is accepted in v3 over IPv4 (C2)."""
    old_group: bytes = b""
    """Group that may stand in the pseudo-header instead of the destination (U6)."""
    link_local_first: bool = False
    """The first address must be link-local (D12)."""
    ah: ah.Guard | None = None
    """`auth_type AH`."""
    hmac: hmac_trailer.Guard | None = None
    """`auth_hmac`."""


def encode(
    *,
    family: Family = IPV4,
    version: int,
    virtual_router_id: int,
    priority: int,
    interval_us: int,
    addresses: tuple[bytes, ...],
    source: bytes,
    destination: bytes,
    auth_type: int = AUTH_NONE,
    auth_data: bytes = b"",
    message_sum: bool = False,
    sign: Callable[[bytes], bytes] | None = None,
) -> bytes:
    """The VRRP message (F1 to F6, C1 to C3). auth_* count for v2, message_sum for v3 over IPv4 only. sign
    makes the trailer of a message without checksum (X1)."""
    body = b"".join(addresses)
    pseudo = b""
    if version == 2:
        interval = auth_type << 8 | interval_us // 1_000_000
        if family.auth_data:
            body += auth_data.ljust(AUTH_DATA_LENGTH, b"\0")[:AUTH_DATA_LENGTH]
    else:
        interval = interval_us // 10_000
    first = version << 4 | ADVERTISEMENT
    count = len(addresses)
    head = _HEAD.pack(first, virtual_router_id, priority, count, interval, 0)
    trailer = b"" if sign is None else sign(head + body)
    covered = head + body + trailer if family is IPV6 else head + body  # X2
    if _has_pseudo_header(family, version) and not (message_sum and family is IPV4):
        pseudo = family.pseudo_header(source, destination, len(covered))
    check = checksum(pseudo + covered)
    return _HEAD.pack(first, virtual_router_id, priority, count, interval, check) + body + trailer


def octets_of(version: int, family: Family, addresses: int) -> int:
    """Length of a whole datagram with so many addresses (F3, F7)."""
    auth_length = AUTH_DATA_LENGTH if version == 2 and family.auth_data else 0
    return family.header_octets + _HEAD.size + addresses * family.address_octets + auth_length


def most_addresses(version: int, family: Family, mtu: int) -> int:
    """How many an advert holds that is never fragmented (F10)."""
    return max(0, min(MOST_ADDRESSES, (mtu - octets_of(version, family, 0)) // family.address_octets))


def examine(
    octets: bytes,
    family: Family,
    expected: Expected | None,
    groups: frozenset[bytes],
    local: frozenset[bytes],
    wall_ns: int = 0,
) -> Advert | Refused:
    """Check a whole datagram.

    expected belongs to the instance that has the packet's virtual router id in this family on the interface
    where it arrived, None when there is none; groups are the multicast groups and local the addresses of that
    interface; wall_ns is the wall clock, which only `auth_hmac` looks at.
    """
    source = octets[family.source_at : family.source_at + family.address_octets]
    destination = octets[family.destination_at : family.destination_at + family.address_octets]
    refused = _check_way(octets, family, source, destination, expected, groups, local)
    if refused is not None:
        return refused
    _, message = split(octets, family)
    refused = _check_head(message, expected)
    if refused is not None:
        return refused
    assert expected is not None
    _, vrid, priority, count, interval, _ = _HEAD.unpack_from(message)
    length = octets_of(expected.version, family, count) - family.header_octets
    sealed = expected.hmac is not None and len(message) == length + hmac_trailer.LENGTH
    if len(message) != length and not sealed:
        return Refused("length", f"{len(message)} octets, {length} expected for {count} addresses")
    covered = message if family is IPV6 else message[:length]  # X2
    form = _checksum_form(covered, family, source, destination, expected)
    if form is None:
        return Refused("checksum", "the checksum is wrong")
    sequence = _authenticate(octets, family, source, message[:length], message[length:], expected, wall_ns)
    if isinstance(sequence, Refused):
        return sequence
    interval_us = _interval_us(interval, count, expected)
    if isinstance(interval_us, Refused):
        return interval_us
    size = family.address_octets
    addresses = tuple(message[at : at + size] for at in range(_HEAD.size, _HEAD.size + count * size, size))
    same_addresses = source == expected.trusted_source or frozenset(addresses) == expected.addresses
    refused = _check_addresses(addresses, priority, expected, same=same_addresses)
    if refused is not None:
        return refused
    return Advert(
        version=expected.version,
        virtual_router_id=vrid,
        priority=priority,
        source=source,
        interval_us=interval_us,
        addresses=addresses,
        message_sum=form is ChecksumForm.MESSAGE,
        same_addresses=same_addresses,
        ttl=octets[family.ttl_at],
        sequence=sequence,
    )


def split(octets: bytes, family: Family) -> tuple[bytes, bytes]:
    """The authentication header of a datagram, empty without one, and the VRRP message (A5, F8, F9)."""
    payload = family.payload(octets)
    if family is IPV4 and payload and octets[ipv4.PROTOCOL_AT] == ah.PROTOCOL_AH:
        return payload[: ah.LENGTH], payload[ah.LENGTH :]
    return b"", payload


def _check_way(
    octets: bytes,
    family: Family,
    source: bytes,
    destination: bytes,
    expected: Expected | None,
    groups: frozenset[bytes],
    local: frozenset[bytes],
) -> Refused | None:
    """D10, D11, D22, D1: to whom, from whom, over how many hops."""
    unicast = not family.is_multicast(destination)
    if expected is None:
        strange = not unicast and destination not in groups
    else:
        strange = destination != expected.group and not (unicast and not expected.group)
    if strange:
        return Refused("destination", f"sent to {text(destination)}")
    if source in local or (expected is not None and source == expected.source):
        return Refused("own_address", f"{text(source)} is an address of this router")
    ttl = octets[family.ttl_at]
    if not unicast:
        return None if ttl == TTL else Refused("ttl", f"TTL {ttl}, 255 expected")
    if expected is None:
        return None
    limits = expected.peers.get(source)
    if limits is None:
        return Refused("unknown_peer", f"{text(source)} is no unicast_peer")
    low, high = limits
    if not low <= ttl <= high:
        wanted = str(low) if low == high else f"{low} to {high}"
        return Refused("ttl", f"TTL {ttl}, {wanted} expected")
    return None


def _check_head(message: bytes, expected: Expected | None) -> Refused | None:
    """D23, D2, D3, D6: a VRRP advert for a virtual router that is here."""
    if len(message) < _LEAST_LENGTH:
        return Refused("length", f"{len(message)} octets, at least 8 expected")
    version, kind, vrid = message[0] >> 4, message[0] & 0xF, message[1]
    if version not in (2, 3) or (expected is not None and version != expected.version):
        wanted = "2 or 3" if expected is None else str(expected.version)
        return Refused("version", f"VRRP version {version}, {wanted} expected")
    if kind != ADVERTISEMENT:
        return Refused("type", f"type {kind}, 1 expected")
    if expected is None or vrid != expected.virtual_router_id:
        return Refused("vrid_unknown", f"no instance has virtual router id {vrid} here")
    return None


def _has_pseudo_header(family: Family, version: int) -> bool:
    """v2 over IPv4 has none (C1)."""
    return version == 3 or family is not IPV4


def _checksum_form(
    message: bytes, family: Family, source: bytes, destination: bytes, expected: Expected
) -> ChecksumForm | None:
    """The form in which the checksum comes out right, None when there is none (C1 to C4)."""
    pseudo_header = _has_pseudo_header(family, expected.version)
    both = family is IPV4 and pseudo_header
    if pseudo_header and not (both and expected.checksum is ChecksumForm.MESSAGE):
        for summed in (destination, expected.old_group):
            pseudo = family.pseudo_header(source, summed, len(message)) if summed else b""
            if pseudo and ones_complement_sum(pseudo + message) == ALL_ONES:
                return ChecksumForm.PSEUDO
    alone = not pseudo_header or (both and expected.checksum is not ChecksumForm.PSEUDO)
    if alone and ones_complement_sum(message) == ALL_ONES:
        return ChecksumForm.MESSAGE if both else ChecksumForm.AUTO
    return None


def _authenticate(
    octets: bytes,
    family: Family,
    source: bytes,
    message: bytes,
    trailer: bytes,
    expected: Expected,
    wall_ns: int,
) -> int | Refused | None:
    """D13, D14: the number of an advert that has one."""
    sequence: int | Refused | None = None
    if expected.hmac is not None:
        sequence = expected.hmac.check(4 if family is IPV4 else 6, source, message, trailer, wall_ns)
    if expected.version != 2 or isinstance(sequence, Refused):
        return sequence
    header, _ = split(octets, family)
    auth_type = message[4]
    if auth_type not in (AUTH_NONE, AUTH_PASS, AUTH_AH):
        return Refused("auth_type_unknown", f"authentication type {auth_type}")
    if auth_type != expected.auth_type or (header and auth_type != AUTH_AH):
        return Refused(
            "auth_type_mismatch",
            f"authentication type {auth_type}, {expected.auth_type} configured here",
        )
    if auth_type == AUTH_PASS and not hmac.compare_digest(message[-AUTH_DATA_LENGTH:], expected.auth_data):
        return Refused("auth_failure", "the password is wrong")
    return sequence if expected.ah is None else expected.ah.check(octets, header, message)


def _interval_us(interval: int, count: int, expected: Expected) -> int | Refused:
    """D8, D7: of a v2 advert what is configured here, of a v3 advert anything but zero (L1)."""
    if expected.version == 2:
        interval_us = (interval & 0xFF) * 1_000_000
        if interval_us == expected.interval_us:
            return interval_us
        return Refused(
            "adver_int_mismatch",
            f"advert interval {interval_us // 1_000_000} s, "
            f"{expected.interval_us // 1_000_000} s configured here",
        )
    interval_us = (interval & 0xFFF) * 10_000
    if interval_us == 0:
        return Refused("adver_int_zero", "advert interval 0")
    if count == 0:
        return Refused("addr_count_zero", "no address")
    return interval_us


def _check_addresses(
    addresses: tuple[bytes, ...], priority: int, expected: Expected, *, same: bool
) -> Refused | None:
    """D12, D9."""
    if expected.link_local_first and not (addresses and ipv6.is_link_local(addresses[0])):
        named = text(addresses[0]) if addresses else "none"
        return Refused("first_addr_not_link_local", f"the first address is {named}, not a link-local one")
    if not addresses and not same and expected.version == 2 and priority != 255:
        return Refused("addr_list_mismatch", "carries no address, though some are configured here")
    return None
