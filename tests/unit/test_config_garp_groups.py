"""`garp_group` and the node's limits on announcements (features 4; conformance G5)."""

from __future__ import annotations

from pathlib import Path

from config_text import codes, compile_text

from keepbus.config.model.vrrp import GarpGroup, VrrpSection


def section(folder: Path, text: str) -> VrrpSection:
    compiled = compile_text(folder, text)
    assert compiled.configuration is not None, compiled.diagnostics
    return compiled.configuration.vrrp


def test_limits_of_the_node(tmp_path: Path) -> None:
    found = section(
        tmp_path,
        "global_defs {\nvrrp_garp_interval 0.001\nvrrp_gna_interval 0.000001\n"
        "vrrp_startup_delay 5.5\nvrrp_delay_after_boot 30\n}",
    )
    assert (found.garp_interval_us, found.gna_interval_us) == (1000, 1)
    assert (found.startup_delay_us, found.delay_after_boot_us) == (5_500_000, 30_000_000)


def test_groups(tmp_path: Path) -> None:
    found = section(
        tmp_path,
        "garp_group {\ngarp_interval 1.5\ngna_interval 0.1\ninterface eth0\ninterfaces {\neth1\neth2\n}\n}\n"
        "garp_group {\ngarp_interval 2\ninterface eth3\n}",
    )
    assert found.garp_groups == (
        GarpGroup(interfaces=("eth0", "eth1", "eth2"), garp_interval_us=1_500_000, gna_interval_us=100_000),
        GarpGroup(interfaces=("eth3",), garp_interval_us=2_000_000),
    )


def test_what_is_of_no_use_is_told(tmp_path: Path) -> None:
    compiled = compile_text(
        tmp_path,
        "garp_group {\ngarp_interval 1\n}\ngarp_group {\ninterface eth0\n}\n"
        "garp_group {\ngarp_interval 1\ninterfaces {\neth0\na/b\neth1 // mine\n}\n}",
    )
    assert codes(compiled) == ["empty-group", "empty-group", "given-twice", "bad-value", "slash-comment"]
    assert compiled.configuration is not None
    assert [group.interfaces for group in compiled.configuration.vrrp.garp_groups] == [("eth0",), ("eth1",)]
