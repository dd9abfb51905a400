"""`use_ipvlan`, `vrf`, `interface_up_down_delays` and what else says where an instance is, to the model."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_text import codes, compile_text, find, only_instance

from keepbus.config.compiler import Compiled
from keepbus.config.model.vrrp import InterfaceDelay, Ipvlan, IpvlanFlag, VirtualAddress


def text(
    *lines: str,
    name: str = "A",
    before: str = "",
    interface: str = "interface eth0",
    address: str = "10.9.0.100/24",
    vrid: int = 51,
) -> str:
    body = "\n".join(f"    {line}" for line in (interface, *lines))
    return (
        f"{before}\nvrrp_instance {name} {{\n    virtual_router_id {vrid}\n    priority 100\n{body}\n"
        f"    virtual_ipaddress {{\n        {address}\n    }}\n}}\n"
    )


def ipvlans(compiled: Compiled) -> list[Ipvlan | None]:
    assert compiled.configuration is not None, compiled.diagnostics
    return [each.ipvlan for each in compiled.configuration.vrrp.instances]


def own(address: str, prefix: int, name: str = "vrrp.51", flags: int = 0) -> VirtualAddress:
    return VirtualAddress(address=address, prefix=prefix, interface=name, flags=flags)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("10.9.0.1/24", Ipvlan(name="vrrp.51", interface="eth0", address=own("10.9.0.1", 24))),
        ("10.9.0.1", Ipvlan(name="vrrp.51", interface="eth0", address=own("10.9.0.1", 32))),
        (
            "name iv0 10.9.0.1/24 private group 7",
            Ipvlan(
                name="iv0",
                interface="eth0",
                address=own("10.9.0.1", 24, "iv0"),
                flag=IpvlanFlag.PRIVATE,
                group=7,
            ),
        ),
        (
            "vepa 10.9.0.1 iv0",
            Ipvlan(name="iv0", interface="eth0", address=own("10.9.0.1", 32, "iv0"), flag=IpvlanFlag.VEPA),
        ),
    ],
)
def test_ipvlan(tmp_path: Path, words: str, expected: Ipvlan) -> None:
    """Adverts, their source and the addresses that name no interface are on the ipvlan."""
    instance = only_instance(compile_text(tmp_path, text(f"use_ipvlan {words}")))
    assert instance.ipvlan == expected
    assert instance.interface == expected.name
    assert instance.mcast_src_ip == "10.9.0.1"
    assert [each.interface for each in instance.virtual_addresses] == [expected.name]


def test_ipvlan_of_ipv6_needs_no_address(tmp_path: Path) -> None:
    six = only_instance(compile_text(tmp_path, text("use_ipvlan", address="fe80::51/64")))
    assert six.ipvlan == Ipvlan(name="vrrp.51", interface="eth0")
    assert six.mcast_src_ip == ""
    given = only_instance(compile_text(tmp_path, text("use_ipvlan fe80::7/64", address="fe80::51/64")))
    assert given.ipvlan is not None
    assert given.ipvlan.address == own("fe80::7", 64, flags=0x2)  # nodad


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        (("use_ipvlan",), "missing-address"),
        (("use_ipvlan fe80::1",), "other-family"),
        (("use_ipvlan 10.9.0.1 a b",), "bad-value"),
        (("use_ipvlan 10.9.0.1 group",), "bad-value"),
        (("use_ipvlan 10.9.0.1", "use_vmac"), "two-interfaces"),
        (("use_ipvlan eth0 10.9.0.1",), "duplicate-interface"),
    ],
)
def test_ipvlan_that_cannot_be(tmp_path: Path, lines: tuple[str, ...], code: str) -> None:
    compiled = compile_text(tmp_path, text(*lines))
    assert code in codes(compiled)
    assert compiled.configuration is None


def test_ipvlans_on_one_interface(tmp_path: Path) -> None:
    """S10 is about the interface below, and so is the mode (linux/if_link.h)."""
    first = text("use_ipvlan 10.9.0.1")
    second = {"name": "B", "address": "10.9.0.101/24"}
    same = compile_text(tmp_path, first + text("use_ipvlan 10.9.0.2", **second))  # type: ignore[arg-type]
    assert codes(same) == ["duplicate-virtual-router-id"]
    other = text("use_ipvlan 10.9.0.2", vrid=52, **second)  # type: ignore[arg-type]
    assert [each and each.name for each in ipvlans(compile_text(tmp_path, first + other))] == [
        "vrrp.51",
        "vrrp.52",
    ]
    mode = text("use_ipvlan 10.9.0.2 vepa", vrid=52, **second)  # type: ignore[arg-type]
    assert codes(compile_text(tmp_path, first + mode)) == ["two-modes"]


PEER = ("unicast_peer {", "10.8.0.2 min_ttl 255", "}", "unicast_src_ip 10.8.0.1")


def test_vrf_in_place_of_an_interface(tmp_path: Path) -> None:
    """As in keepalived: for unicast only."""
    there = compile_text(tmp_path, text("vrf red", *PEER, interface="", address="10.9.0.100/24 dev eth1"))
    assert only_instance(there).interface == "red"


@pytest.mark.parametrize(
    ("lines", "interface"),
    [(("vrf red", *PEER), "interface eth0"), (("vrf red",), ""), (("vrf red", "use_vmac", *PEER), "")],
)
def test_vrf_that_cannot_be(tmp_path: Path, lines: tuple[str, ...], interface: str) -> None:
    compiled = compile_text(tmp_path, text(*lines, interface=interface))
    assert find(compiled, "unusable-vrf").severity == "error"


def test_delays(tmp_path: Path) -> None:
    """Cut to one advert interval less than the others wait (features 6.6): 2 s - 1/256 s at 1 s adverts."""

    def delays(lines: str, *more: str) -> tuple[Compiled, tuple[InterfaceDelay, ...]]:
        before = f"interface_up_down_delays {{\n{lines}\n}}"
        compiled = compile_text(tmp_path, text(*more, before=before))
        assert compiled.configuration is not None, compiled.diagnostics
        return compiled, compiled.configuration.vrrp.interface_delays

    assert delays("eth0 1.5 1\neth9 200")[1] == (
        InterfaceDelay(interface="eth0", down_us=1_500_000, up_us=1_000_000),
        InterfaceDelay(interface="eth9", down_us=200_000_000, up_us=0),
    )
    compiled, cut = delays("eth0 3")
    assert find(compiled, "delay-too-long").severity == "warning"
    assert cut == (InterfaceDelay(interface="eth0", down_us=2_000_000 - 3906, up_us=0),)
    _, both = delays("eth0 1", "use_ipvlan 10.9.0.1")
    assert [each.interface for each in both] == ["eth0", "vrrp.51"]


@pytest.mark.parametrize("line", ["eth0", "eth0 soon", "eth0 1 256", "much-too-long-a-name 1"])
def test_delays_that_cannot_be(tmp_path: Path, line: str) -> None:
    compiled = compile_text(tmp_path, text(before=f"interface_up_down_delays {{\n{line}\n}}"))
    assert find(compiled, "bad-value").severity == "error"


def test_disable_local_igmp(tmp_path: Path) -> None:
    compiled = compile_text(tmp_path, text(before="global_defs {\n disable_local_igmp\n}"))
    assert compiled.configuration is not None
    assert compiled.configuration.vrrp.disable_local_igmp
