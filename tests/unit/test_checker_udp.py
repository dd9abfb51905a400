"""What UDP_CHECK sends and wants (keepalived-features 13.2)."""

from __future__ import annotations

import pytest
from keepbus_checker.udp import Reply, payload

from keepbus.config.model.checker import UdpExchange


def judged(octets: bytes, length: int | None = None, **settings: object) -> tuple[bool, str]:
    exchange = UdpExchange(require_reply=True, **settings)  # type: ignore[arg-type]
    return Reply(exchange).judge(memoryview(octets), len(octets) if length is None else length)


def test_the_payload_is_as_configured_else_32_octets_of_text() -> None:
    assert payload(UdpExchange(payload="ab120f")) == b"\xab\x12\x0f"
    assert len(payload(UdpExchange())) == 32


@pytest.mark.parametrize(
    ("octets", "pattern", "passed"),
    [
        (b"\x01\x02\x03", "0102", True),
        (b"\x01\x02", "0102", True),
        (b"\x01", "0102", True),  # compared as far as it goes, as keepalived does
        (b"\x02\x02", "0102", False),
        (b"\x01\x03", "0102", False),
        (b"\x0f\x02", "0x02", True),
        (b"\x1f\x02", "0x02", False),
        (b"\xf1\x02", "x102", True),
        (b"\xf2\x02", "x102", False),
        (b"\x77\x77", "xxxx", True),
        (b"", "01", True),
        (b"anything", "", True),
    ],
)
def test_a_reply_begins_with_the_pattern(octets: bytes, pattern: str, passed: bool) -> None:
    assert judged(octets, reply_pattern=pattern)[0] is passed


def test_length_limits_are_included() -> None:
    limits = {"min_reply_length": 2, "max_reply_length": 4}
    assert [judged(bytes(n), **limits)[0] for n in range(7)] == [False, False, True, True, True, False, False]
    assert judged(bytes(1), **limits)[1] == "1 octets, but 2 to 4 are wanted"
    assert judged(bytes(100), 300) == (False, "300 octets, but 0 to 255 are wanted"), (
        "the datagram was longer"
    )


def test_the_octet_at_fault_is_named() -> None:
    assert judged(b"\x01\xfe", reply_pattern="0102") == (False, "2 octets, but octet 2 is fe")


def test_without_require_reply_any_answer_will_do() -> None:
    reply = Reply(UdpExchange(min_reply_length=9, reply_pattern="ff"))
    assert reply.judge(memoryview(b"\x01"), 1) == (True, "1 octets")
