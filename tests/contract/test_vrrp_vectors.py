"""Golden bytes: every advert vector is decoded, or refused for the named reason, and encoded again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from keepbus_vrrp import ipv4, packet
from keepbus_vrrp.announce import gratuitous_arp

VECTORS = json.loads((Path(__file__).parent / "vrrp-vectors.json").read_text(encoding="utf-8"))["vectors"]
BY_NAME = {vector["name"]: vector for vector in VECTORS}

LATER = {
    # IPv6
    "v3-ipv6-basic", "v3-ipv6-link-local-only", "v3-ipv6-owner-255", "v3-ipv6-hop-limit-254",
    "v3-ipv6-first-address-not-link-local", "v3-ipv6-count-2-one-address", "v3-ipv6-global-source",
    "v2-over-ipv6", "na-unsolicited-virtual-mac", "v3-ipv6-on-ethernet",
    # unicast
    "v2-multicast-to-unicast-instance", "v2-unicast-known-peer", "v3-ipv4-unicast-pseudo",
    # AH and HMAC
    "v2-auth-ah-keepalived-form", "hmac-v3-ipv4", "hmac-v3-ipv4-source-spoofed", "hmac-v3-ipv4-missing",
    "hmac-v3-ipv6",
    # a setting for one checksum form only
    "v3-ipv4-message-strict-pseudo",
    # virtual MAC: our frames carry the card's
    "garp-virtual-mac", "v2-on-ethernet",
}  # fmt: skip
FRAMES = {"garp-real-mac"}
ADVERTS = [vector for vector in VECTORS if vector["name"] not in LATER | FRAMES]


def expected(receiver: dict[str, Any]) -> packet.Expected:
    advert = receiver["advert"]
    interval_us = int(advert[:-2]) * 10_000 if advert.endswith("cs") else int(advert[:-1]) * 1_000_000
    password = receiver.get("auth_data", "").encode()[:8].ljust(8, b"\0")
    return packet.Expected(
        version=receiver["version"],
        virtual_router_id=receiver["vrid"],
        group=ipv4.pack("224.0.0.18"),
        source=ipv4.pack(receiver["local"]),
        auth_type=packet.AUTH_PASS if receiver.get("auth") == "simple" else packet.AUTH_NONE,
        auth_data=password,
        interval_us=interval_us,
        addresses=frozenset(map(ipv4.pack, receiver["vips"])),
    )


def examine(vector: dict[str, Any]) -> packet.Advert | packet.Refused:
    receiver = expected(vector["receiver"])
    octets = bytes.fromhex(vector["ip_hex"])
    # As the machine does it: the instance is found by the packet's virtual router id.
    message = ipv4.payload(octets)
    known = len(message) > 1 and message[1] == receiver.virtual_router_id
    groups = frozenset({receiver.group})
    return packet.examine(octets, receiver if known else None, groups, frozenset({receiver.source}))


def test_every_vector_is_placed() -> None:
    assert BY_NAME.keys() >= LATER | FRAMES
    assert len(ADVERTS) == 53


@pytest.mark.parametrize("vector", ADVERTS, ids=lambda vector: str(vector["name"]))
def test_advert(vector: dict[str, Any]) -> None:
    result = examine(vector)
    wanted = vector["expect"]
    if wanted["result"] == "reject":
        assert isinstance(result, packet.Refused), result
        assert result.reason == wanted["reason"]
        return
    assert isinstance(result, packet.Advert), result
    decode = wanted["decode"]
    assert result.version == decode["version"]
    assert result.virtual_router_id == decode["vrid"]
    assert result.priority == decode["priority"]
    if "addresses" in decode:
        assert [ipv4.dotted(address) for address in result.addresses] == decode["addresses"]
    if "adver_int_s" in decode:
        assert result.interval_us == decode["adver_int_s"] * 1_000_000
    if "max_adver_int_cs" in decode:
        assert result.interval_us == decode["max_adver_int_cs"] * 10_000


# Accepted, but not what a sender writes: reserved bits set, the other zero, garbage that is ignored.
NOT_CANONICAL = {
    "v2-noauth-garbage-authdata", "v2-checksum-ffff-alias", "v3-ipv4-reserved-nibble-set",
    "v3-ipv4-pseudo-reserved-nibble",
}  # fmt: skip
ACCEPTED = [
    vector
    for vector in ADVERTS
    if vector["expect"]["result"] == "accept" and vector["name"] not in NOT_CANONICAL
]


@pytest.mark.parametrize("vector", ACCEPTED, ids=lambda vector: str(vector["name"]))
def test_encoded_again_it_is_the_same(vector: dict[str, Any]) -> None:
    """F15."""
    result = examine(vector)
    assert isinstance(result, packet.Advert)
    receiver = expected(vector["receiver"])
    message = packet.encode(
        version=result.version,
        virtual_router_id=result.virtual_router_id,
        priority=result.priority,
        interval_us=result.interval_us,
        addresses=result.addresses,
        source=result.source,
        destination=receiver.group,
        auth_type=receiver.auth_type,
        auth_data=receiver.auth_data,
        message_sum=result.message_sum,
    )
    assert message.hex() == vector["hex"]


def test_datagram() -> None:
    """The IP header of the vectors, but for the identification, which the kernel fills in."""
    vector = BY_NAME["v2-basic"]
    octets = bytes.fromhex(vector["ip_hex"])
    made = ipv4.datagram(octets[12:16], octets[16:20], packet.TTL, octets[20:])
    assert made[:4] + made[6:10] + made[12:] == octets[:4] + octets[6:10] + octets[12:]
    assert ipv4.ones_complement_sum(made[:20]) == 0xFFFF


def test_gratuitous_arp() -> None:
    vector = BY_NAME["garp-real-mac"]
    frame = bytes.fromhex(vector["frame_hex"])
    made = gratuitous_arp(frame[6:12], ipv4.pack("192.0.2.1"))
    assert made == frame
