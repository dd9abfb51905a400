"""IPv6 addresses and headers, as far as VRRP needs them.

A raw IPv6 socket hands out no header. sockets.py puts one before what it received, made of what the kernel
says beside it, so that from there on a datagram is a whole one in both families.
"""

from __future__ import annotations

import ipaddress
import struct

PROTOCOL_VRRP = 112
PROTOCOL_ICMP = 58
HEADER_LENGTH = 40
HEADER = struct.Struct("!IHBB16s16s")
"""Version, class and flow; length of the payload; next header; hop limit; source; destination."""
VERSION_AND_CLASS = 0x6C00_0000
"""Version 6, DSCP CS6 (S8), no flow."""
ALL_NODES = bytes.fromhex("ff020000000000000000000000000001")
_PSEUDO = struct.Struct("!16s16sII")


def pack(text: str) -> bytes:
    """Text to 16 octets; ValueError when it is no IPv6 address."""
    return ipaddress.IPv6Address(text).packed


def text(octets: bytes) -> str:
    """16 octets to text, as RFC 5952 writes it."""
    return str(ipaddress.IPv6Address(octets))


def is_link_local(octets: bytes) -> bool:
    """True for fe80::/10."""
    return octets[0] == 0xFE and octets[1] & 0xC0 == 0x80


def is_multicast(octets: bytes) -> bool:
    """True for ff00::/8."""
    return octets[:1] == b"\xff"


def pseudo_header(source: bytes, destination: bytes, length: int, protocol: int = PROTOCOL_VRRP) -> bytes:
    """RFC 8200 8.1."""
    return _PSEUDO.pack(source, destination, length, protocol)


def datagram(source: bytes, destination: bytes, ttl: int, payload: bytes) -> bytes:
    """A whole datagram with DSCP CS6 (S8)."""
    return HEADER.pack(VERSION_AND_CLASS, len(payload), PROTOCOL_VRRP, ttl, source, destination) + payload


def payload(octets: bytes) -> bytes:
    """What follows the header of a datagram, without link padding (F8); empty for anything else than VRRP."""
    if len(octets) < HEADER_LENGTH or octets[0] >> 4 != 6 or octets[6] != PROTOCOL_VRRP:
        return b""
    length = int.from_bytes(octets[4:6], "big")
    if HEADER_LENGTH + length > len(octets):
        return b""
    return octets[HEADER_LENGTH : HEADER_LENGTH + length]
