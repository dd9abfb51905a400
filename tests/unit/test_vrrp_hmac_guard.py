"""Sequence numbers and clocks of `auth_hmac` (conformance X2 to X8)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from keepbus_vrrp import hmac_trailer
from keepbus_vrrp.hmac_trailer import Guard, Policy, ahead, clock
from keepbus_vrrp.refusal import Refused

S = 1_000_000_000
NOW = 1_790_000_000 * S
KEYS = {1: bytes(32), 2: b"\x01" * 32}
MESSAGE = bytes.fromhex("3133640100640000c0000201")
ONE, TWO = bytes((192, 0, 2, 1)), bytes((192, 0, 2, 2))


def guard(window_s: int = 5, active_key: int = 1, **fields: object) -> Guard:
    values = {"signs": True, "enforces": True} | fields
    return Guard(Policy(keys=KEYS, active_key=active_key, window_us=window_s * 1_000_000, **values))  # type: ignore[arg-type]


def sent(sender: Guard, wall_ns: int, source: bytes = ONE, message: bytes = MESSAGE) -> bytes:
    return sender.trailer(4, source, sender.next(wall_ns), message)


def heard(
    receiver: Guard, trailer: bytes, wall_ns: int, source: bytes = ONE, message: bytes = MESSAGE
) -> str:
    """The reason of a refusal; empty when the advert was accepted."""
    result = receiver.check(4, source, message, trailer, wall_ns)
    if isinstance(result, Refused):
        return result.reason
    if result is not None:
        receiver.accept(source, result, wall_ns)
    return ""


def test_a_clock_counts_in_65536ths_of_a_second() -> None:
    assert clock(NOW + S // 2) == 1_790_000_000 << 32 | 0x8000 << 16


@given(st.integers(0, (1 << 64) - 1), st.integers(-(1 << 63) + 1, (1 << 63) - 1))
def test_x7_order_is_serial(number: int, step: int) -> None:
    assert ahead((number + step) % (1 << 64), number) == step


def test_a_good_one_then_its_replay() -> None:
    receiver, trailer = guard(), sent(guard(), NOW)
    assert heard(receiver, trailer, NOW) == ""
    assert heard(receiver, trailer, NOW) == "hmac_replay"


@pytest.mark.parametrize(
    ("trailer", "reason"), [(b"\x02", "hmac_malformed"), (b"\x01\x01\x00\x01", "hmac_malformed")]
)
def test_x3_unknown_type_and_reserved_bits(trailer: bytes, reason: str) -> None:
    good = sent(guard(), NOW)
    assert heard(guard(), trailer + good[len(trailer) :], NOW) == reason


def test_x4_modes() -> None:
    permissive, receive_only = guard(enforces=False), guard(enforces=False, signs=False)
    assert heard(guard(), b"", NOW) == "hmac_missing"
    assert heard(permissive, b"", NOW) == ""
    assert heard(receive_only, b"", NOW) == ""
    assert not receive_only.signs
    bad = sent(guard(active_key=2), NOW)[:-1] + b"\0"
    assert heard(permissive, bad, NOW) == heard(receive_only, bad, NOW) == "hmac"


def test_x4_an_upgrade_steps_through_the_modes_without_a_loss() -> None:
    """Each node one step at a time; at every moment each hears the other."""
    steps: list[dict[str, object]] = [
        {"signs": False, "enforces": False},
        {"signs": True, "enforces": False},
        {"signs": True, "enforces": True},
    ]
    for one, two in ((0, 0), (1, 0), (1, 1), (2, 1), (2, 2)):
        a, b = guard(**steps[one]), guard(**steps[two])
        assert heard(b, sent(a, NOW), NOW) == heard(a, sent(b, NOW), NOW) == ""


def test_x5_freshness_comes_before_key_and_tag() -> None:
    unknown = sent(guard(), NOW)
    unknown = unknown[:1] + b"\x09" + unknown[2:]
    assert heard(guard(), unknown, NOW + 6 * S) == "hmac_stale"
    assert heard(guard(), unknown, NOW) == "hmac_key"


def test_x5_the_mark_moves_only_after_a_good_tag() -> None:
    receiver, sender = guard(), guard()
    early, late = sent(sender, NOW), sent(sender, NOW + S)
    assert heard(receiver, late[:-1] + bytes((late[-1] ^ 1,)), NOW + S) == "hmac"
    assert heard(receiver, early, NOW + S) == ""


@pytest.mark.parametrize("field", [1, 2, 3, 4, 8])
def test_x6_message_virtual_router_and_source_are_bound(field: int) -> None:
    trailer = sent(guard(), NOW)
    octets = bytearray(MESSAGE)
    octets[field] ^= 1
    assert heard(guard(), trailer, NOW, message=bytes(octets)) == "hmac"
    assert heard(guard(), trailer, NOW, source=TWO) == "hmac"


def test_x2_u3_the_checksum_is_not_bound() -> None:
    trailer = sent(guard(), NOW)
    assert heard(guard(), trailer, NOW, message=MESSAGE[:6] + b"\x12\x34" + MESSAGE[8:]) == ""


def test_x8_the_window() -> None:
    trailer = sent(guard(), NOW)
    for off_s, reason in ((-6, "hmac_stale"), (-4, ""), (4, ""), (6, "hmac_stale")):
        assert heard(guard(), trailer, NOW + off_s * S) == reason
    assert guard().skew_us(clock(NOW + 3 * S), NOW) == 3_000_000


def test_x8_monotonic_needs_no_common_clock() -> None:
    sender, receiver = guard(0), guard(0)
    early = sent(sender, NOW)
    assert heard(receiver, early, 0) == ""
    assert heard(receiver, early, 0) == "hmac_replay"
    assert heard(receiver, sent(sender, NOW - 3600 * S), 0) == ""
    assert receiver.skew_us(clock(NOW), 0) == 0


def test_x7_a_clock_that_stands_still_counts_on() -> None:
    sender, receiver = guard(), guard()
    for _ in range(1000):
        assert heard(receiver, sent(sender, NOW), NOW) == ""


def test_x7_a_clock_step_ends_in_no_lasting_refusal() -> None:
    """R-F39: sender and receiver 400 s ahead for a while, then both right again."""
    sender, receiver = guard(), guard()
    assert heard(receiver, sent(sender, NOW), NOW) == ""
    assert heard(receiver, sent(sender, NOW + 400 * S), NOW + 400 * S) == ""
    # The sender starts again at the clock, and the mark in the future has expired.
    assert heard(receiver, sent(sender, NOW + 2 * S), NOW + 2 * S) == ""
    assert heard(receiver, sent(sender, NOW + 3 * S), NOW + 3 * S) == ""


def test_x7_a_step_back_within_the_window_counts_on() -> None:
    sender, receiver = guard(), guard()
    assert heard(receiver, sent(sender, NOW), NOW) == ""
    assert heard(receiver, sent(sender, NOW - 3 * S), NOW - 3 * S) == ""


def test_marks_of_four_multicast_senders_are_kept() -> None:
    receiver = guard()
    sources = [bytes((192, 0, 2, number)) for number in range(1, 6)]
    trailers = [sent(guard(), NOW, source) for source in sources]
    for source, trailer in zip(sources, trailers, strict=True):
        assert heard(receiver, trailer, NOW, source) == ""
    for source, trailer in list(zip(sources, trailers, strict=True))[1:]:
        assert heard(receiver, trailer, NOW, source) == "hmac_replay"


@given(st.binary(max_size=80), st.binary(min_size=28, max_size=28))
def test_r_f71_no_octets_raise_anything(message: bytes, trailer: bytes) -> None:
    message = message.ljust(8, b"\0")
    result = guard().check(4, ONE, message, trailer, NOW)
    assert isinstance(result, Refused)
    assert result.reason in ("hmac_malformed", "hmac_stale", "hmac_key", "hmac")


def test_key_rollover() -> None:
    """Both keys known everywhere, then the active one is changed node by node."""
    receiver = guard(active_key=1)
    assert heard(receiver, sent(guard(active_key=2), NOW), NOW) == ""
    assert len(sent(guard(), NOW)) == hmac_trailer.LENGTH
