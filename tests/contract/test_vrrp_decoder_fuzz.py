"""No octets raise anything but a refusal, in any form of authentication (F15, R-F71, R-F76).

The second receiver at the end of this file knows the rules of version 2 and 3 over IPv4 and shares no code
with the first.
"""

from __future__ import annotations

import random
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keepbus_vrrp import ah, hmac_trailer, packet
from keepbus_vrrp.family import IPV4, IPV6, Family, pack
from keepbus_vrrp.refusal import Refused

KEY = bytes(range(32))
PASSWORD = b"secret12"
WALL_NS = 1_790_000_000 * 1_000_000_000
SOURCES = {IPV4: pack("192.0.2.251"), IPV6: pack("fe80::251")}
LOCAL = {IPV4: pack("192.0.2.253"), IPV6: pack("fe80::253")}
ADDRESSES = {IPV4: (pack("192.0.2.1"),), IPV6: (pack("fe80::1"), pack("2001:db8::1"))}


class Form:
    """A version, a family and a form of authentication."""

    def __init__(self, family: Family, version: int, auth: str) -> None:
        self.family, self.version, self.auth = family, version, auth
        self.group = pack(family.group)

    def guard(self) -> Any:
        if self.auth == "ah":
            return ah.Guard(PASSWORD)
        if self.auth == "hmac":
            return hmac_trailer.Guard(
                hmac_trailer.Policy(
                    keys={1: KEY}, active_key=1, window_us=5_000_000, signs=True, enforces=True
                )
            )
        return None

    def expected(self) -> packet.Expected:
        types = {"pass": packet.AUTH_PASS, "ah": packet.AUTH_AH}
        guard = self.guard()
        return packet.Expected(
            version=self.version,
            virtual_router_id=51,
            group=self.group,
            source=LOCAL[self.family],
            auth_type=types.get(self.auth, packet.AUTH_NONE),
            auth_data=PASSWORD,
            interval_us=1_000_000,
            addresses=frozenset(ADDRESSES[self.family]),
            ah=guard if self.auth == "ah" else None,
            hmac=guard if self.auth == "hmac" else None,
            link_local_first=self.family is IPV6,
        )

    def good(self) -> bytes:
        types = {"pass": packet.AUTH_PASS, "ah": packet.AUTH_AH}
        source, guard = SOURCES[self.family], self.guard()
        number = hmac_trailer.clock(WALL_NS)
        message = packet.encode(
            family=self.family,
            version=self.version,
            virtual_router_id=51,
            priority=100,
            interval_us=1_000_000,
            addresses=ADDRESSES[self.family],
            source=source,
            destination=self.group,
            auth_type=types.get(self.auth, packet.AUTH_NONE),
            auth_data=PASSWORD if self.auth == "pass" else b"",
            sign=(lambda text: guard.trailer(4 if self.family is IPV4 else 6, source, number, text))
            if self.auth == "hmac"
            else None,
        )
        if self.auth == "ah":
            octets: bytes = guard.datagram(source, self.group, 255, 1, message)
            return octets
        return self.family.datagram(source, self.group, 255, message)

    def judge(self, octets: bytes) -> packet.Advert | Refused:
        _, message = packet.split(octets, self.family)
        expected = self.expected() if len(message) > 1 and message[1] == 51 else None
        return packet.examine(
            octets, self.family, expected, frozenset({self.group}), frozenset({LOCAL[self.family]}), WALL_NS
        )


FORMS = {
    "v2": Form(IPV4, 2, "none"),
    "v2 PASS": Form(IPV4, 2, "pass"),
    "v2 AH": Form(IPV4, 2, "ah"),
    "v2 HMAC": Form(IPV4, 2, "hmac"),
    "v3": Form(IPV4, 3, "none"),
    "v3 HMAC": Form(IPV4, 3, "hmac"),
    "v3 IPv6": Form(IPV6, 3, "none"),
    "v3 IPv6 HMAC": Form(IPV6, 3, "hmac"),
}
each_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())


@each_form
def test_the_good_one_is_good(form: Form) -> None:
    assert isinstance(form.judge(form.good()), packet.Advert)


@each_form
@settings(max_examples=150, deadline=None)
@given(octets=st.binary(max_size=1200))
def test_r_f76_random_octets(form: Form, octets: bytes) -> None:
    # A kernel delivers no datagram without its header.
    header = form.good()[: form.family.header_octets]
    for datagram in (octets.ljust(form.family.header_octets, b"\0"), header + octets):
        assert isinstance(form.judge(datagram), packet.Advert | Refused)


@each_form
def test_r_f76_mutated_adverts(form: Form) -> None:
    """One to three octets changed, cut short, or longer: refused, unless nothing that counts was changed."""
    dice = random.Random(form.auth + str(form.version))
    good = form.good()
    for _ in range(4000):
        octets = bytearray(good)
        for _ in range(dice.randint(1, 3)):
            octets[dice.randrange(len(octets))] = dice.randrange(256)
        end = dice.choice((len(octets), len(octets), dice.randint(form.family.header_octets, len(octets))))
        datagram = bytes(octets[:end]) + bytes(dice.choice((0, 0, dice.randint(0, 30))))
        result = form.judge(datagram)
        if isinstance(result, packet.Advert) and form.auth in ("ah", "hmac"):
            # What was sealed is as it was.
            assert (result.source, result.priority) == (SOURCES[form.family], 100)
            assert result.addresses == ADDRESSES[form.family]
        if isinstance(result, packet.Advert) and form.auth == "none" and form.family is IPV4:
            assert second_receiver(datagram, form.version)


@pytest.mark.parametrize("at", range(28))
@pytest.mark.parametrize("form", [FORMS["v3 HMAC"], FORMS["v3 IPv6 HMAC"], FORMS["v2 AH"]])
def test_r_f71_each_octet_of_a_seal_counts(form: Form, at: int) -> None:
    octets = bytearray(form.good())
    if form.auth == "ah":
        at = form.family.header_octets + at % ah.LENGTH
    else:
        at += len(octets) - hmac_trailer.LENGTH
    octets[at] ^= 1
    assert isinstance(form.judge(bytes(octets)), Refused)


def second_receiver(octets: bytes, version: int) -> bool:
    """True for an advert of the form without authentication, by the RFCs' text alone."""
    header = (octets[0] & 15) * 4
    total = struct.unpack("!H", octets[2:4])[0]
    message = octets[header:total]
    if octets[8] != 255 or octets[16:20] != bytes((224, 0, 0, 18)) or octets[12:16] == LOCAL[IPV4]:
        return False
    first, router, priority, count = message[:4]
    if (first, router) != (version << 4 | 1, 51):
        return False
    if len(message) != 8 + 4 * count + (8 if version == 2 else 0):
        return False
    pseudo = octets[12:20] + struct.pack("!BBH", 0, 112, len(message))
    sums = [message, pseudo + message] if version == 3 else [message]
    if not any(folded(each) == 0xFFFF for each in sums):
        return False
    addresses = {message[at : at + 4] for at in range(8, 8 + 4 * count, 4)}
    if version == 2:
        return message[4] == 0 and message[5] == 1 and (addresses == set(ADDRESSES[IPV4]) or priority == 255)
    return count > 0 and struct.unpack("!H", message[4:6])[0] & 0xFFF > 0


def folded(octets: bytes) -> int:
    words = struct.unpack(f"!{len(octets) // 2}H", octets)
    total = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total
