"""Conformance section 5: one fixed order, so that each bad packet has exactly one reason.

The datagrams are built here, field by field, by a sum and a layout of this file's own.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from keepbus_vrrp import hmac_trailer, packet
from keepbus_vrrp.family import IPV4
from keepbus_vrrp.refusal import Refused

GROUP = bytes((224, 0, 0, 18))
LOCAL, PEER = bytes((192, 0, 2, 253)), bytes((192, 0, 2, 251))
VIP, OTHER_VIP = bytes((192, 0, 2, 1)), bytes((192, 0, 2, 9))
PASSWORD = b"secret12"
KEY = bytes(range(32))
WALL_NS = 1_790_000_000 * 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A datagram's fields."""

    destination: bytes = GROUP
    source: bytes = PEER
    ttl: int = 255
    version: int = 2
    type: int = 1
    router_id: int = 51
    count: int = 1
    bad_sum: bool = False
    key: bytes = KEY
    auth_type: int = 1
    password: bytes = PASSWORD
    interval: int = 1
    address: bytes = VIP
    padding: bytes = b""

    def octets(self) -> bytes:
        head = struct.pack(
            "!BBBBBBH",
            self.version << 4 | self.type, self.router_id, 100, self.count, self.auth_type, self.interval, 0,
        )  # fmt: skip
        message = head + self.address + self.password + self.padding
        total = sum(struct.unpack(f"!{len(message) // 2}H", message))
        total = (total & 0xFFFF) + (total >> 16)
        total = (total & 0xFFFF) + (total >> 16)
        check = (0xFFFF - total) ^ self.bad_sum
        policy = hmac_trailer.Policy(
            keys={1: self.key}, active_key=1, window_us=5_000_000, signs=True, enforces=True
        )
        number = hmac_trailer.clock(WALL_NS)
        trailer = hmac_trailer.Guard(policy).trailer(4, self.source, number, message)
        payload = message[:6] + check.to_bytes(2, "big") + message[8:] + trailer
        return (
            struct.pack("!BBHHHBBH", 0x45, 0xC0, 20 + len(payload), 1, 0, self.ttl, 112, 0)
            + self.source + self.destination + payload
        )  # fmt: skip


Defect = tuple[str, str, Callable[[Sent], Sent]]
# In the order of the statements; each defect alone has its reason.
DEFECTS: list[Defect] = [
    ("D10", "destination", lambda sent: replace(sent, destination=bytes((224, 0, 0, 99)))),
    ("D11", "own_address", lambda sent: replace(sent, source=LOCAL)),
    ("D1", "ttl", lambda sent: replace(sent, ttl=254)),
    ("D2", "version", lambda sent: replace(sent, version=4)),
    ("D3", "type", lambda sent: replace(sent, type=2)),
    ("D6", "vrid_unknown", lambda sent: replace(sent, router_id=99)),
    ("D4", "length", lambda sent: replace(sent, padding=bytes(4))),
    ("D5", "checksum", lambda sent: replace(sent, bad_sum=True)),
    ("D13", "hmac", lambda sent: replace(sent, key=bytes(32))),
    ("D14", "auth_failure", lambda sent: replace(sent, password=b"secret13")),
    ("D8", "adver_int_mismatch", lambda sent: replace(sent, interval=2)),
    ("D9", "addr_list_mismatch", lambda sent: replace(sent, count=0, address=b"")),
]


def judged(octets: bytes) -> str:
    """The reason of a refusal; empty for an advert."""
    policy = hmac_trailer.Policy(keys={1: KEY}, active_key=1, window_us=5_000_000, signs=True, enforces=True)
    expected = packet.Expected(
        version=2,
        virtual_router_id=51,
        group=GROUP,
        source=LOCAL,
        auth_type=packet.AUTH_PASS,
        auth_data=PASSWORD,
        interval_us=1_000_000,
        addresses=frozenset({VIP}),
        hmac=hmac_trailer.Guard(policy),
    )
    known = len(octets) > 21 and octets[21] == 51
    result = packet.examine(
        octets, IPV4, expected if known else None, frozenset({GROUP}), frozenset({LOCAL}), WALL_NS
    )
    return result.reason if isinstance(result, Refused) else ""


def test_the_good_one_is_good() -> None:
    assert judged(Sent().octets()) == ""


def test_d9_another_address_is_no_reason_to_refuse() -> None:
    assert judged(Sent(address=OTHER_VIP).octets()) == ""


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: str(defect[0]))
def test_each_check_has_its_reason(defect: Defect) -> None:
    _, reason, spoil = defect
    assert judged(spoil(Sent()).octets()) == reason


PAIRS = list(itertools.combinations(DEFECTS, 2))


@pytest.mark.parametrize(("first", "second"), PAIRS, ids=lambda defect: str(defect[0]))
def test_of_two_defects_the_earlier_one_counts(first: Defect, second: Defect) -> None:
    assert judged(second[2](first[2](Sent())).octets()) == first[1]


def test_d23_less_than_eight_octets_is_a_length_before_anything_in_them() -> None:
    for spoil in (DEFECTS[3][2], DEFECTS[4][2], DEFECTS[5][2]):
        octets = spoil(Sent()).octets()[:27]
        octets = octets[:2] + (27).to_bytes(2, "big") + octets[4:]
        assert judged(octets) == "length"


@pytest.mark.parametrize("ttl", [254, 1, 0])
def test_r_f67_ttl(ttl: int) -> None:
    assert judged(Sent(ttl=ttl).octets()) == "ttl"


def test_r_f69_every_length_and_count() -> None:
    """Payloads of 0 to 1500 octets that claim 0, 1 and 255 addresses."""
    whole = Sent().octets() + bytes(1500)
    for count in (0, 1, 255):
        exact = {8 + 4 * count + 8, 8 + 4 * count + 8 + hmac_trailer.LENGTH}
        for length in range(1501):
            octets = bytearray(whole[: 20 + length])
            octets[2:4] = (20 + length).to_bytes(2, "big")
            if length > 3:
                octets[23] = count
            reason = judged(bytes(octets))
            if length in exact:
                assert reason in ("checksum", "hmac_missing", ""), (count, length)
            else:
                assert reason in ("length", "vrid_unknown"), (count, length)


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        *((Sent(version=version), "version") for version in (0, 1, 3, 4, 15)),
        *((Sent(type=number), "type") for number in (0, 2, 15)),
        *((Sent(router_id=number), "vrid_unknown") for number in (0, 1, 50, 255)),
    ],
)
def test_r_f70_version_type_and_router_id(sent: Sent, reason: str) -> None:
    assert judged(sent.octets()) == reason
