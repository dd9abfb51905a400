"""Octets of AH and of the HMAC trailer: the vectors, and what a running keepalived sent (features 16.7)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from keepbus_vrrp import ah, hmac_trailer, ipv4
from keepbus_vrrp.refusal import Refused

VECTORS = {
    vector["name"]: vector
    for vector in json.loads((Path(__file__).parent / "vrrp-vectors.json").read_text(encoding="utf-8"))[
        "vectors"
    ]
}
PASSWORD = b"secret12"
WALL_NS = 0x68000000 * 1_000_000_000
CAPTURED_AH = "700400000a01000100000001f77c34a1c39119cd832ba550210bff010201d3e50a01000b0000000000000000"
CAPTURED_TRAILER = "310eff010064daeb0a01000e010700006b02f3edd31b0000878f422cb2371bece8e4f886437933b4"


def policy(key: str, key_id: int = 1, **fields: object) -> hmac_trailer.Policy:
    values = {"active_key": key_id, "window_us": 0, "signs": True, "enforces": True} | fields
    return hmac_trailer.Policy(keys={key_id: bytes.fromhex(key)}, **values)  # type: ignore[arg-type]


def test_a5_ah_of_the_vector() -> None:
    datagram = bytes.fromhex(VECTORS["v2-auth-ah-keepalived-form"]["ip_hex"])
    header, message = datagram[20:44], datagram[44:]
    assert ah.Guard(PASSWORD).check(datagram, header, message) == 1
    assert ah.Guard(PASSWORD).seal(datagram[:20], 1, message) == header


def test_a5_ah_of_a_running_keepalived() -> None:
    payload = bytes.fromhex(CAPTURED_AH)
    head = "45c0" + f"{20 + len(payload):04x}" + "00010000ff330000" + "0a010001e0000012"
    datagram = bytes.fromhex(head) + payload
    assert ah.Guard(PASSWORD).check(datagram, payload[:24], payload[24:]) == 1
    assert ah.Guard(PASSWORD).seal(datagram[:20], 1, payload[24:]) == payload[:24]


@pytest.mark.parametrize("at", [*range(2, 10), 16, 19, 28, 35, 43, 44, 46, 52, 63])
def test_a5_what_is_hashed_cannot_be_changed(at: int) -> None:
    octets = bytearray.fromhex(VECTORS["v2-auth-ah-keepalived-form"]["ip_hex"])
    octets[at] ^= 1
    datagram = bytes(octets)
    result = ah.Guard(PASSWORD).check(datagram, datagram[20:44], datagram[44:])
    if at in (6, 7):  # flags and fragment offset count as zero
        assert result == 1
    else:
        assert isinstance(result, Refused)
        assert result.reason == "auth_failure"


def hmac(name: str) -> int | Refused | None:
    vector = VECTORS[name]
    receiver = vector["receiver"]
    six = receiver["family"] == "ipv6"
    datagram = bytes.fromhex(vector["ip_hex"])
    source, payload = (datagram[8:24], datagram[40:]) if six else (datagram[12:16], datagram[20:])
    length = 8 + len(receiver["vips"]) * (16 if six else 4)
    guard = hmac_trailer.Guard(policy(receiver["hmac_key_hex"], receiver["hmac_key_id"]))
    return guard.check(6 if six else 4, source, payload[:length], payload[length:], WALL_NS)


HMAC_VECTORS = [vector for name, vector in VECTORS.items() if name.startswith("hmac-")]


@pytest.mark.parametrize("vector", HMAC_VECTORS, ids=lambda vector: str(vector["name"]))
def test_x1_trailers_of_the_vectors(vector: dict[str, object]) -> None:
    result = hmac(str(vector["name"]))
    expect = vector["expect"]
    assert isinstance(expect, dict)
    if expect["result"] == "accept":
        assert result == int(expect["decode"]["seq"], 16)
    else:
        assert isinstance(result, Refused)
        assert result.reason == expect["reason"]


@pytest.mark.parametrize("name", ["hmac-v3-ipv4", "hmac-v3-ipv6"])
def test_x1_signed_again_it_is_the_same(name: str) -> None:
    vector = VECTORS[name]
    receiver = vector["receiver"]
    payload = bytes.fromhex(vector["hex"])
    datagram = bytes.fromhex(vector["ip_hex"])
    six = receiver["family"] == "ipv6"
    source = datagram[8:24] if six else datagram[12:16]
    guard = hmac_trailer.Guard(policy(receiver["hmac_key_hex"], receiver["hmac_key_id"]))
    sequence = int(vector["expect"]["decode"]["seq"], 16)
    made = guard.trailer(6 if six else 4, source, sequence, payload[:-28])
    assert made == payload[-28:]


def test_x1_trailer_of_a_running_keepalived() -> None:
    payload = bytes.fromhex(CAPTURED_TRAILER)
    key = b"0123456789abcdef0123456789abcdef".hex()
    guard = hmac_trailer.Guard(policy(key, 7, window_us=5_000_000))
    sent_at_ns = 0x6B02F3ED * 1_000_000_000 + (0xD31B * 1_000_000_000 >> 16)
    source = ipv4.pack("10.1.0.1")
    assert guard.check(4, source, payload[:-28], payload[-28:], sent_at_ns + 1_000_000) == 0x6B02F3EDD31B0000
    assert guard.trailer(4, source, hmac_trailer.clock(sent_at_ns + 15_000), payload[:-28]) == payload[-28:]
