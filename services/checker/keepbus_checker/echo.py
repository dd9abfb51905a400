"""ICMP echo messages for PING_CHECK (RFC 792, RFC 4443 section 4). No socket, no waiting.

The kernel's ICMP datagram sockets fill in identifier and checksum, and hand over replies to their own
identifier without an IP header.
"""

from __future__ import annotations

import struct

_HEADER = struct.Struct("!BBHHH")
_OCTETS = 128
"""Length of the whole message, as keepalived's."""
_REQUEST4, _REPLY4 = 8, 0
_REQUEST6, _REPLY6 = 128, 129
_FILL = bytes(range(0x10, 0x10 + _OCTETS - _HEADER.size))


def request(sequence: int, *, ipv6: bool) -> bytes:
    """An echo request with this 16-bit sequence number."""
    return _HEADER.pack(_REQUEST6 if ipv6 else _REQUEST4, 0, 0, 0, sequence) + _FILL


def is_reply(octets: bytes | memoryview, sequence: int, *, ipv6: bool) -> bool:
    """Whether this is the reply to the request of that number."""
    if len(octets) < _HEADER.size:
        return False
    kind, code, _checksum, _identifier, number = _HEADER.unpack_from(octets)
    return (kind, code, number) == (_REPLY6 if ipv6 else _REPLY4, 0, sequence)
