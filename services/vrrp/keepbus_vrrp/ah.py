"""`auth_type AH` of VRRPv2 in IPv4, in keepalived's form (conformance A5, features 16.6).

Law of this file: octets as keepalived writes them, so that a node can be migrated; not quite RFC 2402, since
the TTL of multicast stays in the hash and the SPI is the source address. A check changes nothing; `accept`
moves the sequence number, and only for an advert that passed every check (D15).
"""

from __future__ import annotations

import hmac
import struct

from keepbus_vrrp import ipv4
from keepbus_vrrp.refusal import Refused

PROTOCOL_AH = 51
LENGTH = 24
_NEXT_HEADER = 112
_LENGTH_IN_WORDS = LENGTH // 4 - 2
_ICV_LENGTH = 12
_HEAD = struct.Struct("!BBH4sI")
_NO_ICV = bytes(_ICV_LENGTH)
_TTL = 255
_LAST_SEQUENCE = 0xFFFF_FFFF
_NS_PER_S = 1_000_000_000


def seal(password: bytes, header: bytes, sequence: int, message: bytes) -> bytes:
    """The authentication header for a VRRP message. header is the IPv4 header as it will leave, with its
    identification; password has 8 octets."""
    head = _HEAD.pack(_NEXT_HEADER, _LENGTH_IN_WORDS, 0, header[12:16], sequence)
    return head + _icv(password, header, head, message)


def _icv(password: bytes, header: bytes, head: bytes, message: bytes) -> bytes:
    """HMAC-MD5-96 with what changes on the way as zero; the TTL counts only where it may not change."""
    ttl = header[8:9] if header[8] == _TTL else b"\0"
    hashed = header[:1] + b"\0" + header[2:6] + b"\0\0" + ttl + header[9:10] + b"\0\0" + header[12:20]
    return hmac.digest(password, hashed + head + _NO_ICV + message, "md5")[:_ICV_LENGTH]


class Guard:
    """Password and sequence number of one virtual router.

    All routers share one sequence: a number is believed when it is greater than any seen or sent. Ours
    begins at the wall clock's seconds, so that a new process does not begin below what its peers have heard
    of the one before (keepalived begins at 1, and its peers take it for a replay until it hears them).
    """

    __slots__ = ("_last", "_password")
    signs = True

    def __init__(self, password: bytes) -> None:
        """8 octets, padded with zeros."""
        self._password = password
        self._last = 0

    def check(self, datagram: bytes, header: bytes, message: bytes) -> int | Refused:
        """The sequence number of a received datagram; header is its authentication header, empty or short
        when there is none."""
        if len(header) != LENGTH:
            return Refused("auth_failure", "authentication type 2 without an authentication header")
        sequence: int
        next_header, words, _, spi, sequence = _HEAD.unpack_from(header)
        if next_header != _NEXT_HEADER or words != _LENGTH_IN_WORDS or spi != datagram[12:16]:
            return Refused("auth_failure", "the authentication header is none of keepalived's")
        if not hmac.compare_digest(
            header[_HEAD.size :], _icv(self._password, datagram, header[: _HEAD.size], message)
        ):
            return Refused("auth_failure", "the authentication header does not verify: another password?")
        if sequence <= self._last:
            return Refused(
                "auth_failure", f"sequence number {sequence} is not above {self._last}: a replay, or late"
            )
        return sequence

    def accept(self, source: bytes, sequence: int, wall_ns: int) -> str:
        """An advert with this number passed every check; what the operator should know, here nothing."""
        self._last = sequence
        return ""

    def next(self, wall_ns: int) -> int:
        """The number of the next advert; at the end of all numbers it grows no more, and peers refuse it."""
        self._last = min(max(self._last + 1, wall_ns // _NS_PER_S), _LAST_SEQUENCE)
        return self._last

    def seal(self, header: bytes, sequence: int, message: bytes) -> bytes:
        """The authentication header of an advert, see `seal`."""
        return seal(self._password, header, sequence, message)

    def datagram(self, source: bytes, destination: bytes, ttl: int, sequence: int, message: bytes) -> bytes:
        """A whole datagram; its identification is ours, because it is hashed, and 0 would be replaced."""
        identification = (sequence - 1) % 0xFFFF + 1
        length = LENGTH + len(message)
        header = ipv4.header(source, destination, ttl, length, PROTOCOL_AH, identification)
        return header + self.seal(header, sequence, message) + message

    def inherit(self, other: object) -> None:
        """Count on where the guard of another configuration ended."""
        if isinstance(other, Guard):
            self._last = other._last

    def reign(self) -> None:
        """A new master may begin anew where all numbers are used up."""
        if self._last == _LAST_SEQUENCE:
            self._last = 0
