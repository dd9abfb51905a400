"""What all rtnetlink messages are made of: header and attributes. Byte order is the host's."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterable, Iterator

HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_NESTED = 0x8000
_KIND = 0x3FFF


def message(kind: int, flags: int, body: bytes, sequence: int = 0) -> bytes:
    """A whole message."""
    return HEADER.pack(HEADER.size + len(body), kind, flags, sequence, 0) + body


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute with its padding."""
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(-length % 4)


def nested(kind: int, parts: Iterable[bytes], *, flagged: bool = True) -> bytes:
    """Attributes within one; not flagged as such where the kernel is older than the flag."""
    return attribute(kind | _NESTED if flagged else kind, b"".join(parts))


def attributes(octets: bytes) -> Iterator[tuple[int, bytes]]:
    """Kind and value of each, up to the first that is malformed."""
    at = 0
    while at + _ATTRIBUTE.size <= len(octets):
        length, kind = _ATTRIBUTE.unpack_from(octets, at)
        if length < _ATTRIBUTE.size:
            return
        yield kind & _KIND, octets[at + _ATTRIBUTE.size : at + length]
        at += (length + 3) & ~3


def packed(text: str) -> tuple[bytes, int]:
    """ADDRESS[/LENGTH] as octets and length; without a length the whole address."""
    address, slash, length = text.partition("/")
    octets = ipaddress.ip_address(address).packed
    return octets, int(length) if slash else len(octets) * 8
