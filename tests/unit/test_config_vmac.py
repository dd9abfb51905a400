"""`use_vmac` and what belongs to it, from text to model. Names are those that keepalived 2.2.7 gave."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_text import compile_text, find

from keepbus.config.compiler import Compiled
from keepbus.config.model.vrrp import VirtualMac, VrrpInstance


def text(
    *lines: str, name: str = "A", interface: str = "eth0", addresses: tuple[str, ...] = ("10.9.0.100/24",)
) -> str:
    body = "\n".join(f"    {line}" for line in lines)
    listed = "\n".join(f"        {address}" for address in addresses)
    return (
        f"vrrp_instance {name} {{\n    interface {interface}\n    virtual_router_id 51\n    priority 100\n"
        f"{body}\n"
        f"    virtual_ipaddress {{\n{listed}\n    }}\n}}\n"
    )


def instances(compiled: Compiled) -> tuple[VrrpInstance, ...]:
    assert compiled.configuration is not None, compiled.diagnostics
    return compiled.configuration.vrrp.instances


SIX = ("fe80::51/64", "2001:db8::51/64")


def test_names_and_addresses(tmp_path: Path) -> None:
    """S4; features 6.5."""
    four, six, second = instances(
        compile_text(
            tmp_path,
            text("use_vmac")
            + text("use_vmac", name="B", addresses=SIX)
            + text(
                "use_vmac", name="C", interface="eth2", addresses=("10.9.2.100/24", "10.9.2.101/24 dev eth2")
            ),
        )
    )
    assert four.vmac == VirtualMac(name="vrrp.51", interface="eth0", mac="00:00:5e:00:01:33")
    assert six.vmac == VirtualMac(name="vrrp6.51", interface="eth0", mac="00:00:5e:00:02:33")
    assert second.vmac == VirtualMac(name="vrrp1.51", interface="eth2", mac="00:00:5e:00:01:33")
    assert {each.interface for each in six.virtual_addresses} == {"vrrp6.51"}
    assert [each.interface for each in second.virtual_addresses] == ["vrrp1.51", "vrrp1.51"]
    assert four.interface == "eth0"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", VirtualMac(name="vrrp.51", interface="eth0", mac="00:00:5e:00:01:33")),
        ("web0", VirtualMac(name="web0", interface="eth0", mac="00:00:5e:00:01:33")),
        ("name web0 group 7", VirtualMac(name="web0", interface="eth0", mac="00:00:5e:00:01:33", group=7)),
        ("02:00:00:00:01", VirtualMac(name="vrrp.51", interface="eth0", mac="02:00:00:00:01:33")),
        ("web0 2:0:0:0:1:a", VirtualMac(name="web0", interface="eth0", mac="02:00:00:00:01:0a")),
    ],
)
def test_words(tmp_path: Path, words: str, expected: VirtualMac) -> None:
    (instance,) = instances(compile_text(tmp_path, text(f"use_vmac {words}")))
    assert instance.vmac == expected


@pytest.mark.parametrize(
    "words",
    [
        "01:00:5e:00:00:12",
        "00:00:5e:00:01:33",
        "name",
        "group nonsense",
        "web0 web1",
        "much-too-long-a-name",
        "a/b",
    ],
)
def test_words_that_cannot_be_used(tmp_path: Path, words: str) -> None:
    assert find(compile_text(tmp_path, text(f"use_vmac {words}")), "bad-value").severity == "error"


def test_prefixes_and_other_interfaces(tmp_path: Path) -> None:
    before = "global_defs {\n    vmac_prefix web\n    vmac_addr_prefix va\n}\n"
    addresses = ("10.9.0.100/24", "10.9.1.100/24 dev eth1", "10.9.1.101/24 dev eth1")
    (every,) = instances(
        compile_text(tmp_path, before + text("use_vmac", "use_vmac_addr", addresses=addresses))
    )
    assert [each.interface for each in every.virtual_addresses] == ["web.51", "va.51", "va.51"]
    assert every.address_vmacs == (VirtualMac(name="va.51", interface="eth1", mac="00:00:5e:00:01:33"),)
    one = ("10.9.0.100/24", "10.9.1.100/24 dev eth1 use_vmac", "10.9.1.101/24 dev eth1")
    (marked,) = instances(compile_text(tmp_path, before + text(addresses=one)))
    assert [each.interface for each in marked.virtual_addresses] == ["eth0", "va.51", "eth1"]
    assert marked.vmac is None


def test_unicast_and_xmit_base_leave_by_the_interface_below(tmp_path: Path) -> None:
    peer = ("use_vmac", "unicast_peer {", "10.9.0.2 min_ttl 255", "}")
    (unicast,) = instances(compile_text(tmp_path, text(*peer)))
    assert unicast.vmac_xmit_base
    (base,) = instances(compile_text(tmp_path, text("use_vmac", "vmac_xmit_base")))
    assert base.vmac_xmit_base
    alone = compile_text(tmp_path, text("vmac_xmit_base"))
    assert find(alone, "no-effect").severity == "warning"
    assert not instances(alone)[0].vmac_xmit_base


def test_findings(tmp_path: Path) -> None:
    twice = text("use_vmac web0") + text(
        "use_vmac web0", name="B", interface="eth1", addresses=("10.9.1.1/24",)
    )
    assert find(compile_text(tmp_path, twice), "duplicate-interface").severity == "error"
    tracked = compile_text(tmp_path, text("use_vmac", "track_interface {", "vrrp.51", "}"))
    assert find(tracked, "own-interface").severity == "warning"
    assert instances(tracked)[0].trackers == ()
    strict = text("strict_mode", "use_vmac 02:00:00:00:01")
    assert find(compile_text(tmp_path, strict), "strict-mode").severity == "error"
    long = "global_defs {\n    vmac_prefix much-too-long\n}\n" + text("use_vmac")
    assert find(compile_text(tmp_path, long), "long-name").severity == "error"
