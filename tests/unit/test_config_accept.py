"""`accept`, `no_accept` and strict mode (features 6.4; conformance K4 to K6)."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_text import codes, instance, is_error, only_instance


@pytest.mark.parametrize(
    ("lines", "accepts"),
    [
        ("", True),
        ("accept", True),
        ("no_accept", False),
        ("no_accept\naccept", True),
        ("accept\nno_accept", False),
        ("strict_mode", False),
        ("strict_mode\nversion 3\naccept", True),
    ],
)
def test_k6_default_and_words(tmp_path: Path, lines: str, accepts: bool) -> None:
    compiled = instance(tmp_path, lines)
    assert codes(compiled) == []
    assert only_instance(compiled).accept is accepts


def test_k5_an_owner_accepts(tmp_path: Path) -> None:
    compiled = instance(tmp_path, "priority 255\nstate MASTER\nno_accept")
    assert "no-effect" in codes(compiled)
    assert only_instance(compiled).accept


def test_k6_strict_version_2_accepts_for_owners_only(tmp_path: Path) -> None:
    assert is_error(instance(tmp_path, "strict_mode\naccept"), "strict-mode")
    assert not only_instance(instance(tmp_path, "strict_mode\naccept", permissive=True)).accept


def test_tables(tmp_path: Path) -> None:
    def section(*lines: str) -> tuple[str, int, bool]:
        before = "global_defs {\n" + "\n".join(lines) + "\n}"
        found = instance(tmp_path, before=before).configuration
        assert found is not None
        return found.vrrp.nftables, found.vrrp.nftables_priority, found.vrrp.nftables_counters

    assert section() == ("keepalived", -1, False)
    assert section("nftables", "nftables_priority 5", "nftables_counters") == ("keepalived", 5, True)
    assert section("nftables guard") == ("guard", -1, False)
    assert "bad-value" in codes(instance(tmp_path, before="global_defs {\nnftables 1x\n}"))
    told = codes(
        instance(tmp_path, before="global_defs {\nvrrp_iptables IN OUT\nvrrp_ipsets\nnftables_ifindex\n}")
    )
    assert told == ["obsolete"] * 3
