"""VRRP adverts: octets to meaning and back.

Law of this file: `examine` makes the checks of conformance section 5 in that one order, so that a bad packet
has exactly one reason; it raises for no octet string whatever, and it knows nothing of protocol state
(D15). A reason is the name of a counter.
"""

from __future__ import annotations

import hmac
import struct
from typing import NamedTuple

from keepbus_vrrp import ipv4
from keepbus_vrrp.refusal import Refused

ADVERTISEMENT = 1
TTL = 255
AUTH_NONE = 0
AUTH_PASS = 1
AUTH_AH = 2
AUTH_DATA_LENGTH = 8
_LEAST_LENGTH = 8
_ADDRESS_LENGTH = 4
_CHECKSUM_ALL_ONES = 0xFFFF
_HEAD = struct.Struct("!BBBBHH")


class Advert(NamedTuple):
    """An advert that passed every check."""

    version: int
    virtual_router_id: int
    priority: int
    source: bytes
    """4 octets."""
    interval_us: int
    addresses: tuple[bytes, ...]
    """In the order of the packet, 4 octets each."""
    message_sum: bool
    """v3: the checksum covers the message only (RFC 9568), not the pseudo-header (RFC 5798), see C2."""
    same_addresses: bool
    """False: the addresses are not those configured here; counted and told, not refused (D9)."""


class Expected(NamedTuple):
    """What an instance accepts, compiled from its configuration."""

    version: int
    virtual_router_id: int
    group: bytes
    source: bytes
    """Own primary address; empty while there is none."""
    auth_type: int
    auth_data: bytes
    """8 octets."""
    interval_us: int
    addresses: frozenset[bytes]
    trusted_source: bytes = b""
    """skip_check_adv_addr: the master whose addresses need not be compared again."""


def encode(
    *,
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
) -> bytes:
    """The VRRP message (F1 to F6, C1, C2). auth_* count for v2 only."""
    body = b"".join(addresses)
    pseudo = b""
    if version == 2:
        interval = auth_type << 8 | interval_us // 1_000_000
        body += auth_data.ljust(AUTH_DATA_LENGTH, b"\0")[:AUTH_DATA_LENGTH]
    else:
        interval = interval_us // 10_000
        if not message_sum:
            pseudo = ipv4.pseudo_header(source, destination, _HEAD.size + len(body))
    first = version << 4 | ADVERTISEMENT
    count = len(addresses)
    head = _HEAD.pack(first, virtual_router_id, priority, count, interval, 0)
    check = ipv4.checksum(pseudo + head + body)
    return _HEAD.pack(first, virtual_router_id, priority, count, interval, check) + body


def examine(
    octets: bytes, expected: Expected | None, groups: frozenset[bytes], local: frozenset[bytes]
) -> Advert | Refused:
    """Check a whole IPv4 datagram.

    expected belongs to the instance that has the packet's virtual router id on the interface where it
    arrived, None when there is none; groups are the multicast groups and local the addresses of that
    interface.
    """
    destination = octets[16:20]
    if destination not in groups or (expected is not None and destination != expected.group):
        return Refused("destination", f"sent to {ipv4.dotted(destination)}")
    source = octets[12:16]
    if source in local or (expected is not None and source == expected.source):
        return Refused("own_address", f"{ipv4.dotted(source)} is an address of this router")
    if octets[8] != TTL:
        return Refused("ttl", f"TTL {octets[8]}, 255 expected")
    message = ipv4.payload(octets)
    if len(message) < _LEAST_LENGTH:
        return Refused("length", f"{len(message)} octets, at least 8 expected")
    first, vrid, priority, count, interval, _ = _HEAD.unpack_from(message)
    version = first >> 4
    if version not in (2, 3) or (expected is not None and version != expected.version):
        wanted = "2 or 3" if expected is None else str(expected.version)
        return Refused("version", f"VRRP version {version}, {wanted} expected")
    if first & 0xF != ADVERTISEMENT:
        return Refused("type", f"type {first & 0xF}, 1 expected")
    if expected is None or vrid != expected.virtual_router_id:
        return Refused("vrid_unknown", f"no instance has virtual router id {vrid} here")
    auth_length = AUTH_DATA_LENGTH if version == 2 else 0
    length = _HEAD.size + count * _ADDRESS_LENGTH + auth_length
    if len(message) != length:
        return Refused("length", f"{len(message)} octets, {length} expected for {count} addresses")
    message_sum = ipv4.ones_complement_sum(message) == _CHECKSUM_ALL_ONES
    if version == 3:
        pseudo = ipv4.pseudo_header(source, destination, length)
        pseudo_sum = ipv4.ones_complement_sum(pseudo + message) == _CHECKSUM_ALL_ONES
        summed = message_sum or pseudo_sum
        message_sum = message_sum and not pseudo_sum
    else:
        summed = message_sum
    if not summed:
        return Refused("checksum", "the checksum is wrong")
    if version == 2:
        refused = _authenticate(interval >> 8, message[-AUTH_DATA_LENGTH:], expected)
        if refused is not None:
            return refused
        interval_us = (interval & 0xFF) * 1_000_000
        if interval_us != expected.interval_us:
            return Refused(
                "adver_int_mismatch",
                f"advert interval {interval_us // 1_000_000} s, "
                f"{expected.interval_us // 1_000_000} s configured here",
            )
    else:
        interval_us = (interval & 0xFFF) * 10_000
        if interval_us == 0:
            return Refused("adver_int_zero", "advert interval 0")
        if count == 0:
            return Refused("addr_count_zero", "no address")
    addresses = tuple(
        message[at : at + _ADDRESS_LENGTH] for at in range(_HEAD.size, length - auth_length, _ADDRESS_LENGTH)
    )
    same_addresses = source == expected.trusted_source or frozenset(addresses) == expected.addresses
    if not same_addresses and version == 2 and priority != 255:
        named = " ".join(map(ipv4.dotted, addresses)) or "none"
        return Refused("addr_list_mismatch", f"addresses {named} are not those configured here")
    return Advert(version, vrid, priority, source, interval_us, addresses, message_sum, same_addresses)


def _authenticate(auth_type: int, auth_data: bytes, expected: Expected) -> Refused | None:
    if auth_type not in (AUTH_NONE, AUTH_PASS, AUTH_AH):
        return Refused("auth_type_unknown", f"authentication type {auth_type}")
    if auth_type != expected.auth_type:
        return Refused(
            "auth_type_mismatch",
            f"authentication type {auth_type}, {expected.auth_type} configured here",
        )
    if auth_type == AUTH_PASS and not hmac.compare_digest(auth_data, expected.auth_data):
        return Refused("auth_failure", "the password is wrong")
    return None
