"""The lines of `virtual_ipaddress` (features 6.1)."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_text import INSTANCE, codes, compile_text, is_error, only_instance, told

from keepbus.config.model.vrrp import VirtualAddress

BARE = (
    "vrrp_instance VI_1 {\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {\n 192.0.2.1\n }\n@\n}"
)


def addresses(tmp_path: Path, line: str) -> tuple[VirtualAddress, ...]:
    text = INSTANCE.replace("192.0.2.1/24", line).replace("@", "")
    compiled = compile_text(tmp_path, text)
    assert compiled.diagnostics == ()
    return only_instance(compiled).virtual_addresses


@pytest.mark.parametrize(
    ("line", "address"),
    [
        ("192.0.2.9", VirtualAddress(address="192.0.2.9", prefix=32, interface="eth0")),
        ("192.0.2.9/24", VirtualAddress(address="192.0.2.9", prefix=24, interface="eth0")),
        (
            "192.0.2.9/24 brd + dev eth1 scope link label eth1:9",
            VirtualAddress(
                address="192.0.2.9",
                prefix=24,
                interface="eth1",
                broadcast="192.0.2.255",
                scope=253,
                label="eth1:9",
            ),
        ),
        (
            "192.0.2.9/25 broadcast - scope 200",
            VirtualAddress(
                address="192.0.2.9", prefix=25, interface="eth0", broadcast="192.0.2.0", scope=200
            ),
        ),
        (
            "172.16.1.188/16 brd 172.16.255.255",
            VirtualAddress(address="172.16.1.188", prefix=16, interface="eth0", broadcast="172.16.255.255"),
        ),
        (
            "192.0.2.9 peer 192.0.2.8/31 noprefixroute preferred_lft 30 no_track",
            VirtualAddress(
                address="192.0.2.9",
                prefix=31,
                interface="eth0",
                peer="192.0.2.8",
                flags=0x200,
                preferred_s=30,
                no_track=True,
            ),
        ),
    ],
)
def test_grammar(tmp_path: Path, line: str, address: VirtualAddress) -> None:
    assert addresses(tmp_path, line) == (address,)


# Features 6.1: no duplicate detection unless -nodad, and what stands alone is never a source.
@pytest.mark.parametrize(
    ("line", "prefix", "flags", "preferred_s"),
    [
        ("fe80::1", 128, 0x2, 0),
        ("fe80::1/64", 64, 0x2, 0xFFFFFFFF),
        ("fe80::1/64 -nodad", 64, 0, 0xFFFFFFFF),
        ("fe80::1 home mngtmpaddr", 128, 0x2 | 0x10 | 0x100, 0),
        ("fe80::1 preferred_lft forever", 128, 0x2, 0xFFFFFFFF),
        ("fe80::1/64 autojoin", 64, 0x2 | 0x400, 0xFFFFFFFF),
    ],
)
def test_ipv6(tmp_path: Path, line: str, prefix: int, flags: int, preferred_s: int) -> None:
    (found,) = addresses(tmp_path, line)
    assert found == VirtualAddress(
        address="fe80::1", prefix=prefix, interface="eth0", flags=flags, preferred_s=preferred_s
    )


def test_words_of_ipv4_are_left_out_of_ipv6(tmp_path: Path) -> None:
    text = INSTANCE.replace("192.0.2.1/24", "fe80::1 label eth0:1 brd + scope link").replace("@", "")
    compiled = compile_text(tmp_path, text)
    assert codes(compiled) == ["other-family"] * 3
    (found,) = only_instance(compiled).virtual_addresses
    assert (found.label, found.broadcast, found.scope) == ("", "", 0)


@pytest.mark.parametrize(
    ("line", "code", "severity", "column"),
    [
        ("192.0.2.300", "bad-address", "error", 9),
        ("192.0.2.9/33", "bad-address", "error", 9),
        ("192.0.2.9/", "bad-address", "error", 9),
        ("224.0.0.1", "bad-address", "error", 9),
        ("0.0.0.0", "bad-address", "error", 9),
        ("2001:db8::1/129", "bad-address", "error", 9),
        ("2001:db8::1%eth0", "bad-address", "error", 9),
        ("::ffff:192.0.2.9", "bad-address", "error", 9),
        ("ff02::9", "bad-address", "error", 9),
        ("2001:db8::1/64", "other-family", "error", 9),
        ("192.0.2.9 peer 2001:db8::1", "bad-address", "error", 9),
        ("192.0.2.9 preferred_lft soon", "bad-value", "warning", 33),
        ("192.0.2.9 scope planet", "bad-value", "warning", 25),
        ("192.0.2.9 dev", "missing-argument", "error", 19),
        ("192.0.2.9 label much-too-long-a-label", "bad-value", "warning", 25),
        ("192.0.2.9 lable x", "unknown-keyword", "warning", 19),
        ("192.0.2.9 devv eth1", "unknown-keyword", "error", 19),
        ("192.0.2.9 // remark", "slash-comment", "warning", 19),
    ],
)
def test_what_cannot_be_used(tmp_path: Path, line: str, code: str, severity: str, column: int) -> None:
    text = INSTANCE.replace("192.0.2.1/24", f"192.0.2.1/24\n        {line}").replace("@", "")
    assert told(compile_text(tmp_path, text)) == [f"{severity} {code} 8:{column}"]


def test_excluded_ones_are_enough(tmp_path: Path) -> None:
    text = BARE.replace("virtual_ipaddress", "virtual_ipaddress_excluded").replace("@", "priority 1")
    found = only_instance(compile_text(tmp_path, text))
    assert found.virtual_addresses == ()
    assert [address.address for address in found.virtual_addresses_excluded] == ["192.0.2.1"]


def test_none_must_be_meant(tmp_path: Path) -> None:
    text = BARE.replace(" 192.0.2.1\n", "")
    assert is_error(compile_text(tmp_path, text.replace("@", "priority 1")), "no-addresses")
    clean = compile_text(tmp_path, text.replace("@", "priority 1\nno_virtual_ipaddress"))
    assert clean.diagnostics == ()


def test_an_advert_holds_255(tmp_path: Path) -> None:
    lines = "\n".join(f"10.0.{number // 250}.{number % 250 + 1}" for number in range(300))
    compiled = compile_text(tmp_path, BARE.replace("192.0.2.1", lines).replace("@", "priority 1"))
    assert codes(compiled) == ["too-many-addresses"]
    found = only_instance(compiled)
    assert (len(found.virtual_addresses), len(found.virtual_addresses_excluded)) == (255, 45)


def test_the_same_address_twice(tmp_path: Path) -> None:
    text = BARE.replace("192.0.2.1", "192.0.2.1\n192.0.2.1/24").replace("@", "priority 1")
    assert told(compile_text(tmp_path, text)) == ["warning duplicate-address 6:1"]


def test_the_same_address_in_two_instances_is_an_error(tmp_path: Path) -> None:
    two = BARE.replace("VI_1", "VI_2").replace("router_id 1", "router_id 2")
    compiled = compile_text(tmp_path, f"{BARE}\n{two}".replace("@", "priority 1"))
    assert is_error(compiled, "duplicate-address")
