"""Virtual servers by mark and group, families, tunnels, flags; what the kernel must not get."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_text import codes, compile_text, find, is_error, only_server, told

from keepbus.config.model.ipvs import (
    GroupMember,
    Protocol,
    ServiceAddress,
    SyncDaemon,
    Timeouts,
    Tunnel,
    TunnelChecksum,
    TunnelType,
    VirtualServer,
)

R4 = "real_server 198.51.100.1 80 {\n}\n"
R6 = "real_server 2001:db8::1 80 {\n}\n"
HEAD = "lb_algo rr\nlb_kind NAT\nprotocol TCP\n"


def server(head: str, *lines: str, settings: str = HEAD) -> str:
    return f"virtual_server {head} {{\n{settings}{''.join(lines)}}}\n"


def group(*lines: str) -> str:
    return "virtual_server_group G {{\n{}\n}}\n".format("\n".join(lines))


def services(found: VirtualServer) -> list[tuple[str, str, int, int]]:
    return [tuple(service) for service in found.services()]


class TestMarks:
    @pytest.mark.parametrize(
        ("lines", "family", "name"),
        [
            ((R4,), "IPv4", "FWM 7"),
            ((R6,), "IPv6", "FWM 7 inet6"),
            (("ip_family inet6\n", R6), "IPv6", "FWM 7 inet6"),
            (("lvs_method TUN\n", R4, R6), "IPv4", "FWM 7"),
        ],
    )
    def test_v7_the_family_is_the_servers(
        self, tmp_path: Path, lines: tuple[str, ...], family: str, name: str
    ) -> None:
        found = only_server(compile_text(tmp_path, server("fwmark 7", *lines)))
        assert services(found) == [(family, "", 0, 7)]
        assert found.name == name

    def test_v18_mark_0_is_none(self, tmp_path: Path) -> None:
        assert is_error(compile_text(tmp_path, server("fwmark 0", R4)), "bad-value")

    def test_the_same_mark_of_both_families_is_two_v7(self, tmp_path: Path) -> None:
        compiled = compile_text(tmp_path, server("fwmark 7", R4) + server("fwmark 7", R6))
        assert compiled.diagnostics == ()
        assert is_error(
            compile_text(tmp_path, server("fwmark 7", R4) + server("fwmark 7", R4)),
            "duplicate-virtual-server",
        )

    def test_no_protocol_is_needed(self, tmp_path: Path) -> None:
        compiled = compile_text(tmp_path, server("fwmark 7", R4, settings="lb_algo rr\nlb_kind DR\n"))
        assert compiled.diagnostics == ()


class TestGroups:
    def test_ranges_networks_and_marks(self, tmp_path: Path) -> None:
        text = group("192.0.2.1 80", "192.0.2.8-10 443", "198.18.0.4/30 81", "fwmark 5", "fwmark 6 inet6")
        found = only_server(compile_text(tmp_path, text + server("group G", R4).replace("NAT", "TUN")))
        assert found.name == "[G]:0"
        assert services(found) == [
            ("IPv4", "192.0.2.1", 80, 0),
            *(("IPv4", f"192.0.2.{last}", 443, 0) for last in (8, 9, 10)),
            *(("IPv4", f"198.18.0.{last}", 81, 0) for last in (4, 5, 6, 7)),
            ("IPv4", "", 0, 5),
            ("IPv6", "", 0, 6),
        ]

    def test_ipv6_ranges_are_of_16_bits_in_hexadecimal_digits(self, tmp_path: Path) -> None:
        found = only_server(compile_text(tmp_path, group("2001:db8::9-b 80") + server("group G", R6)))
        assert [service.address for service in found.services()] == [f"2001:db8::{last}" for last in "9ab"]

    def test_virtual_servers_of_one_group_are_numbered(self, tmp_path: Path) -> None:
        text = group("192.0.2.1 53") + server("group G", R4)
        compiled = compile_text(tmp_path, text + server("group G", R4).replace("TCP", "UDP"))
        assert compiled.configuration is not None
        names = [each.name for each in compiled.configuration.ipvs.virtual_servers]
        assert names == ["[G]:0", "[G]:1"]

    def test_group_may_come_after_its_virtual_server(self, tmp_path: Path) -> None:
        assert compile_text(tmp_path, server("group G", R4) + group("192.0.2.1 80")).diagnostics == ()

    def test_an_address_that_another_has_is_refused(self, tmp_path: Path) -> None:
        text = group("192.0.2.1-9 80") + server("group G", R4) + server("192.0.2.5 80", R4)
        found = find(compile_text(tmp_path, text), "duplicate-virtual-server")
        assert "another virtual server has an address or mark of [192.0.2.5]:tcp:80" in found.text

    @pytest.mark.parametrize(
        ("line", "told_"),
        [
            ("192.0.2.9-3 80", "error bad-value 2:1"),
            ("192.0.2.9-300 80", "error bad-value 2:1"),
            ("192.0.2.9/30 80", "error bad-value 2:1"),
            ("10.0.0.0/8 80", "error bad-value 2:1"),
            ("192.0.2.9 x", "error bad-value 2:11"),
            ("fwmark", "error bad-value 2:1"),
            ("fwmark 0", "error bad-value 2:8"),
            ("fwmark 1 ipv6", "error bad-value 2:10"),
            ("www.example.org 80", "error bad-value 2:1"),
        ],
    )
    def test_bad_members(self, tmp_path: Path, line: str, told_: str) -> None:
        compiled = compile_text(tmp_path, group(line, "192.0.2.1 80") + server("group G", R4))
        assert told(compiled) == [told_]

    def test_groups_that_are_not_there(self, tmp_path: Path) -> None:
        assert is_error(compile_text(tmp_path, server("group X", R4)), "unknown-group")
        assert is_error(compile_text(tmp_path, group("") + server("group G", R4)), "unknown-group")
        twice = group("192.0.2.1 80") + group("192.0.2.2 80") + server("group G", R4)
        assert is_error(compile_text(tmp_path, twice), "duplicate-group")

    def test_member_is_a_value(self, tmp_path: Path) -> None:
        found = only_server(compile_text(tmp_path, group("192.0.2.1 80") + server("group G", R4)))
        assert found.members == (GroupMember(address="192.0.2.1", port=80),)
        assert list(found.services()) == [ServiceAddress("IPv4", "192.0.2.1", 80, 0)]


class TestFamilies:
    def test_w4_only_a_tunnel_carries_one_in_the_other(self, tmp_path: Path) -> None:
        for kind in ("NAT", "DR"):
            text = server("192.0.2.1 80", R6, R4).replace("NAT", kind)
            assert is_error(compile_text(tmp_path, text), "mixed-families")
            assert len(only_server(compile_text(tmp_path, text, permissive=True)).real_servers) == 1
        assert compile_text(tmp_path, server("192.0.2.1 80", R6).replace("NAT", "TUN")).diagnostics == ()

    def test_w4_a_group_of_both_families_needs_tunnels(self, tmp_path: Path) -> None:
        text = group("192.0.2.1 80", "2001:db8::9 80") + server("group G", R4)
        assert is_error(compile_text(tmp_path, text), "mixed-families")
        assert compile_text(tmp_path, text.replace("NAT", "TUN")).diagnostics == ()

    def test_ipv6_check_goes_to_the_server(self, tmp_path: Path) -> None:
        text = server("2001:db8::9 80", R6.replace("{\n}", "{\nTCP_CHECK {\n}\n}"))
        compiled = compile_text(tmp_path, text)
        assert compiled.configuration is not None
        (check,) = compiled.configuration.checker.checks
        assert (check.address, check.port) == ("2001:db8::1", 80)
        assert only_server(compiled).name == "[2001:db8::9]:tcp:80"

    def test_bindto_is_of_the_family_of_what_is_checked(self, tmp_path: Path) -> None:
        check = "{\nTCP_CHECK {\nbindto 192.0.2.7\n}\n}"
        text = server("2001:db8::9 80", R6.replace("{\n}", check))
        assert is_error(compile_text(tmp_path, text), "mixed-families")
        assert compile_text(tmp_path, server("192.0.2.1 80", R4.replace("{\n}", check))).diagnostics == ()


@pytest.mark.parametrize(
    ("words", "tunnel"),
    [
        ("", Tunnel()),
        ("type ipip", Tunnel()),
        ("type gue port 6080", Tunnel(type=TunnelType.GUE, port=6080)),
        (
            "type gue port 6080 remcsum",
            Tunnel(type=TunnelType.GUE, port=6080, checksum=TunnelChecksum.REMCSUM),
        ),
        ("type gre csum", Tunnel(type=TunnelType.GRE, checksum=TunnelChecksum.CSUM)),
    ],
)
def test_w3_tunnels(tmp_path: Path, words: str, tunnel: Tunnel) -> None:
    compiled = compile_text(tmp_path, server("192.0.2.1 80", R4).replace("NAT", f"TUN {words}"))
    assert compiled.diagnostics == ()
    assert only_server(compiled).real_servers[0].tunnel == tunnel


@pytest.mark.parametrize(
    "words", ["type gue", "type gre port 5", "type gre remcsum", "type ipip csum", "type x", "port", "what"]
)
def test_w3_tunnels_that_the_kernel_would_refuse(tmp_path: Path, words: str) -> None:
    compiled = compile_text(tmp_path, server("192.0.2.1 80", R4).replace("NAT", f"TUN {words}"))
    assert is_error(compiled, "bad-value")


class TestFlags:
    @pytest.mark.parametrize(
        ("scheduler", "lines", "flags"),
        [
            ("sh", "sh-port\n", ("flag-2",)),
            ("mh", "mh-fallback\nmh-port\n", ("flag-1", "flag-2")),
            ("sh", "flag-3\n", ("flag-3",)),
        ],
    )
    def test_v16_names_of_the_flags(
        self, tmp_path: Path, scheduler: str, lines: str, flags: tuple[str, ...]
    ) -> None:
        text = server("192.0.2.1 80", lines, R4).replace("lb_algo rr", f"lb_algo {scheduler}")
        compiled = compile_text(tmp_path, text)
        assert compiled.diagnostics == ()
        assert only_server(compiled).flags == flags

    @pytest.mark.parametrize(
        "lines", ["lb_algo wlc\nsh-port\n", "lb_algo sh\nmh-port\n", "flag-1\nlb_algo wlc\n"]
    )
    def test_w17_flags_of_another_scheduler(self, tmp_path: Path, lines: str) -> None:
        text = server("192.0.2.1 80", R4, settings=f"{lines}lb_kind NAT\nprotocol TCP\n")
        assert is_error(compile_text(tmp_path, text), "scheduler-flag")

    def test_w17_a_name_must_follow_its_scheduler(self, tmp_path: Path) -> None:
        text = server("192.0.2.1 80", R4, settings="sh-port\nlb_algo sh\nlb_kind NAT\nprotocol TCP\n")
        assert is_error(compile_text(tmp_path, text), "scheduler-flag")
        assert only_server(compile_text(tmp_path, text, permissive=True)).flags == ()

    def test_v17_one_packet_is_for_udp_and_marks(self, tmp_path: Path) -> None:
        assert is_error(compile_text(tmp_path, server("192.0.2.1 80", "ops\n", R4)), "one-packet")
        udp = server("192.0.2.1 80", "ops\n", R4).replace("TCP", "UDP")
        for text in (udp, server("fwmark 7", "ops\n", R4)):
            assert only_server(compile_text(tmp_path, text)).one_packet


def test_sctp_is_a_protocol(tmp_path: Path) -> None:
    found = only_server(compile_text(tmp_path, server("192.0.2.1 80", R4).replace("TCP", "sctp")))
    assert found.protocol is Protocol.SCTP


@pytest.mark.parametrize(
    ("head", "line", "kept"),
    [
        ("192.0.2.1 80", "255.0.255.0", "255.0.255.0"),
        ("2001:db8::9 80", "64", "64"),
        ("fwmark 7", "255.255.0.0", "255.255.0.0"),
    ],
)
def test_w14_granularity_is_a_mask_of_any_bits_or_a_prefix(
    tmp_path: Path, head: str, line: str, kept: str
) -> None:
    server_ = R6 if ":" in head else R4
    found = only_server(compile_text(tmp_path, server(head, f"persistence_granularity {line}\n", server_)))
    assert (found.persistence_timeout_s, found.persistence_granularity) == (360, kept)


class TestGlobalSettings:
    VRRP = (
        "vrrp_instance VI_1 {\nstate BACKUP\ninterface eth0\nvirtual_router_id 51\npriority 100\n"
        "virtual_ipaddress {\n192.0.2.1/24\n}\n}\n"
    )

    def compiled(self, folder: Path, line: str, more: str = "") -> list[str]:
        text = f"global_defs {{\n{line}\n}}\n{self.VRRP}{server('192.0.2.1 80', R4)}{more}"
        self.found = compile_text(folder, text)
        return codes(self.found)

    @pytest.mark.parametrize(
        ("line", "daemon"),
        [
            ("eth0", SyncDaemon(interface="eth0")),
            ("eth0 VI_1", SyncDaemon(interface="eth0", instance="VI_1", id=51)),
            ("eth0 inst VI_1 id 7", SyncDaemon(interface="eth0", instance="VI_1", id=7)),
            ("eth0 VI_1 9", SyncDaemon(interface="eth0", instance="VI_1", id=9)),
            (
                "eth0 id 1 maxlen 1000 port 8849 ttl 3 group 224.0.0.82",
                SyncDaemon(interface="eth0", id=1, maxlen=1000, port=8849, ttl=3, group="224.0.0.82"),
            ),
        ],
    )
    def test_sync_daemon(self, tmp_path: Path, line: str, daemon: SyncDaemon) -> None:
        assert self.compiled(tmp_path, f"lvs_sync_daemon {line}") == []
        assert self.found.configuration is not None
        assert self.found.configuration.ipvs.sync_daemon == daemon

    def test_sync_daemon_of_an_instance(self, tmp_path: Path) -> None:
        """The deprecated form; one of `global_defs` counts before it, and the first of several."""
        old = self.VRRP.replace("priority", "lvs_sync_daemon_interface eth1\npriority")
        compiled = compile_text(tmp_path, old)
        assert codes(compiled) == ["deprecated"]
        assert compiled.configuration is not None
        assert compiled.configuration.ipvs.sync_daemon == SyncDaemon(interface="eth1", instance="VI_1", id=51)
        new = compile_text(tmp_path, "global_defs {\nlvs_sync_daemon eth0 VI_1\n}\n" + old)
        assert new.configuration is not None
        assert new.configuration.ipvs.sync_daemon == SyncDaemon(interface="eth0", instance="VI_1", id=51)

    @pytest.mark.parametrize(
        "line",
        ["eth0 VI_2", "eth0 id 256", "eth0 ttl 0", "eth0 group 10.0.0.1", "eth0 port", "eth0 VI_1 9 x"],
    )
    def test_sync_daemons_that_cannot_be(self, tmp_path: Path, line: str) -> None:
        (code,) = self.compiled(tmp_path, f"lvs_sync_daemon {line}")
        assert code in ("unknown-instance", "bad-value")
        assert self.found.configuration is None

    def test_v22_no_sync_daemon_beside_a_server_of_the_other_family(self, tmp_path: Path) -> None:
        mixed = server("192.0.2.2 80", R6).replace("NAT", "TUN")
        assert self.compiled(tmp_path, "lvs_sync_daemon eth0", mixed) == ["mixed-families"]
        assert self.found.configuration is None

    def test_timeouts_and_flushing(self, tmp_path: Path) -> None:
        lines = "lvs_timeouts tcp 60 udp 5\nlvs_flush\nlvs_flush_on_stop"
        assert self.compiled(tmp_path, lines) == []
        assert self.found.configuration is not None
        section = self.found.configuration.ipvs
        assert section.timeouts == Timeouts(tcp_s=60, udp_s=5)
        assert (section.flush, section.flush_on_stop) == (True, True)
        assert self.compiled(tmp_path, "lvs_flush_on_stop VS") == []
        assert not self.found.configuration.ipvs.flush_on_stop
        assert self.compiled(tmp_path, "lvs_timeouts tcp 2678401") == ["bad-value"]
