"""What becomes of SMTP, DNS, UDP, PING, MISC and FILE checks (features 12.1, 13.2; the keyword list)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from config_text import codes, compile_text, find, is_error, only_server, told

from keepbus.config.check_values import hexadecimal, init_file, pattern
from keepbus.config.compiler import Compiled
from keepbus.config.model.checker import Check, CheckKind, DnsQuestion, MiscCommand, TrackedFile, UdpExchange
from keepbus.config.model.scripts import Script
from keepbus.config.values import Invalid

S = 1_000_000
TEXT = """
{before}
virtual_server 192.0.2.1 80 {{
    delay_loop 7
    lb_algo rr
    lb_kind NAT
    protocol TCP
    {virtual}
    real_server 10.0.0.1 53 {{
        {real}
    }}
}}
"""
FILE = "track_file load {\n file /run/load\n weight 2 reverse\n}"


def compiled(
    folder: Path, real: str, *, virtual: str = "", before: str = "", permissive: bool = False
) -> Compiled:
    text = TEXT.format(real=real, virtual=virtual, before=before)
    return compile_text(folder, text, permissive=permissive)


def checks(found: Compiled) -> tuple[Check, ...]:
    assert found.configuration is not None, told(found)
    return found.configuration.checker.checks


def only(found: Compiled) -> Check:
    assert found.diagnostics == (), told(found)
    (check,) = checks(found)
    return check


@pytest.mark.parametrize(
    ("kind", "body", "id_", "retry", "delay_before_retry_us"),
    [
        ("SMTP_CHECK", "", "SMTP_CHECK:10.0.0.1:53", 1, 1 * S),
        ("DNS_CHECK", "", "DNS_CHECK:10.0.0.1:53", 3, 7 * S),
        ("UDP_CHECK", "", "UDP_CHECK:10.0.0.1:53", 1, 1 * S),
        ("PING_CHECK", "", "PING_CHECK:10.0.0.1", 1, 1 * S),
        ("MISC_CHECK", 'misc_path "/bin/x 1"', "MISC_CHECK:/bin/x", 0, 1 * S),
    ],
)
def test_defaults(
    tmp_path: Path, kind: str, body: str, id_: str, retry: int, delay_before_retry_us: int
) -> None:
    check = only(compiled(tmp_path, f"{kind} {{\n{body}\n}}"))
    assert check.id.partition("#")[0] == id_
    assert (check.retry, check.delay_before_retry_us) == (retry, delay_before_retry_us)
    assert (check.delay_loop_us, check.warmup_us) == (7 * S, 7 * S)


@pytest.mark.parametrize("kind", ["SMTP_CHECK", "DNS_CHECK", "UDP_CHECK", "PING_CHECK", "MISC_CHECK"])
def test_what_the_checker_says_counts_more_than_the_real_server_and_that_more_than_the_virtual(
    tmp_path: Path, kind: str
) -> None:
    body = 'misc_path "/bin/x"' if kind == "MISC_CHECK" else "connect_timeout 3"
    check = only(
        compiled(
            tmp_path,
            f"delay_loop 8\n retry 4\n{kind} {{\n{body}\n retry 5\n alpha\n}}",
            virtual="retry 9\n delay_before_retry 2",
        )
    )
    assert (check.retry, check.delay_before_retry_us, check.delay_loop_us) == (5, 2 * S, 8 * S)


def test_alpha_is_the_use_not_the_check(tmp_path: Path) -> None:
    found = compiled(tmp_path, "PING_CHECK {\n alpha\n}")
    assert only_server(found).real_servers[0].checks[0].alpha


class TestSmtp:
    def test_helo_name(self, tmp_path: Path) -> None:
        check = only(compiled(tmp_path, "SMTP_CHECK {\n helo_name me.example.org\n connect_port 26\n}"))
        assert (check.helo_name, check.port) == ("me.example.org", 26)

    def test_hosts_are_checks_of_their_own(self, tmp_path: Path) -> None:
        found = compiled(
            tmp_path,
            """SMTP_CHECK {
                helo_name me
                retry 4
                host {
                    connect_ip 10.0.0.3
                }
                host {
                    connect_port 26
                    retry 2
                    connect_timeout 1
                }
            }""",
        )
        assert found.diagnostics == ()
        assert [
            (check.address, check.port, check.retry, check.connect_timeout_us, check.helo_name)
            for check in checks(found)
        ] == [("10.0.0.3", 53, 4, 5 * S, "me"), ("10.0.0.1", 26, 2, 1 * S, "me")]
        assert [use.check for use in only_server(found).real_servers[0].checks] == [
            check.id for check in checks(found)
        ]

    def test_a_host_inherits_the_real_servers_connect_timeout_not_the_checkers(self, tmp_path: Path) -> None:
        body = "SMTP_CHECK {\n connect_timeout 3\n host {\n connect_ip 10.0.0.3\n }\n}"
        found = compiled(tmp_path, f"connect_timeout 2\n{body}")
        assert [(check.address, check.connect_timeout_us) for check in checks(found)] == [
            ("10.0.0.3", 2 * S), ("10.0.0.1", 3 * S),
        ]  # fmt: skip

    def test_a_connection_beside_the_hosts_is_one_more(self, tmp_path: Path) -> None:
        found = compiled(tmp_path, "SMTP_CHECK {\n connect_ip 10.0.0.9\n host {\n connect_ip 10.0.0.3\n }\n}")
        assert [check.address for check in checks(found)] == ["10.0.0.3", "10.0.0.9"]


class TestDns:
    def test_type_in_any_case_and_name(self, tmp_path: Path) -> None:
        check = only(compiled(tmp_path, "DNS_CHECK {\n type aaaa\n name www.example.org\n}"))
        assert check.dns == DnsQuestion(type="AAAA", name="www.example.org")

    @pytest.mark.parametrize(
        ("line", "words"),
        [
            ("type PTR", "one of A, NS, CNAME, SOA, MX, TXT, AAAA, RRSIG, DNSKEY expected, not `PTR`"),
            ("name a..b", "`a..b` has an empty part"),
            (f"name {'a' * 64}", "more than 63 characters"),
            (f"name {'a.' * 130}b", "longer than 253 characters"),
            ("name bücher.example", "not ASCII"),
        ],
    )
    def test_what_dns_cannot_ask(self, tmp_path: Path, line: str, words: str) -> None:
        found = compiled(tmp_path, f"DNS_CHECK {{\n {line}\n}}")
        assert is_error(found, "bad-value")
        assert words in find(found, "bad-value").text


class TestUdp:
    def test_everything(self, tmp_path: Path) -> None:
        check = only(
            compiled(
                tmp_path,
                """UDP_CHECK {
                    payload Ab12f 3 456 546443123
                    require_reply 0aX X
                    min_reply_length 2
                    max_reply_length 9
                }""",
            )
        )
        assert check.udp == UdpExchange(
            # The example of keepalived's manual.
            payload="ab120f0345065464431203",
            require_reply=True,
            reply_pattern="0a0x0x",
            min_reply_length=2,
            max_reply_length=9,
        )

    def test_require_reply_without_a_pattern(self, tmp_path: Path) -> None:
        check = only(compiled(tmp_path, "UDP_CHECK {\n require_reply\n}"))
        assert check.udp == UdpExchange(require_reply=True)

    def test_no_reply_can_have_such_a_length(self, tmp_path: Path) -> None:
        assert is_error(compiled(tmp_path, "UDP_CHECK {\n min_reply_length 300\n}"), "reply-length")

    @pytest.mark.parametrize("line", ["payload 0g", "payload xx", "payload", "require_reply 0y"])
    def test_what_is_not_hexadecimal(self, tmp_path: Path, line: str) -> None:
        assert not set(codes(compiled(tmp_path, f"UDP_CHECK {{\n {line}\n}}"))).isdisjoint(
            {"bad-value", "missing-argument"}
        )

    def test_octets(self) -> None:
        assert hexadecimal(["AB12f", "3"], "") == "ab120f03"
        assert pattern([], "") == ""
        assert pattern(["xX", "1x", "x"], "") == "xx1x0x"
        with pytest.raises(Invalid, match="more than 1024 octets"):
            hexadecimal(["00" * 1025], "")


class TestPing:
    def test_ports_are_nothing_to_it(self, tmp_path: Path) -> None:
        found = compiled(
            tmp_path,
            "PING_CHECK {\n}\nPING_CHECK {\n connect_port 5\n bind_port 6\n}\n"
            "PING_CHECK {\n bindto 10.0.0.8\n}",
        )
        assert [(check.port, check.bind_port, check.bind_address) for check in checks(found)] == [
            (0, 0, ""), (0, 0, "10.0.0.8"),
        ]  # fmt: skip


class TestMisc:
    def test_everything(self, tmp_path: Path) -> None:
        check = only(
            compiled(
                tmp_path,
                """MISC_CHECK {
                    misc_path "/bin/x 'a b' c"
                    misc_timeout 4
                    misc_dynamic
                    user nobody nogroup
                    delay_loop 11
                }""",
            )
        )
        assert check.misc == MiscCommand(
            script=Script(argv=("/bin/x", "a b", "c"), user="nobody", group="nogroup"),
            timeout_us=4 * S,
            dynamic=True,
        )
        assert (check.address, check.port, check.delay_loop_us) == ("", 0, 11 * S)

    @pytest.mark.parametrize("misc_timeout", ["", "misc_timeout 0"])
    def test_the_limit_is_the_virtual_servers_delay_loop_whatever_the_others_say(
        self, tmp_path: Path, misc_timeout: str
    ) -> None:
        body = f'delay_loop 8\nMISC_CHECK {{\n misc_path "/bin/x"\n delay_loop 9\n{misc_timeout}\n}}'
        check = only(compiled(tmp_path, body))
        assert check.misc is not None
        assert (check.misc.timeout_us, check.delay_loop_us) == (7 * S, 9 * S)

    def test_without_a_command_it_is_not_used(self, tmp_path: Path) -> None:
        assert is_error(compiled(tmp_path, "MISC_CHECK {\n}"), "missing-script")
        assert checks(compiled(tmp_path, "MISC_CHECK {\n}", permissive=True)) == ()
        assert codes(compiled(tmp_path, 'MISC_CHECK {\n misc_path "\'"\n}')) == ["bad-value"]

    def test_script_settings_reach_the_checker(self, tmp_path: Path) -> None:
        before = "global_defs {\n script_user nobody nogroup\n enable_script_security\n}"
        found = compiled(tmp_path, 'MISC_CHECK {\n misc_path "/bin/x"\n}', before=before)
        assert found.configuration is not None
        section = found.configuration.checker
        assert (section.script_user, section.enable_script_security) == ("nobody:nogroup", True)


class TestFile:
    @pytest.mark.parametrize(
        ("weight", "expected"),
        [
            ("", (2, True)),
            ("weight 5", (5, True)),
            ("weight 5 noreverse", (5, False)),
            ("weight -2147483647 reverse", (-2147483647, True)),
        ],
    )
    def test_the_weight_is_its_own_else_the_track_files(
        self, tmp_path: Path, weight: str, expected: tuple[int, bool]
    ) -> None:
        check = only(compiled(tmp_path, f"FILE_CHECK {{\n track_file load\n {weight}\n}}", before=FILE))
        assert check.file == TrackedFile(
            name="load", path="/run/load", weight=expected[0], reverse=expected[1]
        )
        assert check.id.startswith("FILE_CHECK:load#")
        assert check.kind is CheckKind.FILE_CHECK

    def test_two_real_servers_share_a_check(self, tmp_path: Path) -> None:
        more = """FILE_CHECK {\n track_file load\n}
        }
        real_server 10.0.0.2 53 {
            weight 9
            FILE_CHECK {\n track_file load\n}"""
        found = compiled(tmp_path, more, before=FILE)
        only(found)
        first, second = only_server(found).real_servers
        assert first.checks == second.checks

    @pytest.mark.parametrize(
        ("lines", "expected"),
        [
            ("", {}),
            ("init_file", {"init_value": 0}),
            ("init_file 5", {"init_value": 5}),
            ("init_file overwrite", {"init_value": 0, "init_overwrite": True}),
            ("init_file -5 overwrite", {"init_value": -5, "init_overwrite": True}),
            ("init_file overwrite 5", {"init_value": 5, "init_overwrite": True}),
            ("weight 0", {"weight": 0}),
        ],
    )
    def test_a_track_file(self, tmp_path: Path, lines: str, expected: dict[str, Any]) -> None:
        before = f"track_file load {{\n file /run/load\n {lines}\n}}"
        check = only(compiled(tmp_path, "FILE_CHECK {\n track_file load\n}", before=before))
        assert check.file == TrackedFile(name="load", path="/run/load", **expected)

    def test_the_deprecated_name(self, tmp_path: Path) -> None:
        found = compiled(tmp_path, "FILE_CHECK {\n track_file load\n}", before=f"vrrp_{FILE}")
        assert codes(found) == ["deprecated"]
        assert len(checks(found)) == 1

    @pytest.mark.parametrize(
        ("before", "body", "code"),
        [
            ("", "track_file load", "unknown-track-file"),
            (FILE, "", "missing-track-file"),
            (FILE, "track_file load\n weight x", "bad-value"),
            (FILE, "track_file load\n weight 1 backwards", "bad-value"),
            (FILE.replace("file /run/load", ""), "track_file load", "missing-file"),
            (FILE.replace("/run", "run"), "track_file load", "bad-value"),
            (FILE.replace("weight 2", "weight 255"), "track_file load", "bad-value"),
            (FILE.replace("file load", "file"), "track_file load", "missing-argument"),
            (FILE, "track_file load\n alpha", "unknown-keyword"),
        ],
    )
    def test_what_must_be_said(self, tmp_path: Path, before: str, body: str, code: str) -> None:
        found = compiled(tmp_path, f"FILE_CHECK {{\n {body}\n}}", before=before)
        assert code in codes(found)

    def test_the_second_of_a_name_is_ignored(self, tmp_path: Path) -> None:
        other = FILE.replace("/run", "/tmp")
        found = compiled(tmp_path, "FILE_CHECK {\n track_file load\n}", before=f"{FILE}\n{other}")
        assert codes(found) == ["duplicate-track-file"]
        assert checks(found)[0].file.path == "/run/load"  # type: ignore[union-attr]

    def test_init_file_words(self) -> None:
        for words in (["1", "2"], ["overwrite", "overwrite"], ["x"], ["overwrite", "x"]):
            with pytest.raises(Invalid):
                init_file(words, "")


def test_bind_if_and_fwmark_of_every_check_that_connects(tmp_path: Path) -> None:
    for kind in ("TCP_CHECK", "SMTP_CHECK", "DNS_CHECK", "UDP_CHECK", "PING_CHECK", "HTTP_GET", "SSL_GET"):
        body = "url {\n path /\n}" if kind.endswith("GET") else ""
        check = only(compiled(tmp_path, f"{kind} {{\n bind_if eth7\n fwmark 4294967295\n {body}\n}}"))
        assert (check.bind_interface, check.fwmark) == ("eth7", 0xFFFF_FFFF)
    found = compiled(tmp_path, "SMTP_CHECK {\n fwmark 1\n host {\n bind_if eth7\n}\n}")
    assert [(check.bind_interface, check.fwmark) for check in checks(found)] == [("eth7", 0), ("", 1)]


BFD = "bfd_instance peer {\n}"


def test_a_bfd_check_names_a_session(tmp_path: Path) -> None:
    text = "BFD_CHECK {\n name peer\n}\nBFD_CHECK {\n name peer\n alpha no\n}"
    found = compiled(tmp_path, text, before=BFD, virtual="alpha")
    assert codes(found) == ["partial"]
    (check,) = checks(found)
    assert check == Check(id=check.id, kind=CheckKind.BFD_CHECK, address="", port=0, retry=0, bfd="peer")
    assert check.id.startswith("BFD_CHECK:peer#")
    assert [use.alpha for use in only_server(found).real_servers[0].checks] == [True, False]


@pytest.mark.parametrize(
    ("lines", "code"), [("", "missing-bfd-instance"), ("name other", "unknown-bfd-instance")]
)
def test_a_bfd_check_without_a_session_is_not_used(tmp_path: Path, lines: str, code: str) -> None:
    text = f"BFD_CHECK {{\n{lines}\n}}"
    assert is_error(compiled(tmp_path, text, before=BFD), code)
    assert checks(compiled(tmp_path, text, before=BFD, permissive=True)) == ()
