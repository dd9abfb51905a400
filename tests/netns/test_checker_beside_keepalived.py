"""The same file and the same servers for keepalived's checkers and for keepbus's: the same verdicts.

keepalived runs without ip_vs, through the library of the benchmarks that answers for the kernel.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from checker_authority import Authority
from checker_peers import UdpServer, dns_answer, smtp
from checker_servers import Checker, Server, answer

from keepbus.config.compiler import compile_file
from keepbus.contracts.checker import CheckVerdict, Verdict

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, ("keepalived", "gcc", "unshare"))),
    reason="needs root, keepalived, gcc and unshare: checks were not compared with keepalived's",
)
GREETING, HELLO, BYE = b"220 here\r\n", b"250 hello\r\n", b"221 bye\r\n"
RECORD = b"\xc0\x0c\0\x01\0\x01\0\0\x0e\x10\0\x04\xc0\0\x02\x01"
SECONDS = 7.0


def mail(*talk: bytes | float) -> Callable[[], int]:
    """A server, and its port."""
    return lambda: Server(smtp(*talk), reads=False).port


def udp(answers: Callable[[bytes], Iterable[bytes]]) -> Callable[[], int]:
    return lambda: UdpServer(answers).port


def nobody() -> int:
    return 9


def web(octets: bytes) -> Callable[[], int]:
    return lambda: Server(answer(octets)).port


def regex(pattern: str, *lines: str) -> str:
    """A `url` whose page must match."""
    return "\n".join(["url {", "path /", f'regex "{pattern}"', *lines, "}"])


def tls(name: str, wants: str = "") -> Callable[[], int]:
    """A server with this certificate that asks its clients for one of this authority."""

    def listens() -> int:
        assert authority is not None
        return Server(answer(HELLO_WORLD), tls=authority.server(name, wants)).port

    return listens


authority: Authority | None = None
HELLO_WORLD = b"HTTP/1.1 200 OK\r\n\r\nHello, world.\r\nGood night.\r\n"
WEB = "url {\npath /\nstatus_code 200\n}"
DNS, SMTP, TCP, HTTP, UDP = "DNS_CHECK", "SMTP_CHECK", "TCP_CHECK", "HTTP_GET", "UDP_CHECK"
SSL = "SSL_GET"
PAGE = web(HELLO_WORLD)
CUT = web(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHello, world.\r\n")
WANTS = "require_reply 01xf\nmin_reply_length 1"
# Checker, its lines, what listens, and whether keepalived's source and manual let one expect it up.
CASES: dict[str, tuple[str, str, Callable[[], int], bool]] = {
    "smtp good": (SMTP, "", mail(GREETING, HELLO, BYE), True),
    "smtp greeting in pieces": (SMTP, "", mail(b"22", 0.2, b"0 x\r", 0.2, b"\n", HELLO, BYE), True),
    "smtp no": (SMTP, "", mail(b"554 no\r\n"), False),
    "smtp greeting of two lines": (SMTP, "", mail(b"220-two\r\n220 lines\r\n"), False),
    "smtp helo refused": (SMTP, "", mail(GREETING, b"451 later\r\n"), False),
    "smtp quit refused": (SMTP, "", mail(GREETING, HELLO, b"502 what\r\n"), True),
    "smtp no answer to quit": (SMTP, "", mail(GREETING, HELLO, b""), False),
    "smtp silence": (SMTP, "", mail(9.0), False),
    "smtp nobody": (SMTP, "", nobody, False),
    "dns good": (DNS, "name example.org\ntype a", udp(lambda q: [dns_answer(q, tail=RECORD)]), True),
    "dns without answers": (DNS, "", udp(lambda q: [dns_answer(q)]), True),
    "dns servfail": (DNS, "", udp(lambda q: [dns_answer(q, flags=0x8182)]), False),
    "dns nxdomain": (DNS, "", udp(lambda q: [dns_answer(q, flags=0x8183)]), False),
    "dns other id": (DNS, "", udp(lambda q: [dns_answer(q, identity=q[1] << 8 ^ 0x5AA5)]), False),
    "dns other id, then the right one": (
        DNS, "", udp(lambda q: [dns_answer(q, identity=q[1] << 8 ^ 0x5AA5), dns_answer(q)]), True,
    ),
    "dns short, then whole": (DNS, "", udp(lambda q: [q[:5], dns_answer(q)]), True),
    "dns silence": (DNS, "", udp(lambda q: []), False),
    "dns nobody": (DNS, "", nobody, False),
    "udp silence": ("UDP_CHECK", "", udp(lambda q: []), True),
    "udp nobody": ("UDP_CHECK", "", nobody, False),
    "udp as wanted": ("UDP_CHECK", WANTS, udp(lambda q: [b"\x01\x7f\x03"]), True),
    "udp not as wanted": ("UDP_CHECK", WANTS, udp(lambda q: [b"\x01\x7e\x03"]), False),
    "udp shorter than the pattern": ("UDP_CHECK", WANTS, udp(lambda q: [b"\x01"]), True),
    "udp too long": (
        "UDP_CHECK", f"{WANTS}\nmax_reply_length 3", udp(lambda q: [b"\x01\x7f\x03\x04"]), False,
    ),
    "udp payload": (
        "UDP_CHECK", "payload Ab12f 3\nrequire_reply AB120f03", udp(lambda q: [q]), True,
    ),
    "udp wanted, silence": ("UDP_CHECK", WANTS, udp(lambda q: []), False),
    "ping": ("PING_CHECK", "", nobody, True),
    "misc 0": ("MISC_CHECK", 'misc_path "/usr/bin/test 1 = 1"', nobody, True),
    "misc 1": ("MISC_CHECK", 'misc_path "/usr/bin/test 1 = 2"', nobody, False),
    "misc 2": ("MISC_CHECK", 'misc_path "/usr/bin/test 1 -eq x"', nobody, False),
    "misc 2, dynamic": ("MISC_CHECK", 'misc_path "/usr/bin/test 1 -eq x"\nmisc_dynamic', nobody, True),
    "misc too long": ("MISC_CHECK", 'misc_path "/usr/bin/sleep 30"\nmisc_timeout 1', nobody, False),
    "regex": (HTTP, regex("wor.d"), PAGE, True),
    "regex does not match": (HTTP, regex("word"), PAGE, False),
    "regex is not to match": (HTTP, regex("world", "regex_no_match"), PAGE, False),
    "regex is not to match, and does not": (HTTP, regex("word", "regex_no_match"), PAGE, True),
    "regex caseless": (HTTP, regex("WORLD", "regex_options caseless"), PAGE, True),
    "regex case": (HTTP, regex("WORLD"), PAGE, False),
    "regex at the start": (HTTP, regex("^Good"), PAGE, False),
    "regex at the start of a line": (HTTP, regex("^Good", "regex_options multiline"), PAGE, True),
    "regex dot and line": (HTTP, regex("world.+Good"), PAGE, False),
    "regex dotall": (HTTP, regex("world.+Good", "regex_options dotall"), PAGE, True),
    "regex too early": (HTTP, regex("Hello", "regex_min_offset 1"), PAGE, False),
    "regex late enough": (HTTP, regex("world", "regex_min_offset 7"), PAGE, True),
    "regex soon enough": (HTTP, regex("world", "regex_max_offset 7"), PAGE, True),
    "regex too late": (HTTP, regex("world", "regex_max_offset 6"), PAGE, False),
    "regex beyond Content-Length": (HTTP, regex("world"), CUT, False),
    "ssl": (SSL, WEB, tls("good"), True),
    "ssl of a name and an authority that nobody knows": (SSL, WEB, tls("other"), True),
    "ssl expired": (SSL, WEB, tls("expired"), True),
    "ssl that asks for a certificate": (SSL, WEB, tls("good", wants="authority"), True),
    "ssl that asks for one of another authority": (SSL, WEB, tls("good", wants="other"), False),
    "ssl of another name": (SSL, f"sni_name www.example\n{WEB}", tls("good"), True),
    "bind_if": (TCP, "bind_if lo", PAGE, True),
    "bind_if of another": (TCP, "bind_if other", PAGE, False),
    "bind_if of nobody": (TCP, "bind_if nobody", PAGE, True),
    "http bind_if of another": (HTTP, f"bind_if other\n{regex('w')}", PAGE, False),
    "fwmark": (TCP, "fwmark 8", PAGE, True),
    "fwmark that is not let through": (TCP, "fwmark 7", PAGE, False),
    "http fwmark that is not let through": (HTTP, f"fwmark 7\n{regex('w')}", PAGE, False),
    "smtp fwmark that is not let through": (SMTP, "fwmark 7", mail(GREETING, HELLO, BYE), False),
    "dns fwmark that is not let through": (DNS, "fwmark 7", udp(lambda q: [dns_answer(q)]), False),
    "udp fwmark": (UDP, f"fwmark 8\n{WANTS}", udp(lambda q: [b"\x01\x7f\x03"]), True),
    "udp fwmark that is not let through": (
        UDP, f"fwmark 7\n{WANTS}", udp(lambda q: [b"\x01\x7f\x03"]), False,
    ),
    "ping fwmark that is not let through": ("PING_CHECK", "fwmark 7", nobody, False),
    "file 1": ("FILE_CHECK", "track_file one\nweight 0", nobody, False),
    "file 1 reverse": ("FILE_CHECK", "track_file one\nweight 0 reverse", nobody, True),
    "file 0": ("FILE_CHECK", "track_file none\nweight 0", nobody, True),
    "file weight": ("FILE_CHECK", "track_file one\nweight -5", nobody, True),
}  # fmt: skip


# Where keepalived 2.2.7 does not do what its manual says, as docs/decisions/0201, 0204 and 0207 tell.
DEFECTS = {
    "regex dotall",
    "regex too early",
    "regex soon enough",
    "regex beyond Content-Length",
    "ping fwmark that is not let through",
}


def configuration(folder: Path) -> str:
    """One virtual server, for each case a real server with an address of its own on loopback."""
    servers = []
    for index, (kind, lines, listens, _) in enumerate(CASES.values()):
        body = lines
        if kind not in ("FILE_CHECK", "MISC_CHECK"):
            body = f"connect_ip 127.0.0.1\nconnect_port {listens()}\nconnect_timeout 1\n{lines}"
        servers.append(f"real_server 127.0.9.{index + 1} 80 {{\n{kind} {{\n{body}\n}}\n}}")
    # Whatever the defaults are, one failure is enough here.
    return f"""
global_defs {{
    script_user root
    enable_script_security
}}
SSL {{
    ca {folder}/authority.pem
    certificate {folder}/client.pem
    key {folder}/client.key
    password secret
}}
track_file one {{
    file {folder}/one
}}
track_file none {{
    file {folder}/none
}}
virtual_server 192.0.2.1 80 {{
    delay_loop 1
    delay_before_retry 1
    retry 1
    warmup 0
    lb_algo rr
    lb_kind NAT
    protocol TCP
{chr(10).join(servers)}
}}
"""


def last(checker: Checker, check: str) -> list[CheckVerdict]:
    """What was told of a check last: nothing, of one that could never be made."""
    return checker.verdicts.get(check, [])[-1:]


def in_a_namespace(folder: Path) -> None:
    """What the test runs alone in a network namespace; the two lists of those that are down, as JSON."""
    for words in (
        "link set lo up",
        "link add other type veth peer name far",
        "link set other up",
        # Before the rule for local addresses, which is moved back for it.
        "rule add pref 10 lookup local",
        "rule del pref 0",
        "rule add pref 5 fwmark 7 unreachable",
    ):
        subprocess.run(["ip", *words.split()], check=True)
    Path("/proc/sys/net/ipv4/ping_group_range").write_text("0 2147483647", encoding="ascii")
    (folder / "one").write_text("0\n", encoding="ascii")
    global authority
    authority = Authority(folder)
    for name, days in (("good", 20), ("expired", -1)):
        authority.issue(name, days=days)
    authority.issue("client", password="secret")
    Authority(folder, "other")
    file = folder / "keepalived.conf"
    file.write_text(configuration(folder), encoding="utf-8")
    shim = folder / "shim.so"
    source = ROOT / "bench" / "checker_ipvs_shim.c"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", shim, source, "-ldl"], check=True)
    with (folder / "log").open("w", encoding="utf-8") as log:
        keepalived = subprocess.Popen(
            ["keepalived", "-C", "-n", "-l", "-f", file, "-p", folder / "p", "-c", folder / "c"],
            env={**os.environ, "LD_PRELOAD": str(shim)}, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            time.sleep(1)
            # keepalived says nothing of a server that is down because of its file from the start.
            (folder / "one").write_text("1\n", encoding="ascii")
            time.sleep(SECONDS - 1)
        finally:
            keepalived.send_signal(signal.SIGTERM)
            keepalived.wait(10)
    text = (folder / "log").read_text(encoding="utf-8").partition("Stopping")[0]
    theirs: dict[int, bool] = {}
    for change, index in re.findall(r"(Removing|Adding) service \[127\.0\.9\.(\d+)\]", text):
        theirs[int(index) - 1] = change == "Removing"
    compiled = compile_file(file)
    assert compiled.configuration is not None, compiled.diagnostics
    section = compiled.configuration.checker
    checker = Checker(section=section)
    checker.run(seconds=SECONDS)
    (virtual,) = compiled.configuration.ipvs.virtual_servers
    ours = [
        index
        for index, server in enumerate(virtual.real_servers)
        if any(told.verdict is Verdict.DOWN for use in server.checks for told in last(checker, use.check))
    ]
    print(json.dumps([sorted(index for index, down in theirs.items() if down), ours]))


def test_verdicts_are_keepaliveds(tmp_path: Path) -> None:
    result = subprocess.run(
        ["unshare", "-n", sys.executable, __file__, str(tmp_path)],
        capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    theirs, ours = json.loads(result.stdout.splitlines()[-1])
    names = list(CASES)
    down = {name for name, (*_, up) in CASES.items() if not up}
    assert {names[index] for index in ours} == down
    assert {names[index] for index in theirs} == down ^ DEFECTS


if __name__ == "__main__":
    in_a_namespace(Path(sys.argv[1]))
