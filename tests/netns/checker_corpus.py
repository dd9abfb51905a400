"""The checks that keepalived's checkers and keepbus's are both given: what each asks, and of whom."""

from __future__ import annotations

import hashlib
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from checker_authority import Authority
from checker_peers import UdpServer, dns_answer, smtp
from checker_servers import Server, answer


class Scene:
    """What servers need to know of the run."""

    authority: Authority | None = None
    began_s = 0.0
    """When the program that is being looked at was started."""


GREETING, HELLO, BYE = b"220 here\r\n", b"250 hello\r\n", b"221 bye\r\n"
RECORD = b"\xc0\x0c\0\x01\0\x01\0\0\x0e\x10\0\x04\xc0\0\x02\x01"
EARLY_S = 2.5


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
        assert Scene.authority is not None
        return Server(answer(HELLO_WORLD), tls=Scene.authority.server(name, wants)).port

    return listens


def answers(*wanted: bytes) -> Callable[[], int]:
    """A server that finds the page only if the request has all of these lines."""

    def behave(connection: socket.socket, request: bytes) -> None:
        found = all(line + b"\r\n" in request for line in wanted)
        connection.sendall(HELLO_WORLD if found else b"HTTP/1.1 404 Not Found\r\n\r\n")

    return lambda: Server(behave).port


def greets(name: bytes) -> Callable[[], int]:
    """A mail server that wants to hear this name."""

    def behave(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(GREETING)
        connection.sendall(HELLO if connection.recv(99) == b"HELO " + name + b"\r\n" else b"550 who\r\n")
        connection.recv(99)
        connection.sendall(BYE)

    return lambda: Server(behave, reads=False).port


def serves(*, early: bool) -> Callable[[], int]:
    """A server whose page is there in the first seconds of a program's life only, or only after them."""

    def behave(connection: socket.socket, _request: bytes) -> None:
        is_early = time.monotonic() < Scene.began_s + EARLY_S
        connection.sendall(HELLO_WORLD if is_early is early else b"HTTP/1.1 503 No\r\n\r\n")

    return lambda: Server(behave).port


def named(name: str) -> Callable[[], int]:
    """A TLS server that shakes hands with those only who name it so."""

    def listens() -> int:
        assert Scene.authority is not None
        context = Scene.authority.server("good")
        context.sni_callback = lambda _socket, asked, _context: (
            None if asked == name else int(ssl.AlertDescription.ALERT_DESCRIPTION_UNRECOGNIZED_NAME)
        )
        return Server(answer(HELLO_WORLD), tls=context).port

    return listens


HELLO_WORLD = b"HTTP/1.1 200 OK\r\n\r\nHello, world.\r\nGood night.\r\n"
WEB = "url {\npath /\nstatus_code 200\n}"
DNS, SMTP, TCP, HTTP, UDP = "DNS_CHECK", "SMTP_CHECK", "TCP_CHECK", "HTTP_GET", "UDP_CHECK"
SSL = "SSL_GET"
PAGE = web(HELLO_WORLD)
CUT = web(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHello, world.\r\n")
FLEETING, TARDY = serves(early=True), serves(early=False)
DIGEST = hashlib.md5(b"Hello, world.\r\nGood night.\r\n", usedforsecurity=False).hexdigest()
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
    "bindto": (TCP, "bindto 127.0.0.67", PAGE, True),
    "bindto whom no route is for": (TCP, "bindto 127.0.0.66", PAGE, False),
    "bind_port that no route is for": (TCP, "bindto 127.0.0.1\nbind_port 7777", PAGE, False),
    "bind_port alone": (TCP, "bind_port 7777", PAGE, False),
    "digest": (HTTP, f"url {{\npath /\ndigest {DIGEST}\n}}", PAGE, True),
    "digest of another page": (HTTP, f"url {{\npath /\ndigest {DIGEST[::-1]}\n}}", PAGE, False),
    "virtualhost": (HTTP, f"virtualhost www.example\n{WEB}", answers(b"Host: www.example"), True),
    "virtualhost of another": (HTTP, f"virtualhost x.example\n{WEB}", answers(b"Host: www.example"), False),
    "virtualhost of a url": (
        HTTP, f"virtualhost x\n{WEB[:-1]}virtualhost www.example\n}}", answers(b"Host: www.example"), True,
    ),
    "http_protocol 1.1": (
        HTTP, f"http_protocol 1.1\n{WEB}", answers(b"GET / HTTP/1.1", b"Connection: close"), True,
    ),
    "http_protocol 1.0": (HTTP, f"http_protocol 1.0\n{WEB}", answers(b"GET / HTTP/1.1"), False),
    "enable_sni": (SSL, f"enable_sni\nvirtualhost www.example\n{WEB}", named("www.example"), True),
    "enable_sni of another": (SSL, f"enable_sni\nvirtualhost x.example\n{WEB}", named("www.example"), False),
    "sni that is wanted": (SSL, WEB, named("www.example"), False),
    "sni_name": (SSL, f"enable_sni\nsni_name www.example\n{WEB}", named("www.example"), True),
    "helo_name": (SMTP, "helo_name mail.example", greets(b"mail.example"), True),
    "helo_name of another": (SMTP, "helo_name x.example", greets(b"mail.example"), False),
    "smtp host": (
        SMTP, "host {\nconnect_ip 127.0.0.1\nconnect_port PORT\nconnect_timeout 1\n}",
        mail(GREETING, HELLO, BYE), True,
    ),
    "smtp host that is not there": (
        SMTP, "host {\nconnect_ip 127.0.0.1\nconnect_port 9\nconnect_timeout 1\n}",
        mail(GREETING, HELLO, BYE), False,
    ),
    "misc user": ("MISC_CHECK", 'misc_path "/usr/bin/test -w /etc/passwd"\nuser nobody', nobody, False),
    "misc script_user": ("MISC_CHECK", 'misc_path "/usr/bin/test -w /etc/passwd"', nobody, True),
    "gone": (HTTP, WEB, FLEETING, False),
    "gone, retry": (HTTP, f"retry 20\ndelay_before_retry 1\n{WEB}", FLEETING, True),
    "gone, nb_get_retry": (HTTP, f"nb_get_retry 20\ndelay_before_retry 1\n{WEB}", FLEETING, True),
    "gone, delay_before_retry": (HTTP, f"delay_before_retry 60\n{WEB}", FLEETING, True),
    "gone, delay_loop": (HTTP, f"delay_loop 60\n{WEB}", FLEETING, True),
    "gone, retry of the real server": (HTTP, WEB, FLEETING, True),
    "gone, delay_loop of the real server": (HTTP, WEB, FLEETING, True),
    "nobody, warmup": (TCP, "warmup 100000", nobody, True),
    "nobody, warmup of the real server": (TCP, "", nobody, True),
    "alpha": (TCP, "alpha", PAGE, True),
    "nine pages, come back": (HTTP, "\n".join([WEB] * 9), TARDY, False),
    "nine pages, fast_recovery": (HTTP, "\n".join(["fast_recovery", *[WEB] * 9]), TARDY, True),
    "file 1": ("FILE_CHECK", "track_file one\nweight 0", nobody, False),
    "file 1 reverse": ("FILE_CHECK", "track_file one\nweight 0 reverse", nobody, True),
    "file 0": ("FILE_CHECK", "track_file none\nweight 0", nobody, True),
    "file weight": ("FILE_CHECK", "track_file one\nweight -5", nobody, True),
}  # fmt: skip


OF_THE_SERVER = {
    "gone, retry of the real server": "retry 20\ndelay_before_retry 1",
    "gone, delay_loop of the real server": "delay_loop 60\nconnect_timeout 1",
    "nobody, warmup of the real server": "warmup 100000",
}
"""What the real server says of its checks."""


def configuration(folder: Path, ports: Sequence[int]) -> str:
    """One virtual server, for each case a real server with an address of its own on loopback.

    ports: where the servers listen that the cases ask.
    """
    servers = []
    for index, (name, (kind, lines, *_)) in enumerate(CASES.items()):
        body = lines
        if kind not in ("FILE_CHECK", "MISC_CHECK"):
            port = ports[index]
            where = f"connect_ip 127.0.0.1\nconnect_port {port}\nconnect_timeout 1"
            body = f"{where}\n{lines.replace('PORT', str(port))}"
        server = OF_THE_SERVER.get(name, "")
        servers.append(f"real_server 127.0.9.{index + 1} 80 {{\n{server}\n{kind} {{\n{body}\n}}\n}}")
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
    connect_timeout 2
    lb_algo rr
    lb_kind NAT
    protocol TCP
{chr(10).join(servers)}
}}
"""
