"""ICMP echo messages of PING_CHECK (RFC 792, RFC 4443)."""

from __future__ import annotations

import random

import pytest
from keepbus_checker.echo import is_reply, request


@pytest.mark.parametrize(("ipv6", "kind", "reply"), [(False, 8, 0), (True, 128, 129)])
def test_a_request_and_its_reply(ipv6: bool, kind: int, reply: int) -> None:
    octets = request(0x1234, ipv6=ipv6)
    assert len(octets) == 128
    assert octets[:8] == bytes((kind, 0, 0, 0, 0, 0, 0x12, 0x34))
    answer = bytes((reply, 0, 0xAB, 0xCD, 0, 77)) + octets[6:]
    assert is_reply(answer, 0x1234, ipv6=ipv6)
    assert not is_reply(answer, 0x1235, ipv6=ipv6), "another sequence number"
    assert not is_reply(octets, 0x1234, ipv6=ipv6), "the request itself"
    assert not is_reply(answer, 0x1234, ipv6=not ipv6), "the other family's"
    assert not is_reply(b"\x03" + answer[1:], 0x1234, ipv6=ipv6), "unreachable"
    assert not is_reply(bytes((reply, 1)) + answer[2:], 0x1234, ipv6=ipv6), "a code that there is not"


def test_whatever_comes_is_judged() -> None:
    source = random.Random(792)
    for length in range(200):
        assert not is_reply(b"\x05" + source.randbytes(length), 1, ipv6=False)
    assert not is_reply(b"", 0, ipv6=False)
