"""The seven configurations that keepbus began with, exactly as they stand."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_text import codes, find, told, underlined

from keepbus.config.compiler import compile_file
from keepbus.config.diagnostics import Severity
from keepbus.config.model.checker import CheckKind, StatusRange
from keepbus.config.model.configuration import Configuration
from keepbus.config.model.ipvs import Forwarding, Protocol
from keepbus.config.model.vrrp import Authentication, AuthType, InitialState, VirtualAddress

SEED = Path(__file__).resolve().parents[1] / "seed"
CLEAN_ENOUGH = (
    "single-drct2.conf",
    "multi-drct1.conf",
    "multi-drct2.conf",
    "nat-drct1.conf",
    "dr-virtual-server.conf",
)
BROKEN = ("single-drct1.conf", "nat-drct2.conf")


def used(name: str) -> Configuration:
    compiled = compile_file(SEED / name, permissive=True)
    assert compiled.configuration is not None, told(compiled)
    return compiled.configuration


@pytest.mark.parametrize("name", CLEAN_ENOUGH)
def test_what_keepalived_tolerates_is_a_warning(name: str) -> None:
    compiled = compile_file(SEED / name)
    assert compiled.exit_status == 1
    assert compiled.configuration is not None
    assert "white-space" in codes(compiled)


@pytest.mark.parametrize("name", BROKEN)
def test_missing_braces_are_errors_unless_permissive(name: str) -> None:
    refused = compile_file(SEED / name)
    assert refused.exit_status == 2
    assert refused.configuration is None
    permitted = compile_file(SEED / name, permissive=True)
    assert permitted.exit_status == 1
    assert len(permitted.diagnostics) == len(refused.diagnostics)


def test_every_line_with_a_no_break_space_is_one_finding() -> None:
    finding = find(compile_file(SEED / "nat-drct1.conf"), "white-space")
    text = (SEED / "nat-drct1.conf").read_text(encoding="utf-8")
    lines = [number for number, line in enumerate(text.split("\n"), 1) if "\xa0" in line]
    assert finding.place.line == lines[0]
    assert finding.more == len(lines) - 1
    assert list(finding.more_lines) == lines[1 : 1 + len(finding.more_lines)]
    assert "U+00A0" in finding.text


def test_slashes_are_no_comment() -> None:
    finding = find(compile_file(SEED / "multi-drct1.conf"), "slash-comment")
    assert (finding.place.line, finding.more_lines) == (27, (29, 30, 34, 37))
    assert underlined(finding).startswith("///实例1MASTER,")


def test_a_repeated_finding_is_shown_at_its_first_line() -> None:
    # Line 4 is a value of a block that is read to its end first.
    finding = find(compile_file(SEED / "single-drct1.conf"), "slash-comment")
    assert (finding.place.line, underlined(finding)) == (4, "///收件人")


def test_the_brace_that_was_never_closed_is_shown_and_where_that_was_noticed() -> None:
    compiled = compile_file(SEED / "single-drct1.conf")
    (error,) = compiled.errors
    assert told(compiled)[-1] == "error missing-brace 12:20"
    assert underlined(error) == "{"
    assert "vrrp_instance VI_1" in error.text
    assert error.note is not None
    assert (error.note.place.line, error.note.text) == (24, "the file ends here")


def test_an_instance_in_global_defs_means_that_global_defs_lacks_its_brace() -> None:
    compiled = compile_file(SEED / "nat-drct2.conf")
    first, second, third, fourth = compiled.errors
    assert (first.code, first.place.line, first.place.column) == ("missing-brace", 2, 13)
    assert first.note is not None
    assert (first.note.place.line, first.note.place.column) == (11, 1)
    assert "`vrrp_instance` can't stand in `global_defs`" in first.note.text
    assert (second.code, second.place.line) == ("missing-virtual-router-id", 25)
    assert (third.code, third.place.line) == ("no-addresses", 33)
    assert (fourth.code, fourth.place.line) == ("missing-brace", 36)
    assert all(error.lenient for error in compiled.errors)


def test_permissive_closes_blocks_where_they_end_and_drops_the_instance_without_an_id() -> None:
    configuration = used("nat-drct2.conf")
    assert [instance.name for instance in configuration.vrrp.instances] == ["VI_1"]
    (server,) = configuration.ipvs.virtual_servers
    assert [(real.address, real.weight) for real in server.real_servers] == [
        ("192.168.1.3", 1),
        ("192.168.1.4", 2),
    ]
    # Not in this file: keepalived's defaults.
    assert (server.scheduler, server.forwarding) == ("wlc", Forwarding.NAT)


def test_misspelt_keyword_is_ignored_with_a_suggestion() -> None:
    compiled = compile_file(SEED / "nat-drct1.conf")
    finding = find(compiled, "unknown-keyword")
    assert finding.severity is Severity.WARNING
    assert (finding.place.line, underlined(finding)) == (45, "presistence_timeout")
    assert finding.help == "did you mean `persistence_timeout`?"
    assert compiled.configuration is not None
    assert compiled.configuration.ipvs.virtual_servers[0].persistence_timeout_s == 0


def test_old_keywords() -> None:
    compiled = compile_file(SEED / "dr-virtual-server.conf")
    assert find(compiled, "obsolete").text.startswith("`nat_mask` has no effect")
    assert find(compiled, "deprecated").help == "write `retry`"
    assert find(compiled, "deprecated").more_lines == (29,)


@pytest.mark.parametrize(
    ("name", "state", "priority"),
    [("single-drct1.conf", InitialState.MASTER, 100), ("single-drct2.conf", InitialState.BACKUP, 90)],
)
def test_single_instance(name: str, state: InitialState, priority: int) -> None:
    configuration = used(name)
    (instance,) = configuration.vrrp.instances
    assert instance.name == "VI_1"
    assert (instance.state, instance.priority) == (state, priority)
    assert instance.interface == "eno16777736"
    assert instance.virtual_router_id == 81
    assert instance.mcast_group == "224.200.100.18"
    assert instance.advert_interval_us == 1_000_000
    assert instance.version == 2
    assert instance.authentication == Authentication(auth_type=AuthType.PASS, auth_pass="zrs66zrs")
    assert instance.virtual_addresses == (
        VirtualAddress(
            address="172.16.1.99",
            prefix=32,
            interface="eno16777736",
            broadcast="172.16.1.99",
            label="eno16777736:0",
        ),
    )
    defs = configuration.global_defs
    assert defs.notification_email == ("root@localhost",)
    assert defs.notification_email_from == "keepalived@localhost"
    assert (defs.smtp_server, defs.smtp_connect_timeout_us) == ("127.0.0.1", 30_000_000)


def test_both_directors_mean_the_same_virtual_routers() -> None:
    one, other = used("multi-drct1.conf").vrrp.instances, used("multi-drct2.conf").vrrp.instances
    for mine, theirs in zip(one, other, strict=True):
        assert mine.virtual_router_id == theirs.virtual_router_id
        assert mine.virtual_addresses == theirs.virtual_addresses
        assert mine.authentication == theirs.authentication
        assert {mine.state, theirs.state} == {InitialState.MASTER, InitialState.BACKUP}
        assert {mine.priority, theirs.priority} == {100, 90}
    assert [instance.virtual_router_id for instance in one] == [81, 80]


def test_two_interfaces_and_a_prefix() -> None:
    instances = used("nat-drct1.conf").vrrp.instances
    assert [
        (i.interface, i.virtual_addresses[0].address, i.virtual_addresses[0].prefix) for i in instances
    ] == [("eno16777736", "172.16.1.188", 16), ("eno50332200", "192.168.1.188", 16)]
    assert [i.virtual_addresses[0].label for i in instances] == ["eno16777736:0", "eno50332200:0"]


@pytest.mark.parametrize(
    ("name", "address", "forwarding", "delay_loop_us", "targets"),
    [
        ("nat-drct1.conf", "172.16.1.188", Forwarding.NAT, 2_000_000, ["192.168.1.3", "192.168.1.4"]),
        ("dr-virtual-server.conf", "172.16.1.254", Forwarding.DR, 3_000_000, ["172.16.1.3", "172.16.1.4"]),
    ],
)
def test_virtual_server(
    name: str, address: str, forwarding: Forwarding, delay_loop_us: int, targets: list[str]
) -> None:
    configuration = used(name)
    (server,) = configuration.ipvs.virtual_servers
    assert (server.address, server.port, server.protocol) == (address, 80, Protocol.TCP)
    assert (server.scheduler, server.forwarding) == ("rr", forwarding)
    assert server.sorry_server is not None
    assert (server.sorry_server.address, server.sorry_server.port) == ("127.0.0.1", 80)
    assert [(r.address, r.port, r.weight, r.forwarding) for r in server.real_servers] == [
        (targets[0], 80, 1, forwarding),
        (targets[1], 80, 2, forwarding),
    ]
    for check, real in zip(configuration.checker.checks, server.real_servers, strict=True):
        assert [use.check for use in real.checks] == [check.id]
        assert (check.kind, check.address, check.port) == (CheckKind.HTTP_GET, real.address, 80)
        # Written after the url block, and it counts all the same.
        assert check.connect_timeout_us == 3_000_000
        assert (check.retry, check.delay_before_retry_us) == (3, 1_000_000)
        assert (check.delay_loop_us, check.warmup_us) == (delay_loop_us, delay_loop_us)
        (url,) = check.urls
        assert (url.path, url.status_codes) == ("/index.html", (StatusRange(low=200, high=200),))


def test_the_passwords_of_the_seed_are_never_shown() -> None:
    for path in SEED.iterdir():
        compiled = compile_file(path)
        assert "zrs" not in repr(compiled), path
