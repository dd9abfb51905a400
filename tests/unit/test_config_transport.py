"""How adverts travel: family, version, source, group, unicast peers, checksum (features 3.8, 5.1)."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_text import codes, compile_text, find, instance, is_error, only_instance, told

from keepbus.config.model.vrrp import AddressFamily, ChecksumForm, UnicastPeer, VrrpInstance

IPV4, IPV6 = AddressFamily.IPV4, AddressFamily.IPV6
BARE = "vrrp_instance V {{\ninterface eth0\nvirtual_router_id 1\npriority 1\n{}\n}}\n"
SIX = "virtual_ipaddress {\nfe80::1/64\n2001:db8::1/64\n}"
FOUR = "virtual_ipaddress {\n192.0.2.1/24\n}"


def bare(folder: Path, lines: str, before: str = "") -> VrrpInstance:
    """Of a text without findings."""
    compiled = compile_text(folder, before + BARE.format(lines))
    assert compiled.diagnostics == (), told(compiled)
    return only_instance(compiled)


@pytest.mark.parametrize(
    ("lines", "family", "version"),
    [
        (FOUR, IPV4, 2),
        (SIX, IPV6, 3),
        ("native_ipv6\nno_virtual_ipaddress", IPV6, 3),
        ("mcast_src_ip fe80::9\nno_virtual_ipaddress", IPV6, 3),
        ("no_virtual_ipaddress", IPV4, 2),
        (FOUR + "\nvirtual_ipaddress_excluded {\n2001:db8::2/64\n}", IPV4, 2),
        (SIX + "\nversion 3", IPV6, 3),
    ],
)
def test_family_and_version(tmp_path: Path, lines: str, family: AddressFamily, version: int) -> None:
    found = bare(tmp_path, lines)
    assert (found.family, found.version) == (family, version)


def test_vrrp_version_is_for_ipv4_only(tmp_path: Path) -> None:
    assert bare(tmp_path, SIX, "global_defs {\nvrrp_version 2\n}\n").version == 3
    assert bare(tmp_path, FOUR, "global_defs {\nvrrp_version 3\n}\n").version == 3


def test_version_2_over_ipv6_counts_only_before_the_family_shows(tmp_path: Path) -> None:
    """Features 5.1: keepalived goes by the order of the lines."""
    before = compile_text(tmp_path, BARE.format("version 2\n" + SIX))
    assert told(before) == ["warning version-2-ipv6 5:9"]
    assert only_instance(before).version == 2
    after = compile_text(tmp_path, BARE.format(SIX + "\nversion 2"), permissive=True)
    assert codes(after) == ["version-2-ipv6"]
    assert only_instance(after).version == 3
    assert is_error(compile_text(tmp_path, BARE.format(SIX + "\nversion 2")), "version-2-ipv6")


def test_an_address_of_the_other_family_is_dropped(tmp_path: Path) -> None:
    lines = "virtual_ipaddress {\n192.0.2.1/24\n2001:db8::1/64\n}"
    compiled = compile_text(tmp_path, BARE.format(lines), permissive=True)
    assert codes(compiled) == ["other-family"]
    assert [each.address for each in only_instance(compiled).virtual_addresses] == ["192.0.2.1"]


def test_f14_the_first_address_is_link_local(tmp_path: Path) -> None:
    lines = "virtual_ipaddress {\n2001:db8::1/64\nfe80::1/64\n}"
    finding = find(compile_text(tmp_path, BARE.format(lines)), "first-not-link-local")
    assert (finding.severity, finding.place.line) == ("error", 6)
    permissive = only_instance(compile_text(tmp_path, BARE.format(lines), permissive=True))
    assert [each.address for each in permissive.virtual_addresses] == ["2001:db8::1", "fe80::1"]


def test_groups(tmp_path: Path) -> None:
    globals_ = "global_defs {\nvrrp_mcast_group4 224.0.0.99\nvrrp_mcast_group6 ff02::99\n}\n"
    assert bare(tmp_path, FOUR, globals_).mcast_group == "224.0.0.99"
    assert bare(tmp_path, SIX, globals_).mcast_group == "ff02::99"
    assert bare(tmp_path, SIX + "\nmcast_dst_ip ff02::98", globals_).mcast_group == "ff02::98"
    assert bare(tmp_path, SIX).mcast_group == ""
    assert codes(compile_text(tmp_path, BARE.format(SIX + "\nmcast_dst_ip 224.0.0.98"))) == ["other-family"]


def test_source(tmp_path: Path) -> None:
    found = bare(tmp_path, FOUR + "\nmcast_src_ip 192.0.2.9\ntrack_src_ip")
    assert (found.mcast_src_ip, found.track_src_ip) == ("192.0.2.9", True)
    assert codes(instance(tmp_path, "track_src_ip")) == ["track-without-source"]
    assert codes(compile_text(tmp_path, BARE.format("native_ipv6\nmcast_src_ip 192.0.2.9\n" + SIX))) == [
        "other-family"
    ]


def test_unicast_peers(tmp_path: Path) -> None:
    """U1; the warning is U5's, and a peer on the same link has none."""
    lines = "unicast_src_ip 192.0.2.9\nunicast_ttl 64\nunicast_peer {\n192.0.2.8 min_ttl 255\n192.0.2.7\n}"
    compiled = instance(tmp_path, lines + "\ncheck_unicast_src")
    assert codes(compiled) == ["unicast-unprotected"]
    assert "192.0.2.7" in find(compiled, "unicast-unprotected").text
    found = only_instance(compiled)
    assert (found.mcast_src_ip, found.unicast_ttl) == ("192.0.2.9", 64)
    assert found.unicast_peers == (
        UnicastPeer(address="192.0.2.8", min_ttl=255),
        UnicastPeer(address="192.0.2.7"),
    )
    near = instance(tmp_path, "unicast_peer {\n192.0.2.8 max_ttl 255 min_ttl 255\n}")
    assert near.diagnostics == ()


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("192.0.2.300", "192.0.2.300"),
        ("2001:db8::8", "2001:db8::8"),
        ("224.0.0.8", "224.0.0.8"),
        ("192.0.2.9", "192.0.2.9"),
        ("192.0.2.8 min_ttl", "min_ttl"),
        ("192.0.2.8 min_ttl 256", "256"),
        ("192.0.2.8 ttl 255", "ttl"),
        ("192.0.2.8 min_ttl 9 max_ttl 8", "min_ttl"),
    ],
)
def test_a_bad_peer_is_an_error_at_its_word(tmp_path: Path, line: str, word: str) -> None:
    lines = f"unicast_src_ip 192.0.2.9\nunicast_peer {{\n192.0.2.7 min_ttl 255\n{line}\n}}"
    finding = find(instance(tmp_path, lines), "bad-peer")
    start = finding.place.excerpt_column - 1
    assert finding.severity == "error"
    assert finding.place.excerpt[start : start + finding.place.length] == word


@pytest.mark.parametrize(
    "line",
    ["unicast_peer {\n}", "unicast_src_ip 192.0.2.9", "unicast_ttl 64", "check_unicast_src"],
)
def test_u4_unicast_without_peers_is_an_error(tmp_path: Path, line: str) -> None:
    assert is_error(instance(tmp_path, line), "no-unicast-peer")
    # As keepalived falls back.
    assert only_instance(instance(tmp_path, line, permissive=True)).unicast_peers is None


def test_u4_unless_it_shall_be_a_fault(tmp_path: Path) -> None:
    compiled = instance(tmp_path, "unicast_fault_no_peer\nunicast_peer {\n}")
    assert told(compiled) == ["warning no-unicast-peer 11:1"]
    assert only_instance(compiled).unicast_peers == ()


@pytest.mark.parametrize(
    ("lines", "before", "form", "strict"),
    [
        ("", "", ChecksumForm.AUTO, False),
        ("v3_checksum_as_v2", "", ChecksumForm.MESSAGE, False),
        ("", "global_defs {\nv3_checksum_as_v2\n}", ChecksumForm.MESSAGE, False),
        ("v3_checksum_as_v2 no", "global_defs {\nv3_checksum_as_v2\n}", ChecksumForm.AUTO, False),
        ("v3_checksum pseudo\nv3_checksum_strict", "", ChecksumForm.PSEUDO, True),
        ("v3_checksum message", "", ChecksumForm.MESSAGE, False),
    ],
)
def test_c2_checksum(tmp_path: Path, lines: str, before: str, form: ChecksumForm, strict: bool) -> None:
    compiled = instance(tmp_path, lines, before)
    assert compiled.diagnostics == ()
    found = only_instance(compiled)
    assert (found.checksum, found.checksum_strict) == (form, strict)


def test_c6_strict_must_know_what_is_right(tmp_path: Path) -> None:
    assert is_error(instance(tmp_path, "v3_checksum_strict"), "checksum-form-missing")


@pytest.mark.parametrize("line", ["", "never", None])
def test_u6_old_checksum(tmp_path: Path, line: str | None) -> None:
    """Without the keyword, and with `never`, nothing is taken that sums the group."""
    peers = "unicast_peer {\n192.0.2.8 min_ttl 255\n}\n"
    found = only_instance(
        instance(tmp_path, peers + ("" if line is None else f"old_unicast_checksum {line}"))
    )
    assert found.old_unicast_checksum is (line == "")


def test_a_global_peer_needs_a_global_source(tmp_path: Path) -> None:
    peers = "unicast_peer {\n2001:db8::8 min_ttl 255\n}\n"
    assert codes(compile_text(tmp_path, BARE.format(peers + SIX))) == ["unicast-source"]
    assert bare(tmp_path, "unicast_src_ip 2001:db8::9\n" + peers + SIX).mcast_src_ip == "2001:db8::9"
    assert bare(tmp_path, peers.replace("2001:db8", "fe80") + SIX).mcast_src_ip == ""
