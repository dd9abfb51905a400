"""What becomes of `virtual_server` and its checkers (features 12.1, 13; conformance V18, W19)."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_text import SERVER, codes, compile_text, find, is_error, only_server, server, told

from keepbus.config.compiler import Compiled
from keepbus.config.model.checker import Check, CheckKind, StatusRange
from keepbus.config.model.ipvs import Forwarding, Protocol, SorryServer
from keepbus.config.model.scripts import Script

REAL = "real_server 10.0.0.1 80 {\n@\n}\n"


def checks(compiled: Compiled) -> tuple[Check, ...]:
    assert compiled.configuration is not None, told(compiled)
    return compiled.configuration.checker.checks


def test_a_good_server_is_clean(tmp_path: Path) -> None:
    compiled = server(tmp_path, REAL.replace("@", "TCP_CHECK {\n}"))
    assert compiled.diagnostics == ()


@pytest.mark.parametrize(
    ("absent", "code", "severity"),
    [
        ("lb_algo rr", "missing-scheduler", "warning"),
        ("lb_kind NAT", "missing-forwarding", "warning"),
        ("protocol TCP", "missing-protocol", "error"),
    ],
)
def test_what_must_be_said(tmp_path: Path, absent: str, code: str, severity: str) -> None:
    text = SERVER.replace(absent, "").replace("@", REAL.replace("@", ""))
    compiled = compile_text(tmp_path, text, permissive=True)
    assert codes(compiled) == [code]
    assert (find(compile_text(tmp_path, text), code).severity) == severity
    found = only_server(compiled)
    # keepalived's choices (features 12.1).
    assert found.scheduler == ("wlc" if "lb_algo" in absent else "rr")
    assert found.forwarding is Forwarding.NAT
    assert found.protocol is (Protocol.UDP if "protocol" in absent else Protocol.TCP)


def test_everything_of_a_virtual_server(tmp_path: Path) -> None:
    compiled = server(
        tmp_path,
        """
        persistence_timeout 50
        persistence_granularity 255.255.255.0
        quorum 3
        hysteresis 1
        alpha
        omega
        quorum_up "/bin/up 1" root
        quorum_down /bin/down
        sorry_server 127.0.0.1 8080
        sorry_server_inhibit
        sorry_server_lvs_method DR
        inhibit_on_failure
        weight 5
        """
        + REAL.replace("@", "uthreshold 9\nlthreshold 3\nnotify_up /bin/a\nnotify_down /bin/b")
        + REAL.replace("0.1", "0.2").replace("@", "weight 0\ninhibit_on_failure no"),
    )
    assert compiled.diagnostics == ()
    found = only_server(compiled)
    assert (found.persistence_timeout_s, found.persistence_granularity) == (50, "255.255.255.0")
    assert (found.quorum, found.hysteresis, found.alpha, found.omega) == (3, 1, True, True)
    assert found.quorum_up == Script(argv=("/bin/up", "1"), user="root")
    assert found.quorum_down == Script(argv=("/bin/down",))
    assert found.sorry_server == SorryServer(
        address="127.0.0.1", port=8080, forwarding=Forwarding.DR, inhibit=True
    )
    first, second = found.real_servers
    assert (first.weight, first.inhibit_on_failure, first.uthreshold, first.lthreshold) == (5, True, 9, 3)
    assert (first.notify_up, first.notify_down) == (Script(argv=("/bin/a",)), Script(argv=("/bin/b",)))
    assert (second.weight, second.inhibit_on_failure) == (0, False)


def test_persistence_without_a_number_is_360_seconds(tmp_path: Path) -> None:
    assert (
        only_server(server(tmp_path, f"persistence_timeout\n{REAL}".replace("@", ""))).persistence_timeout_s
        == 360
    )
    granular = server(tmp_path, f"persistence_granularity 255.255.0.0\n{REAL}".replace("@", ""))
    assert only_server(granular).persistence_timeout_s == 360


def test_v18_port_0_only_with_persistence(tmp_path: Path) -> None:
    text = SERVER.replace(" 80 {", " {").replace("@", REAL.replace("@", ""))
    compiled = compile_text(tmp_path, text)
    assert codes(compiled) == ["port-0"]
    assert (only_server(compiled).port, only_server(compiled).persistence_timeout_s) == (0, 360)


@pytest.mark.parametrize(
    ("lines", "quorum", "hysteresis", "found"),
    [
        ("quorum 2\nhysteresis 1", 2, 1, []),
        ("quorum 9", 2, 0, ["quorum-too-high"]),
        ("quorum 2\nhysteresis 2", 2, 1, ["hysteresis-too-high"]),
        ("hysteresis 1", 1, 0, ["hysteresis-too-high"]),
    ],
)
def test_w19_quorum_and_hysteresis(
    tmp_path: Path, lines: str, quorum: int, hysteresis: int, found: list[str]
) -> None:
    compiled = server(tmp_path, f"{lines}\n{REAL}{REAL.replace('0.1', '0.2')}".replace("@", ""))
    assert codes(compiled) == found
    assert (only_server(compiled).quorum, only_server(compiled).hysteresis) == (quorum, hysteresis)


def test_dr_and_tun_keep_the_port_and_checks_go_to_the_one_that_is_written(tmp_path: Path) -> None:
    # So does keepalived 2.2.7: its probes of a DR server that is written with 8080 go to 8080.
    text = SERVER.replace("NAT", "DR").replace(
        "@", REAL.replace(" 80", " 8080").replace("@", "TCP_CHECK {\n}")
    )
    compiled = compile_text(tmp_path, text)
    assert codes(compiled) == ["port-forced"]
    assert only_server(compiled).real_servers[0].port == 80
    assert [check.port for check in checks(compiled)] == [8080]


def test_the_method_counts_for_what_follows_and_the_weight_for_all(tmp_path: Path) -> None:
    # So does keepalived 2.2.7 (tests/uml/corpus.py has both).
    first, second = REAL.replace("@", ""), REAL.replace("0.1", "0.2").replace("@", "")
    compiled = server(tmp_path, f"{first}weight 7\nlb_kind DR\n{second}")
    assert codes(compiled) == ["given-twice", "late-default"]
    assert [(real.weight, real.forwarding) for real in only_server(compiled).real_servers] == [
        (7, Forwarding.NAT),
        (7, Forwarding.DR),
    ]


def test_doubles(tmp_path: Path) -> None:
    compiled = server(tmp_path, f"{REAL}{REAL}".replace("@", ""))
    assert codes(compiled) == ["duplicate-real-server"]
    assert len(only_server(compiled).real_servers) == 1
    whole = SERVER.replace("@", REAL.replace("@", ""))
    assert is_error(compile_text(tmp_path, whole + whole), "duplicate-virtual-server")
    udp = whole.replace("TCP", "UDP")
    assert compile_text(tmp_path, whole + udp).diagnostics == ()


def test_a_server_without_real_servers_is_not_used(tmp_path: Path) -> None:
    compiled = server(tmp_path, "")
    assert codes(compiled) == ["no-real-servers"]
    assert compiled.configuration is not None
    assert compiled.configuration.ipvs.virtual_servers == ()


@pytest.mark.parametrize(
    ("line", "told_"),
    [
        ("lb_algo best", "error bad-value 5:9"),
        ("lb_kind BRIDGE", "error bad-value 5:9"),
        ("lb_kind TUN type gue", "error bad-value 5:9"),
        ("lb_kind NAT type gre", "error bad-value 5:13"),
        ("protocol ICMP", "error bad-value 5:10"),
        ("persistence_timeout 0", "warning bad-value 5:21"),
        ("persistence_granularity 129", "warning bad-value 5:25"),
        ("persistence_granularity 64", "error granularity 5:25"),
        ("quorum 0", "warning bad-value 5:8"),
        ("sorry_server 127.0.0.1 65536", "warning bad-value 5:24"),
        ("weight 65536", "warning bad-value 5:8"),
        ("delay_loop 0", "warning bad-value 5:12"),
        ("ops", "error one-packet 5:1"),
        ("sh-port", "error scheduler-flag 5:1"),
        ("flag-1", "error scheduler-flag 5:1"),
        ("ip_family inet6", "error mixed-families 5:11"),
        ("sorry_server 2001:db8::1 80", "error mixed-families 5:14"),
        ("hashed", "warning obsolete 5:1"),
        ("presistence_timeout 5", "warning unknown-keyword 5:1"),
    ],
)
def test_bad_lines(tmp_path: Path, line: str, told_: str) -> None:
    compiled = server(tmp_path, f"{line}\n{REAL}".replace("@", ""))
    assert told_ in told(compiled)
    (found,) = [finding for finding in compiled.diagnostics if finding.code != "given-twice"]
    assert found.place.line == 5


def test_an_unchecked_server_would_count_as_alive(tmp_path: Path) -> None:
    compiled = server(tmp_path, REAL.replace("@", "BFD_CHECK {\n name x\n}"))
    assert is_error(compiled, "unknown-bfd-instance")


class TestChecks:
    def test_defaults(self, tmp_path: Path) -> None:
        (check,) = checks(server(tmp_path, REAL.replace("@", "TCP_CHECK {\n}")))
        assert check == Check(id=check.id, kind=CheckKind.TCP_CHECK, address="10.0.0.1", port=80)
        assert check.id == "TCP_CHECK:10.0.0.1:80"
        assert (check.delay_loop_us, check.warmup_us, check.connect_timeout_us) == (
            60_000_000,
            60_000_000,
            5_000_000,
        )
        assert (check.retry, check.delay_before_retry_us) == (1, 1_000_000)

    @pytest.mark.parametrize("kind", ["HTTP_GET", "SSL_GET"])
    def test_http_waits_3_seconds_before_a_retry(self, tmp_path: Path, kind: str) -> None:
        (check,) = checks(server(tmp_path, REAL.replace("@", f"{kind} {{\n url {{\n path /\n }}\n}}")))
        assert check.delay_before_retry_us == 3_000_000
        assert check.urls[0].status_codes == (StatusRange(low=200, high=299),)

    def test_inheritance(self, tmp_path: Path) -> None:
        lines = """
        delay_loop 6
        retry 2
        delay_before_retry 4
        connect_timeout 7
        alpha
        """
        real = REAL.replace("@", "retry 3\nTCP_CHECK {\n delay_before_retry 0.5\n}\nTCP_CHECK {\nalpha no\n}")
        compiled = server(tmp_path, lines + real)
        first, second = checks(compiled)
        assert (first.delay_loop_us, first.retry, first.connect_timeout_us) == (6_000_000, 3, 7_000_000)
        assert (first.delay_before_retry_us, second.delay_before_retry_us) == (500_000, 4_000_000)
        # Not given anywhere: the interval.
        assert first.warmup_us == 6_000_000
        uses = only_server(compiled).real_servers[0].checks
        assert [use.alpha for use in uses] == [True, False]

    def test_lines_after_the_real_servers_count_too(self, tmp_path: Path) -> None:
        (check,) = checks(server(tmp_path, REAL.replace("@", "TCP_CHECK {\n}") + "delay_loop 9"))
        assert check.delay_loop_us == 9_000_000

    def test_each_distinct_check_exists_once(self, tmp_path: Path) -> None:
        real = REAL.replace("@", "TCP_CHECK {\n retry 2\n}")
        one = SERVER.replace("@", real)
        two = one.replace("192.0.2.1", "192.0.2.2")
        three = two.replace("192.0.2.2", "192.0.2.3").replace("retry 2", "retry 3")
        compiled = compile_text(tmp_path, one + two + three)
        found = checks(compiled)
        assert [check.retry for check in found] == [2, 3]
        assert compiled.configuration is not None
        used = [s.real_servers[0].checks[0].check for s in compiled.configuration.ipvs.virtual_servers]
        assert used == [found[0].id, found[0].id, found[1].id]
        assert found[0].id.startswith("TCP_CHECK:10.0.0.1:80#")
        assert len(found[0].id.partition("#")[2]) == 8

    def test_ids_do_not_depend_on_the_rest_of_the_file(self, tmp_path: Path) -> None:
        real = REAL.replace("@", "TCP_CHECK {\n retry 2\n}")
        (alone,) = checks(server(tmp_path, real))
        both = checks(server(tmp_path, REAL.replace("0.1", "0.2").replace("@", "TCP_CHECK {\n}") + real))
        assert alone.id == both[1].id

    def test_everything_of_http(self, tmp_path: Path) -> None:
        compiled = server(
            tmp_path,
            "virtualhost vs.example\n"
            + REAL.replace(
                "@",
                """SSL_GET {
                connect_ip 10.0.0.9
                connect_port 8443
                bindto 10.0.0.8
                bind_port 1025
                http_protocol 1.0c
                enable_sni
                fast_recovery
                url {
                    path "/a b"
                    digest 9B3A0C85A887A256D6939DA88AABD8CD
                    status_code 200 300-302
                }
                url {
                    path /c
                    virtualhost c.example
                }
            }""",
            ),
        )
        assert compiled.diagnostics == ()
        (check,) = checks(compiled)
        assert (check.address, check.port, check.bind_address, check.bind_port) == (
            "10.0.0.9",
            8443,
            "10.0.0.8",
            1025,
        )
        assert (check.http_protocol, check.fast_recovery, check.sni_name) == ("1.0C", True, "vs.example")
        first, second = check.urls
        assert (first.path, first.virtualhost, second.virtualhost) == ("/a b", "vs.example", "c.example")
        assert first.digest == "9b3a0c85a887a256d6939da88aabd8cd"
        assert first.status_codes == (StatusRange(low=200, high=200), StatusRange(low=300, high=302))

    @pytest.mark.parametrize(
        ("lines", "told_"),
        [
            ("HTTP_GET {\n}", "error missing-url 6:1"),
            ("HTTP_GET {\nurl {\n}\n}", "error missing-path 7:1"),
            ("HTTP_GET {\nurl {\npath /\nstatus_code 99\n}\n}", "error bad-value 9:13"),
            ("HTTP_GET {\nurl {\npath /\nstatus_code 200 300-299\n}\n}", "error bad-value 9:17"),
            ("HTTP_GET {\nurl {\npath /\ndigest abc\n}\n}", "error bad-value 9:8"),
            ('HTTP_GET {\nurl {\npath /\nregex "a(b"\n}\n}', "error regex 9:7"),
            (
                'HTTP_GET {\nurl {\npath /\nregex "a"\nregex_options utf caselss\n}\n}',
                "error bad-value 10:19",
            ),
            ("HTTP_GET {\nurl {\npath /\n}\nnb_get_retry 3\n}", "warning deprecated 10:1"),
            ("TCP_CHECK {\nfwmark -3\n}", "error bad-value 7:8"),
            ("TCP_CHECK {\nbind_if a/b\n}", "error bad-value 7:9"),
            ("TCP_CHECK {\nlog_all_failures\n}", "warning obsolete 7:1"),
            ("TCP_CHECK", "error missing-argument 6:1"),
        ],
    )
    def test_bad_checks(self, tmp_path: Path, lines: str, told_: str) -> None:
        assert told(server(tmp_path, REAL.replace("@", lines))) == [told_]
