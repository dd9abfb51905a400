"""DNS messages, as far as DNS_CHECK needs them: one question out, one answer judged. No socket, no waiting.

Law of this file: whatever an answer holds, reading it ends after at most `MOST_OCTETS` octets and
`_MOST_JUMPS` jumps per name, and what is malformed is a reason, never an exception. keepalived looks at id
and response code (reference: keepalived-features 13.2); here the records behind them must also be well-formed
(RFC 1035 section 4; reliability R-F79).
"""

from __future__ import annotations

import struct
from typing import NamedTuple

TYPES = {
    "A": 1,
    "NS": 2,
    "CNAME": 5,
    "SOA": 6,
    "MX": 15,
    "TXT": 16,
    "AAAA": 28,
    "RRSIG": 46,
    "DNSKEY": 48,
}
MOST_OCTETS = 4096
"""Without EDNS, which is not asked for, an answer has at most 512."""

_HEADER = struct.Struct("!6H")
_RECORD = struct.Struct("!2HIH")
_RESPONSE, _TRUNCATED, _RECURSION_DESIRED, _CODE = 0x8000, 0x0200, 0x0100, 0x000F
_INTERNET = 1
_POINTER = 0xC0
_MOST_JUMPS = 16
_LONGEST_NAME = 255
_LONGEST_LABEL = 63
_CODES = {
    0: "NOERROR",
    1: "FORMERR",
    2: "SERVFAIL",
    3: "NXDOMAIN",
    4: "NOTIMP",
    5: "REFUSED",
}


class Judgement(NamedTuple):
    """What an answer comes to."""

    passed: bool
    received: str
    """One line for the operator: `NOERROR, 2 answers`."""


def query(name: str, type_name: str, identity: int) -> bytes:
    """A query of class IN with recursion desired; identity is its 16-bit id.

    Raises ValueError for a name that DNS can't hold, KeyError for a type that is none of TYPES.
    """
    header = _HEADER.pack(identity, _RECURSION_DESIRED, 1, 0, 0, 0)
    return header + encoded(name) + struct.pack("!2H", TYPES[type_name], _INTERNET)


def encoded(name: str) -> bytes:
    """A domain name in wire format; `.` is the root. Raises ValueError when it is none."""
    labels = name.removesuffix(".").encode("ascii").split(b".") if name != "." else []
    if any(not 0 < len(label) <= _LONGEST_LABEL for label in labels):
        raise ValueError(f"{name} has an empty label or one of more than {_LONGEST_LABEL} octets")
    octets = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
    if len(octets) > _LONGEST_NAME:
        raise ValueError(f"{name} is longer than {_LONGEST_NAME} octets")
    return octets


def judge(octets: bytes, length: int, identity: int) -> Judgement | None:
    """Read what came; None for what is to be ignored because it does not answer this query.

    length is the datagram's, octets as much of it as was read.
    """
    if length < _HEADER.size:
        return None
    identity_of_answer, flags, *counts = _HEADER.unpack_from(octets)
    if identity_of_answer != identity:
        return None
    if not flags & _RESPONSE:
        return Judgement(False, "the query came back instead of an answer")
    code = flags & _CODE
    if code:
        return Judgement(False, _CODES.get(code, f"response code {code}"))
    if length > min(MOST_OCTETS, len(octets)):
        return Judgement(False, f"answer longer than {MOST_OCTETS} octets")
    answers = counts[1]
    if not flags & _TRUNCATED:
        fault = _fault(octets, counts[0], sum(counts[1:]))
        if fault:
            return Judgement(False, f"malformed answer: {fault}")
    return Judgement(True, f"NOERROR, {answers} answer{'' if answers == 1 else 's'}")


def _fault(octets: bytes, questions: int, records: int) -> str:
    """What is wrong with the sections, empty when nothing is."""
    at = _HEADER.size
    for _ in range(questions):
        at = _after_name(octets, at)
        if at < 0:
            return "a name is broken"
        at += 4
        if at > len(octets):
            return "it ends within a question"
    for _ in range(records):
        at = _after_name(octets, at)
        if at < 0:
            return "a name is broken"
        if at + _RECORD.size > len(octets):
            return "it ends within a record"
        at += _RECORD.size + _RECORD.unpack_from(octets, at)[3]
        if at > len(octets):
            return "a record is longer than the answer"
    return "" if at == len(octets) else f"{len(octets) - at} octets are left over"


def _after_name(octets: bytes, at: int) -> int:
    """Where the name that begins at `at` ends; -1 when it is broken.

    A pointer must lead to before the name that it stands in, so following pointers ends (RFC 1035 4.1.4).
    """
    end = -1
    start = at
    length = jumps = 0
    while at < len(octets):
        label = octets[at]
        if label >= _POINTER:
            if at + 2 > len(octets) or jumps == _MOST_JUMPS:
                return -1
            target = (label & ~_POINTER) << 8 | octets[at + 1]
            if end < 0:
                end = at + 2
            if not _HEADER.size <= target < start:
                return -1
            at = start = target
            jumps += 1
            continue
        length += label + 1
        if label > _LONGEST_LABEL or length > _LONGEST_NAME:
            return -1
        at += label + 1
        if not label:
            return end if end >= 0 else at
    return -1
