"""IPv4 addresses and headers, as far as VRRP needs them."""

from __future__ import annotations

import struct

from keepbus_vrrp.checksum import checksum

PROTOCOL_VRRP = 112
HEADER_LENGTH = 20
VERSION_AND_HEADER_LENGTH = 0x45
"""First octet of a header without options."""
PROTOCOL_AT = 9
_CS6 = 0xC0
_HEADER = struct.Struct("!BBHHHBBH4s4s")


def pack(text: str) -> bytes:
    """Dotted quad to 4 octets; ValueError when it is none."""
    octets = bytes(map(int, text.split(".")))
    if len(octets) != 4:
        raise ValueError(f"{text} is no IPv4 address")
    return octets


def dotted(octets: bytes) -> str:
    """4 octets to a dotted quad."""
    return ".".join(map(str, octets))


def pseudo_header(source: bytes, destination: bytes, length: int) -> bytes:
    """IPv4 pseudo-header as RFC 5798 is read by keepalived and FRR (conformance C2)."""
    return source + destination + struct.pack("!BBH", 0, PROTOCOL_VRRP, length)


def header(
    source: bytes,
    destination: bytes,
    ttl: int,
    payload_octets: int,
    protocol: int = PROTOCOL_VRRP,
    identification: int = 0,
) -> bytes:
    """A header with DSCP CS6 (S8). Where the identification is zero the kernel fills it in, and the checksum
    with it; both are left out of what receivers compare."""
    octets = _HEADER.pack(
        VERSION_AND_HEADER_LENGTH,
        _CS6,
        HEADER_LENGTH + payload_octets,
        identification,
        0,
        ttl,
        protocol,
        0,
        source,
        destination,
    )
    return octets[:10] + checksum(octets).to_bytes(2, "big") + octets[12:]


def datagram(source: bytes, destination: bytes, ttl: int, payload: bytes) -> bytes:
    """A whole datagram."""
    return header(source, destination, ttl, len(payload)) + payload


def payload(octets: bytes) -> bytes:
    """What follows the header of a received datagram, without options and link padding (F8, F9).

    Short or nonsensical datagrams, which a kernel never delivers, give an empty payload.
    """
    if len(octets) < HEADER_LENGTH or octets[0] >> 4 != 4:
        return b""
    header_length = (octets[0] & 0xF) * 4
    total_length = int.from_bytes(octets[2:4], "big")
    if header_length < HEADER_LENGTH or total_length > len(octets):
        return b""
    return octets[header_length:total_length]


def is_multicast(octets: bytes) -> bool:
    """True for 224.0.0.0/4."""
    return octets[:1] >= b"\xe0" and octets[:1] < b"\xf0"
