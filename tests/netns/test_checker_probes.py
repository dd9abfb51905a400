"""Every kind of check against real servers on loopback, with the verdicts that keepalived gives."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from checker_servers import (
    HELLO,
    HELLO_MD5,
    Behaviour,
    Checker,
    Server,
    answer,
    check,
    page,
    reset,
    tls_context,
)
from keepbus_checker.effects import AbortProbe, StartProbe, StartProbes
from keepbus_checker.shell import Shell

from keepbus.config.model.checker import Check, CheckKind, StatusRange
from keepbus.contracts.checker import Verdict
from keepbus.runtime.loop import Loop

TCP, HTTP, SSL = CheckKind.TCP_CHECK, CheckKind.HTTP_GET, CheckKind.SSL_GET


class Servers:
    """Makes servers and closes them."""

    def __init__(self) -> None:
        self.all: list[Server] = []

    def __call__(self, behaviour: Behaviour, **settings: object) -> Server:
        self.all.append(Server(behaviour, **settings))  # type: ignore[arg-type]
        return self.all[-1]


@pytest.fixture
def servers() -> Iterator[Servers]:
    made = Servers()
    yield made
    for server in made.all:
        server.close()


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    return tls_context(tmp_path_factory.mktemp("tls"))


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def verdict_of(checker: Checker, one: Check, seconds: float = 6) -> tuple[Verdict, str]:
    checker.run(seconds=seconds, until=lambda checker: checker.decided(one.id))
    return checker.last(one.id).verdict, checker.received(one.id)


def eventually(condition: Callable[[], bool]) -> None:
    """The server's threads see a connection later than the checker does."""
    deadline = time.monotonic() + 5
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)


# TCP_CHECK


def test_a_listening_port_is_up_and_the_connection_is_closed_at_once(servers: Servers) -> None:
    seen: list[bytes] = []
    server = servers(lambda connection, request: seen.append(request))
    assert verdict_of(Checker([one := check(TCP, server.port)]), one) == (Verdict.UP, "connected")
    eventually(lambda: bool(seen))
    assert seen == [b""], "the server saw the end of the connection and nothing else"


def test_a_closed_port_is_down(servers: Servers) -> None:
    one = check(TCP, closed_port())
    assert verdict_of(Checker([one]), one) == (Verdict.DOWN, "connection refused")


def test_a_full_backlog_is_no_connection_in_time() -> None:
    """A listener that accepts nobody: the kernel drops what its queue does not hold."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        waiting = [socket.socket() for _ in range(3)]
        for connection in waiting:
            connection.setblocking(False)
            connection.connect_ex(("127.0.0.1", port))
        one = check(TCP, port, connect_timeout_us=500_000)
        assert verdict_of(Checker([one]), one) == (Verdict.DOWN, "no connection within 0.5 s")
        for connection in waiting:
            connection.close()


def test_bindto_and_bind_port_are_where_the_connection_comes_from(servers: Servers) -> None:
    server = servers(lambda connection, request: None)
    free = closed_port()
    one = check(TCP, server.port, bind_address="127.0.0.9", bind_port=free)
    assert verdict_of(Checker([one]), one)[0] is Verdict.UP
    eventually(lambda: bool(server.peers))
    assert server.peers[0] == ("127.0.0.9", free)


def test_an_address_that_is_not_ours_is_no_failure_of_the_target(servers: Servers) -> None:
    """Reference 13.1: failures of our own making do not count."""
    server = servers(lambda connection, request: None)
    one = check(TCP, server.port, bind_address="192.0.2.77")
    checker = Checker([one]).run(seconds=2.5)
    assert checker.last(one.id).verdict is Verdict.UNKNOWN
    assert checker.failures == {}
    assert server.peers == []


@pytest.mark.parametrize("kind", [TCP, HTTP])
def test_a_probe_that_ended_before_its_abort_was_wished_is_no_harm(servers: Servers, kind: CheckKind) -> None:
    """A reload or a stop and the probe's end come in one turn: the machine aborts what is closed already."""
    server = servers(answer(HELLO))
    loop = Loop()
    shell = Shell(loop)
    shell.perform(StartProbes([StartProbe(7, check(kind, server.port), 0)]), 0)
    shell.perform(AbortProbe(7), 0)
    shell.perform(AbortProbe(7), 0)
    eventually(lambda: bool(server.peers))
    shell.perform(StartProbes([StartProbe(8, check(kind, server.port), 0)]), 0)
    shell.perform(AbortProbe(8), 0)


# HTTP_GET

ANSWERS = {
    "200": (answer(HELLO), {}, Verdict.UP, "200, 5 octets"),
    "204 is within the default": (
        answer(b"HTTP/1.1 204 No Content\r\n\r\n"),
        {},
        Verdict.UP,
        "204, 0 octets",
    ),
    "301 is not": (answer(b"HTTP/1.1 301 Moved\r\n\r\n"), {}, Verdict.DOWN, "301, 0 octets"),
    "status_code": (
        answer(b"HTTP/1.0 404 Not Found\r\n\r\n"),
        {"status_codes": (StatusRange(low=200, high=200), StatusRange(low=400, high=404))},
        Verdict.UP,
        "404, 0 octets",
    ),
    "status_code refuses": (
        answer(HELLO),
        {"status_codes": (StatusRange(low=201, high=299),)},
        Verdict.DOWN,
        "200, 5 octets",
    ),
    "digest": (answer(HELLO), {"digest": HELLO_MD5}, Verdict.UP, f"200, 5 octets, MD5 {HELLO_MD5}"),
    "digest of what Content-Length covers": (
        answer(HELLO + b" and more"),
        {"digest": HELLO_MD5},
        Verdict.UP,
        f"200, 14 octets, MD5 {HELLO_MD5}",
    ),
    "digest differs": (
        answer(b"HTTP/1.1 200 OK\r\n\r\nbye"),
        {"digest": HELLO_MD5},
        Verdict.DOWN,
        f"200, 3 octets, MD5 bfa99df33b137bc8fb5f5407d7e58da8 instead of {HELLO_MD5}",
    ),
    "less than Content-Length": (
        answer(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello"),
        {},
        Verdict.UP,
        "200, 5 octets",
    ),
    "no answer": (lambda connection, request: None, {}, Verdict.DOWN, "no answer, connection closed"),
    "half a head": (answer(b"HTTP/1.1 200 OK\r\nX: y\r\n"), {}, Verdict.DOWN, "head not complete"),
    "line feeds only": (answer(b"HTTP/1.0 200 OK\n\nhello"), {}, Verdict.DOWN, "head not complete"),
    "garbage": (answer(b"\x00\xff\r\n\r\n\x16\x03"), {}, Verdict.DOWN, "no status code in the answer"),
    "four digits": (answer(b"HTTP/1.1 2000 OK\r\n\r\n"), {}, Verdict.DOWN, "no status code in the answer"),
}


def test_answers_give_the_verdicts_that_keepalived_gives(servers: Servers) -> None:
    checks = {
        name: check(HTTP, servers(behaviour).port, name=name, url=page("/", **url))
        for name, (behaviour, url, _verdict, _received) in ANSWERS.items()
    }
    checker = Checker(list(checks.values())).run(seconds=8, until=lambda checker: checker.decided(*checks))
    got = {name: (checker.last(name).verdict, checker.received(name)) for name in checks}
    assert got == {name: (verdict, received) for name, (_, _, verdict, received) in ANSWERS.items()}


def test_a_server_that_holds_the_connection_after_its_answer_fails_by_timeout(servers: Servers) -> None:
    def hold(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(HELLO)
        time.sleep(5)

    one = check(HTTP, servers(hold).port, connect_timeout_us=400_000)
    assert verdict_of(Checker([one]), one) == (Verdict.DOWN, "nothing more of the answer within 0.4 s")


def test_a_reset_after_the_answer_is_a_failure(servers: Servers) -> None:
    def behave(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(HELLO)
        time.sleep(0.1)
        reset(connection)

    one = check(HTTP, servers(behave).port)
    assert verdict_of(Checker([one]), one) == (Verdict.DOWN, "connection reset by peer")


REQUESTS = {
    "1.0": ({}, {}, b"GET / HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nHost: HERE\r\n\r\n"),
    "1.0C": (
        {"http_protocol": "1.0C"},
        {},
        b"GET / HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nConnection: close\r\nHost: HERE\r\n\r\n",
    ),
    "1.1 virtualhost": (
        {"http_protocol": "1.1", "virtualhost": "foo.example"},
        {},
        b"GET / HTTP/1.1\r\nUser-Agent: KeepAliveClient\r\nConnection: close\r\nHost: foo.example\r\n\r\n",
    ),
    "virtualhost of the page": (
        {"virtualhost": "foo.example"},
        {"virtualhost": "bar.example"},
        b"GET / HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nHost: bar.example\r\n\r\n",
    ),
}
"""As captured from keepalived 2.2.7."""


def test_requests_are_keepaliveds(servers: Servers) -> None:
    listening = {name: servers(answer(HELLO)) for name in REQUESTS}
    checks = [
        check(HTTP, listening[name].port, name=name, url=page("/", **url), **settings)
        for name, (settings, url, _octets) in REQUESTS.items()
    ]
    Checker(checks).run(seconds=6, until=lambda checker: checker.decided(*REQUESTS))
    for name, (_settings, _url, octets) in REQUESTS.items():
        here = f"127.0.0.1:{listening[name].port}".encode()
        assert listening[name].requests[0] == octets.replace(b"HERE", here), name


def test_ipv6_is_reached_and_named_in_brackets() -> None:
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 on loopback")
    requests: list[bytes] = []
    with listener:
        port = listener.getsockname()[1]
        listener.settimeout(5)
        one = check(HTTP, port, address="::1")
        checker = Checker([one])

        def serve() -> None:
            connection, _ = listener.accept()
            requests.append(connection.recv(4096))
            connection.sendall(HELLO)
            connection.close()

        threading.Thread(target=serve, daemon=True).start()
        assert verdict_of(checker, one)[0] is Verdict.UP
    assert f"Host: [::1]:{port}\r\n".encode() in requests[0]
    assert checker.last(one.id).target == f"[::1]:{port}"


# SSL_GET


def test_tls_with_a_self_signed_certificate_is_up(servers: Servers, tls: ssl.SSLContext) -> None:
    one = check(SSL, servers(answer(HELLO), tls=tls).port, url=page("/", digest=HELLO_MD5))
    assert verdict_of(Checker([one]), one) == (Verdict.UP, f"200, 5 octets, MD5 {HELLO_MD5}")


def test_the_server_is_named_in_the_handshake_only_when_configured(servers: Servers, tmp_path: Path) -> None:
    context = tls_context(tmp_path)
    names: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    port = servers(answer(HELLO), tls=context).port
    named, unnamed = check(SSL, port, name="named", sni_name="www.example"), check(SSL, port, name="unnamed")
    Checker([named, unnamed]).run(seconds=6, until=lambda checker: checker.decided("named", "unnamed"))
    assert set(names) == {"www.example", None}


def test_a_large_page_through_tls_is_read_to_its_end(servers: Servers, tls: ssl.SSLContext) -> None:
    body = b"0123456789abcdef" * 65536
    octets = b"HTTP/1.1 200 OK\r\n\r\n" + body
    one = check(SSL, servers(answer(octets), tls=tls).port)
    assert verdict_of(Checker([one]), one) == (Verdict.UP, f"200, {len(body)} octets")


def test_what_speaks_no_tls_is_down(servers: Servers) -> None:
    one = check(SSL, servers(answer(HELLO), reads=False).port)
    verdict, received = verdict_of(Checker([one]), one)
    assert verdict is Verdict.DOWN
    # It ends with our greeting unread, and the kernel may tell us of that first.
    assert received.startswith(("TLS handshake failed: ", "connection reset by peer"))


def test_a_server_that_never_answers_the_handshake_is_down(servers: Servers) -> None:
    one = check(SSL, servers(lambda *_: time.sleep(5), reads=False).port, connect_timeout_us=400_000)
    assert verdict_of(Checker([one]), one) == (Verdict.DOWN, "no TLS handshake within 0.4 s")


def test_a_server_that_goes_away_in_the_handshake_is_down(servers: Servers) -> None:
    def go(connection: socket.socket, _request: bytes) -> None:
        connection.recv(100)
        reset(connection)

    one = check(SSL, servers(go, reads=False).port)
    verdict, received = verdict_of(Checker([one]), one)
    assert (verdict, received) == (Verdict.DOWN, "connection reset by peer")


def test_a_name_that_no_handshake_can_carry_is_no_failure_of_the_target(
    servers: Servers, tls: ssl.SSLContext
) -> None:
    one = check(SSL, servers(answer(HELLO), tls=tls).port, sni_name="." * 300)
    checker = Checker([one]).run(seconds=2.5)
    assert checker.last(one.id).verdict is Verdict.UNKNOWN
    assert checker.failures == {}
