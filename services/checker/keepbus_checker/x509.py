"""A server's certificate, as far as an operator wants to know it: whose, whose word, until when.

Law of this file: whatever the octets are, reading them ends after one pass over at most MOST_OCTETS of them,
and what is malformed is a ValueError. Nothing is verified here (DER as in X.690, fields as in RFC 5280 4.1).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

MOST_OCTETS = 64 * 1024
_LONGEST_NAME = 200
_INTEGER, _OID, _SEQUENCE, _SET = 0x02, 0x06, 0x30, 0x31
_VERSION = 0xA0
_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18
_ENCODINGS = {
    0x0C: "utf-8",
    0x13: "ascii",
    0x14: "latin-1",
    0x16: "ascii",
    0x1C: "utf-32-be",
    0x1E: "utf-16-be",
}
_ATTRIBUTES = {
    bytes((0x55, 4, 3)): "CN",
    bytes((0x55, 4, 6)): "C",
    bytes((0x55, 4, 7)): "L",
    bytes((0x55, 4, 8)): "ST",
    bytes((0x55, 4, 10)): "O",
    bytes((0x55, 4, 11)): "OU",
    bytes.fromhex("0992268993f22c640119"): "DC",
}


class Known(NamedTuple):
    """What a certificate says."""

    subject: str
    """`CN=www.example, O=Example`."""
    issuer: str
    not_after_ns: int
    """Its last moment, nanoseconds since the epoch."""


class _Reader:
    """Reads one element after the other."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._octets)

    def peek(self) -> int:
        """The next tag; -1 at the end."""
        return self._octets[self._at] if self else -1

    def take(self, tag: int = -1) -> bytes:
        """The content of the next element, which must have this tag. Raises ValueError."""
        octets, at = self._octets, self._at
        if at + 2 > len(octets):
            raise ValueError("it ends too early")
        if tag >= 0 and octets[at] != tag:
            raise ValueError(f"tag {octets[at]:#x} instead of {tag:#x}")
        length, at = octets[at + 1], at + 2
        if length >= 0x80:
            count = length & 0x7F
            length, at = int.from_bytes(octets[at : at + count], "big"), at + count
            if not 0 < count <= 4:
                raise ValueError("a length that DER does not have")
        if at + length > len(octets):
            raise ValueError("an element is longer than what it stands in")
        self._at = at + length
        return octets[at : at + length]


def read(der: bytes) -> Known:
    """Raises ValueError for what is no certificate."""
    if len(der) > MOST_OCTETS:
        raise ValueError(f"longer than {MOST_OCTETS} octets")
    signed = _Reader(_Reader(_Reader(der).take(_SEQUENCE)).take(_SEQUENCE))
    if signed.peek() == _VERSION:
        signed.take()
    signed.take(_INTEGER)
    signed.take(_SEQUENCE)
    issuer = _name(signed.take(_SEQUENCE))
    validity = _Reader(signed.take(_SEQUENCE))
    validity.take()
    kind = validity.peek()
    not_after_ns = _moment_ns(kind, validity.take())
    return Known(_name(signed.take(_SEQUENCE)), issuer, not_after_ns)


def _name(octets: bytes) -> str:
    parts = []
    relative = _Reader(octets)
    while relative:
        attributes = _Reader(relative.take(_SET))
        while attributes:
            attribute = _Reader(attributes.take(_SEQUENCE))
            kind = _ATTRIBUTES.get(attribute.take(_OID))
            encoding = _ENCODINGS.get(attribute.peek())
            value = attribute.take()
            if kind and encoding:
                parts.append(f"{kind}={_printable(value.decode(encoding, 'replace'))}")
    # The most telling part stands last in most certificates.
    text = ", ".join(reversed(parts))
    return text if len(text) <= _LONGEST_NAME else f"{text[:_LONGEST_NAME]}…"


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "�" for character in text)


def _moment_ns(kind: int, octets: bytes) -> int:
    text = octets.decode("ascii", "replace")
    if kind == _UTC_TIME:
        # RFC 5280 section 4.1.2.5.1: two digits of a year from 1950 to 2049.
        text = f"{'19' if text[:2] >= '50' else '20'}{text}"
    elif kind != _GENERALIZED_TIME:
        raise ValueError(f"tag {kind:#x} instead of a time")
    if len(text) != len("YYYYMMDDhhmmssZ") or not text[:-1].isdecimal() or text[-1] != "Z":
        raise ValueError("a time that DER does not have")
    return int(datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()) * 1_000_000_000
