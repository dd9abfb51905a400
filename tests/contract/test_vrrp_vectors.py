"""Golden bytes: every advert vector is decoded, or refused for the named reason, and encoded again."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest
from keepbus_vrrp import ah, hmac_trailer, ipv4, ipv6, packet
from keepbus_vrrp.announce import gratuitous_arp, neighbour_advertisement
from keepbus_vrrp.checksum import ones_complement_sum
from keepbus_vrrp.family import IPV4, IPV6, Family, pack, text
from keepbus_vrrp.refusal import Refused

from keepbus.config.model.vrrp import ChecksumForm

VECTORS = json.loads((Path(__file__).parent / "vrrp-vectors.json").read_text(encoding="utf-8"))["vectors"]
BY_NAME = {vector["name"]: vector for vector in VECTORS}

FRAMES = {vector["name"] for vector in VECTORS if vector["kind"] == "frame"}
ADVERTS = [vector for vector in VECTORS if vector["name"] not in FRAMES]


def named(vector: dict[str, Any]) -> str:
    """The statements of conformance that it is about, and its name."""
    return " ".join([*vector.get("statements", ()), vector["name"]])


def family_of(vector: dict[str, Any]) -> Family:
    return IPV6 if ":" in vector["src"] else IPV4


def expected(vector: dict[str, Any]) -> packet.Expected:
    receiver = vector["receiver"]
    advert = receiver["advert"]
    interval_us = int(advert[:-2]) * 10_000 if advert.endswith("cs") else int(advert[:-1]) * 1_000_000
    password = receiver.get("auth_data", "").encode()[:8].ljust(8, b"\0")
    peers = receiver.get("unicast_peers", [])
    form = receiver.get("checksum", "dual").removeprefix("strict-")
    return packet.Expected(
        version=receiver["version"],
        virtual_router_id=receiver["vrid"],
        group=b"" if peers else pack(family_of(vector).group),
        source=pack(receiver["local"]),
        auth_type=AUTH_TYPES[receiver.get("auth", "none")],
        auth_data=password,
        interval_us=interval_us,
        addresses=frozenset(map(pack, receiver["vips"])),
        peers={pack(peer): (receiver.get("min_ttl", 0), 255) for peer in peers},
        checksum=FORMS[form],
        link_local_first=family_of(vector) is IPV6,
        ah=ah.Guard(password) if receiver.get("auth") == "ah" else None,
        hmac=hmac_guard(receiver),
    )


def hmac_guard(receiver: dict[str, Any]) -> hmac_trailer.Guard | None:
    if "hmac_key_hex" not in receiver:
        return None
    policy = hmac_trailer.Policy(
        keys={receiver["hmac_key_id"]: bytes.fromhex(receiver["hmac_key_hex"])},
        active_key=receiver["hmac_key_id"],
        window_us=0 if receiver["anti_replay"] == "monotonic" else 5_000_000,
        signs=True,
        enforces=receiver["mode"] == "enforce",
    )
    return hmac_trailer.Guard(policy)


AUTH_TYPES = {"none": packet.AUTH_NONE, "simple": packet.AUTH_PASS, "ah": packet.AUTH_AH}


FORMS = {
    "dual": ChecksumForm.AUTO, "message": ChecksumForm.MESSAGE, "rfc9568": ChecksumForm.MESSAGE,
    "pseudo": ChecksumForm.PSEUDO, "rfc5798": ChecksumForm.PSEUDO,
}  # fmt: skip


def examine(vector: dict[str, Any]) -> packet.Advert | Refused:
    receiver = expected(vector)
    octets = bytes.fromhex(vector["ip_hex"])
    # As the machine does it: the instance is found by the packet's virtual router id.
    _, message = packet.split(octets, family_of(vector))
    known = len(message) > 1 and message[1] == receiver.virtual_router_id
    groups = frozenset({receiver.group})
    return packet.examine(
        octets, family_of(vector), receiver if known else None, groups, frozenset({receiver.source})
    )


def test_every_vector_is_placed() -> None:
    """A frame's vector is played below by its name; all others are adverts."""
    here = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in FRAMES if f'"{name}"' not in here] == []
    assert len(ADVERTS) == 70


@pytest.mark.parametrize("vector", ADVERTS, ids=named)
def test_advert(vector: dict[str, Any]) -> None:
    result = examine(vector)
    wanted = vector["expect"]
    if wanted["result"] == "reject":
        assert isinstance(result, Refused), result
        assert result.reason == wanted["reason"]
        return
    assert isinstance(result, packet.Advert), result
    decode = wanted["decode"]
    assert result.version == decode["version"]
    assert result.virtual_router_id == decode["vrid"]
    assert result.priority == decode["priority"]
    if "addresses" in decode:
        assert [text(address) for address in result.addresses] == decode["addresses"]
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


@pytest.mark.parametrize("vector", ACCEPTED, ids=named)
def test_encoded_again_it_is_the_same(vector: dict[str, Any]) -> None:
    """F15; in network order (F12)."""
    result = examine(vector)
    assert isinstance(result, packet.Advert)
    receiver = expected(vector)
    message = packet.encode(
        family=family_of(vector),
        version=result.version,
        virtual_router_id=result.virtual_router_id,
        priority=result.priority,
        interval_us=result.interval_us,
        addresses=result.addresses,
        source=result.source,
        destination=pack(vector["dst"]),
        auth_type=receiver.auth_type,
        auth_data=receiver.auth_data if receiver.auth_type == packet.AUTH_PASS else b"",
        message_sum=result.message_sum,
        sign=None
        if receiver.hmac is None
        else functools.partial(
            receiver.hmac.trailer, 6 if family_of(vector) is IPV6 else 4, result.source, result.sequence
        ),
    )
    assert message.hex() == vector["hex"]


def test_datagram_with_authentication_header() -> None:
    """A5: the whole datagram, its identification included."""
    vector = BY_NAME["v2-auth-ah-keepalived-form"]
    octets = bytes.fromhex(vector["ip_hex"])
    made = ah.Guard(b"secret12").datagram(octets[12:16], octets[16:20], 255, 1, octets[44:])
    assert made == octets


def test_datagram() -> None:
    """The IP header of the vectors, but for the identification, which the kernel fills in."""
    vector = BY_NAME["v2-basic"]
    octets = bytes.fromhex(vector["ip_hex"])
    made = ipv4.datagram(octets[12:16], octets[16:20], packet.TTL, octets[20:])
    assert made[:4] + made[6:10] + made[12:] == octets[:4] + octets[6:10] + octets[12:]
    assert ones_complement_sum(made[:20]) == 0xFFFF


def test_gratuitous_arp() -> None:
    vector = BY_NAME["garp-real-mac"]
    frame = bytes.fromhex(vector["frame_hex"])
    made = gratuitous_arp(frame[6:12], ipv4.pack("192.0.2.1"))
    assert made == frame


def test_gratuitous_arp_of_a_virtual_mac() -> None:
    """G1: the target hardware address is the virtual MAC by the errata, broadcast as keepalived sends it."""
    frame = bytearray.fromhex(BY_NAME["garp-virtual-mac"]["frame_hex"])
    made = gratuitous_arp(bytes(frame[6:12]), ipv4.pack("192.0.2.1"))
    frame[32:38] = b"\xff" * 6
    assert made == frame


def test_neighbour_advertisement() -> None:
    """G2: of a router; the vector's card has the virtual MAC."""
    frame = bytes.fromhex(BY_NAME["na-unsolicited-virtual-mac"]["frame_hex"])
    assert neighbour_advertisement(frame[6:12], pack("2001:db8::1"), router=True) == frame


def test_neighbour_advertisement_of_a_host() -> None:
    """What a running keepalived sent for fe80::12 (features 16.7)."""
    payload = bytes.fromhex("8800f96d20000000fe800000000000000000000000000012020100005e00020c")
    made = neighbour_advertisement(bytes.fromhex("00005e00020c"), pack("fe80::12"), router=False)
    assert made[14 + 40 :] == payload


@pytest.mark.parametrize("name", ["v2-on-ethernet", "v3-ipv6-on-ethernet"])
def test_what_a_frame_carries(name: str) -> None:
    """S3: a group's address maps to one MAC; the datagram in the frame is the basic vector's."""
    vector = BY_NAME[name]
    frame = bytes.fromhex(vector["frame_hex"])
    family = family_of(vector)
    basic = BY_NAME["v2-basic" if family is IPV4 else "v3-ipv6-basic"]
    assert frame[14:].hex() == basic["ip_hex"]


def test_datagram_ipv6() -> None:
    octets = bytes.fromhex(BY_NAME["v3-ipv6-basic"]["ip_hex"])
    assert ipv6.datagram(octets[8:24], octets[24:40], packet.TTL, octets[40:]) == octets
