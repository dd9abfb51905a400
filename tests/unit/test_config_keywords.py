"""The keyword tables: complete, consistent with the model, and nothing in them that nobody reads."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from config_text import codes, compile_text

from keepbus.config.compiler import compile_file
from keepbus.config.keywords import Row, blocks, knows
from keepbus.config.kinds import KINDS
from keepbus.config.line_values import LINE_KINDS
from keepbus.config.model.checker import (
    Check,
    DnsQuestion,
    MiscCommand,
    Regex,
    TlsClient,
    TrackedFile,
    UdpExchange,
    Url,
)
from keepbus.config.model.configuration import GlobalDefs
from keepbus.config.model.ipvs import IpvsSection, RealServer, VirtualServer
from keepbus.config.model.notify import NotifySection, NotifyTarget
from keepbus.config.model.routes import Route, Rule
from keepbus.config.model.scripts import Script
from keepbus.config.model.tracking import Track, TrackProcess, TrackScript
from keepbus.config.model.vrrp import (
    Authentication,
    AuthHmac,
    GarpGroup,
    GratuitousArp,
    Statics,
    SyncGroup,
    VirtualAddress,
    VrrpInstance,
    VrrpSection,
)

LINES = (("(route)",), ("(rule)",))
LISTED = Path(__file__).parent / "data" / "keepalived-keywords.txt"
# Fields that the builders turn into something else.
DRAFT = {
    "default_interface", "min_garp", "version", "preempt", "no_virtual_ipaddress", "accept", "mcast_group4",
    "sorry_server_inhibit", "sorry_server_forwarding", "enable_sni", "retry", "delay_before_retry_us",
    "warmup_us", "connect_timeout_us", "delay_loop_us", "virtualhost", "alpha", "weight", "state",
    "file_weight", "init_file", "anti_replay", "tracking_weight", "process", "delay_us", "full_command",
    "user", "track_interface", "track_script", "track_file", "track_process", "track_bfd",
    "sync_group_tracking_weight", "strict_mode",
    "interface_delays", "vrf", "set_supplementary_groups", "include_check",
    "random_seed", "sync_interface", "iproute_usr_dir", "iproute_etc_dir",
    "interface", "use_vmac", "use_vmac_addr", "vmac_prefix", "vmac_addr_prefix", "no_accept",
    "smtp_helo_name", "smtp_alert", "smtp_alert_vrrp",
    "smtp_alert_checker", "no_email_faults", "notify_fifo", "notify_fifo_script", "vrrp_notify_fifo",
    "vrrp_notify_fifo_script", "lvs_notify_fifo", "lvs_notify_fifo_script", "vrrp_notify_priority_changes",
    "flag_1", "flag_2", "flag_3", "sh_port", "sh_fallback", "mh_port", "mh_fallback",
    "track_group", "group", "inet", "inet6", "second_gateway", "add", "prepend", "append", "type", "nop",
    "blackhole", "unreachable", "prohibit",
    "mcast_group6", "native_ipv6", "check_unicast_src",
    "unicast_fault_no_peer", "v3_checksum_as_v2", "home", "dad", "mngtmpaddr", "noprefixroute", "autojoin",
}  # fmt: skip
OF_BLOCK = {
    ("SSL",): (TlsClient,),
    ("global_defs",): (
        GlobalDefs,
        VrrpInstance,
        GratuitousArp,
        VrrpSection,
        IpvsSection,
        NotifySection,
    ),
    ("garp_group",): (GarpGroup,),
    ("vrrp_instance",): (VrrpInstance, GratuitousArp, NotifyTarget),
    ("vrrp_sync_group",): (SyncGroup, NotifyTarget),
    ("vrrp_instance", "authentication"): (Authentication,),
    ("vrrp_instance", "auth_hmac"): (AuthHmac,),
    ("virtual_server",): (VirtualServer, RealServer),
    ("virtual_server", "real_server"): (RealServer,),
    ("virtual_server", "real_server", "DNS_CHECK"): (Check, DnsQuestion),
    ("virtual_server", "real_server", "UDP_CHECK"): (Check, UdpExchange),
    ("virtual_server", "real_server", "MISC_CHECK"): (Check, MiscCommand, Script),
    ("virtual_server", "real_server", "FILE_CHECK"): (TrackedFile,),
    ("track_file",): (TrackedFile,),
    ("vrrp_track_file",): (TrackedFile,),
    ("vrrp_script",): (TrackScript,),
    ("vrrp_track_process",): (TrackProcess,),
    ("bfd_instance",): (Track,),
    ("(track)",): (Track,),
    ("(address)",): (VirtualAddress,),
    ("(route)",): (Route,),
    ("(rule)",): (Rule,),
    ("track_group",): (),
    (): (Statics, GlobalDefs),
}


def rows() -> Iterator[Row]:
    for block in blocks().values():
        yield from block.values()


def listed() -> list[tuple[tuple[str, ...], str]]:
    pairs = [line.split("\t") for line in LISTED.read_text(encoding="utf-8").splitlines()]
    return [(() if block == "-" else tuple(block.split("/")), keyword) for block, keyword in pairs]


def test_every_keyword_of_keepalived_is_there() -> None:
    absent = [(block, keyword) for block, keyword in listed() if keyword not in blocks().get(block, {})]
    assert len(listed()) == 655
    assert not absent


def test_what_is_beyond_keepalived_is_known() -> None:
    beyond = {(row.block, row.keyword) for row in rows()} - set(listed())
    assert beyond == {
        (("SSL",), "verify"),
        (("global_defs",), "address_lease"),
        (("virtual_server",), "nat_mask"),
        (("vrrp_instance",), "v3_checksum"),
        (("vrrp_instance",), "v3_checksum_strict"),
        (("vrrp_instance",), "one_way_yield"),
    }


def test_rows_are_well_formed() -> None:
    for row in rows():
        check_row(row)


def check_row(row: Row) -> None:
    assert row.status in ("yes", "partial", "obsolete", "later") or row.status.startswith("alias ")
    assert row.ignored in ("warning", "error", "refused")
    if row.status.startswith("alias "):
        newer = blocks()[row.block][row.status.removeprefix("alias ")]
        assert (newer.field, newer.kind) == (row.field, row.kind)
    if not row.supported:
        assert row.field == ""
    if row.status == "obsolete":
        assert row.note
    parent, name = row.block[:-1], row.block[-1:]
    if name and not name[0].startswith("("):
        assert blocks()[parent][name[0]].kind == "block", "rows of a block that nothing opens"


def test_a_supported_row_has_a_kind_and_a_field_of_the_model() -> None:
    for row in rows():
        if not row.supported or row.block == ("(language)",):
            continue
        assert row.kind in KINDS or (row.block in LINES and row.kind in LINE_KINDS), row
        classes = OF_BLOCK.get(row.block, (Check, Url, Regex))
        fields = {field.name for cls in classes for field in dataclasses.fields(cls)}
        assert row.field in (fields | DRAFT if row.kind not in ("block", "lines") else {""}), row


def test_one_name_has_one_meaning_within_a_block() -> None:
    for block, by_name in blocks().items():
        kinds: dict[str, str] = {}
        for row in by_name.values():
            if row.field and row.field not in ("preempt", "accept"):
                assert kinds.setdefault(row.field, row.kind) == row.kind, (block, row.keyword)


def test_an_unknown_block_may_hold_anything() -> None:
    assert knows(("vrrp_instance",), "priority")
    assert not knows(("global_defs",), "priority")
    assert not knows(("global_defs", "notification_email"), "router_id")
    assert knows(("whatever",), "router_id")


def sample(row: Row) -> str:
    """A line that the row accepts or says it doesn't support."""
    words = {
        "yes-no": "yes", "integer": "2", "seconds": "2", "text": "x", "secret": "x", "interface": "eth0",
        "one-of": row.parameters.split()[0] if row.parameters else "", "address4": "192.0.2.7",
        "multicast4": "224.0.0.9", "address-port": "192.0.2.7 80",
        "forwarding": "NAT", "protocol": "TCP", "family": "inet", "engine": "sip",
        "granularity": "255.255.255.0", "address": "192.0.2.7", "lines": "x {\n}", "timeouts": "tcp 5",
        "sync-daemon": "eth0", "flush-on-stop": "VS", "user": "nobody",
        "script": "/bin/true",
        "multicast": "224.0.0.9", "multicast6": "ff02::99", "optional-one-of": "never",
        "digest": "0" * 32, "codes": "200", "path": "/run/x", "command": "/bin/true", "hex": "00",
        "hex-pattern": "0x", "dns-name": "example.org", "upper-of": "a", "file-weight": "2 reverse",
        "init-file": "1 overwrite", "hmac-key": "1 file:/x",
        "regex-options": "utf", "values": "{\n}", "block": "x {\n}",
    }  # fmt: skip
    return f"{row.keyword} {words.get(row.kind, 'x')}"


def is_reached(path: tuple[str, ...]) -> bool:
    """True when the compiler looks into this block."""
    if path and path[0].startswith("("):
        return False
    return all(blocks()[path[:depth]][name].supported for depth, name in enumerate(path))


@pytest.mark.parametrize(
    "path", list(filter(is_reached, blocks())), ids=lambda path: "/".join(path) or "top level"
)
def test_no_known_keyword_is_called_unknown_and_none_is_passed_over(
    tmp_path: Path, path: tuple[str, ...]
) -> None:
    """Each keyword alone in its block, through the whole compiler."""
    head = [f"{name} 192.0.2.1 80 {{" if name.endswith("_server") else f"{name} x {{" for name in path]
    for row in blocks()[path].values():
        text = "\n".join([*head, sample(row), *("}" for _ in head)])
        compiled = compile_text(tmp_path, text, permissive=True)
        assert "unknown-keyword" not in codes(compiled)
        on_line = {found.code for found in compiled.diagnostics if found.place.line == len(head) + 1}
        if row.status == "later":
            assert "not-supported" in on_line, row
        elif row.status in ("obsolete", "partial"):
            assert on_line == {row.status}, row
        else:
            assert "not-supported" not in on_line, row


def test_every_include_of_the_language_table_is_one(tmp_path: Path) -> None:
    for row in blocks()[("(language)",)].values():
        if row.keyword.startswith("include"):
            assert codes(compile_text(tmp_path, f"{row.keyword} absent.conf")) == ["include"]


def test_compile_needs_no_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.conf").write_text("global_defs {\n include b.conf\n}", encoding="utf-8")
    (tmp_path / "b.conf").write_text("foo", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    (finding,) = compile_file(Path("a.conf")).diagnostics
    assert finding.place.file == "b.conf"
