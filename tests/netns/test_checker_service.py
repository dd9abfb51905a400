"""The checker as a process beside a hub: what it says, keeps over a restart, and does at a reload."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from checker_node import Node
from checker_servers import HELLO, Server, answer, check, page, reset, tls_context

from keepbus.config.model import Check, CheckKind
from keepbus.contracts.checker import Verdict
from keepbus.contracts.common import Status

TCP, HTTP, SSL = CheckKind.TCP_CHECK, CheckKind.HTTP_GET, CheckKind.SSL_GET


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    one = Node(tmp_path / "run")
    yield one
    one.close()


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server(answer(HELLO), reads=False)
    yield one
    one.close()


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def status(node: Node) -> tuple[Status, str]:
    service = node.bodies("service")[-1]
    return service.status, service.detail


def verdicts(node: Node, name: str) -> list[Verdict]:
    return [told.verdict for told in node.bodies("verdict", name) if told is not None]


def test_verdicts_failures_statistics_and_status_are_on_the_bus(node: Node, server: Server) -> None:
    good, bad = check(TCP, server.port, name="good"), check(TCP, closed_port(), name="bad")
    node.start([good, bad])
    node.wait(lambda: bool(node.bodies("statistics")))
    node.wait(lambda: status(node) == (Status.READY, "2 checks of 2 targets: 1 up, 1 down, 0 unknown"))
    told = node.verdict("good")
    assert told is not None
    assert told.evidence is not None
    assert (told.verdict, told.changes, told.evidence.sent) == (Verdict.UP, 1, "TCP connect")
    assert abs(told.evidence.at_ns - time.time_ns()) < 60e9
    failure = node.bodies("failure", "bad")[0]
    assert (failure.attempt, failure.attempts) == (1, 1)
    assert failure.evidence.received == "connection refused"
    statistics = node.bodies("statistics")[-1]
    assert statistics.checks == 2
    assert statistics.probes > statistics.failures > 0


def test_without_checks_it_is_idle(node: Node) -> None:
    node.start([])
    node.wait(lambda: bool(node.bodies("service")) and status(node) == (Status.IDLE, "no checks configured"))


def test_a_verdict_that_stays_is_not_told_at_each_probe(node: Node, server: Server) -> None:
    node.start([check(TCP, server.port, name="one", delay_loop_us=20_000)])
    node.wait(lambda: len(node.bodies("verdict", "one")) == 2)
    first, second = node.bodies("verdict", "one")
    assert second.probes - first.probes > 20
    assert (second.changes, second.since_ns) == (first.changes, first.since_ns)
    assert second.evidence.at_ns - first.evidence.at_ns > 4e9


def test_a_killed_checker_goes_on_where_it_was(node: Node, server: Server) -> None:
    """R-F9: no verdict changes and none becomes unknown; counters go on; the failed server stays down."""
    checks = [check(TCP, server.port, name="good"), check(TCP, closed_port(), name="bad")]
    node.start(checks)
    node.wait(lambda: {v for n in ("good", "bad") for v in verdicts(node, n)} == {Verdict.UP, Verdict.DOWN})
    before = {name: node.verdict(name) for name in ("good", "bad")}
    node.kill()
    node.messages.clear()
    node.start()
    node.wait(lambda: bool(verdicts(node, "good") and verdicts(node, "bad")))
    for name, earlier in before.items():
        told = node.bodies("verdict", name)[0]
        assert earlier is not None
        assert (told.verdict, told.changes, told.since_ns) == (
            earlier.verdict,
            earlier.changes,
            earlier.since_ns,
        )
        assert told.probes >= earlier.probes
        assert told.evidence is not None, "the predecessor's evidence stands until there is a newer one"
    node.listen(seconds=12)  # longer than the time after which states of an earlier process are dropped
    assert set(verdicts(node, "good")) == {Verdict.UP}
    assert set(verdicts(node, "bad")) == {Verdict.DOWN}
    assert None not in node.bodies("verdict")


def test_a_restart_over_a_retry_does_not_take_a_server_out(node: Node, server: Server) -> None:
    """The first failure counts at once at a first start only, not for what an earlier process saw up."""
    one = check(TCP, server.port, name="one", retry=3, delay_before_retry_us=400_000)
    node.start([one])
    node.wait(lambda: verdicts(node, "one") == [Verdict.UP])
    node.kill()
    node.messages.clear()
    server.close()
    node.start()
    node.wait(lambda: Verdict.DOWN in verdicts(node, "one"))
    assert [failure.attempt for failure in node.bodies("failure", "one")] == [1, 2, 3, 4]


def test_a_reload_touches_only_what_changed(node: Node, server: Server) -> None:
    kept = check(TCP, server.port, name="kept")
    removed = check(TCP, closed_port(), name="removed")
    added = check(TCP, closed_port(), name="added", retry=1)
    node.start([kept, removed])
    node.wait(lambda: bool(verdicts(node, "kept") and verdicts(node, "removed")))
    before = node.verdict("kept")
    node.messages.clear()
    node.reload([kept, added])
    node.wait(lambda: node.bodies("verdict", "removed") == [None])
    node.wait(lambda: Verdict.DOWN in verdicts(node, "added"))
    assert [failure.attempt for failure in node.bodies("failure", "added")] == [1, 2], (
        "a reload is no first start"
    )
    node.wait(lambda: node.verdict("kept") is not None)
    after = node.verdict("kept")
    assert before is not None
    assert after is not None
    assert (after.verdict, after.changes, after.since_ns) == (before.verdict, before.changes, before.since_ns)
    assert after.probes > before.probes


def test_a_stopped_checker_leaves_its_verdicts(node: Node, server: Server) -> None:
    node.start([check(TCP, server.port, name="one")])
    node.wait(lambda: verdicts(node, "one") == [Verdict.UP])
    node.checker.terminate()
    assert node.checker.wait(5) == 0
    assert None not in node.bodies("verdict")


# Servers that mean harm (R-F78)


def endless_head(connection: socket.socket, _request: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X-Filler: " + b"y" * 1000 + b"\r\n")


def endless_line(connection: socket.socket, _request: bytes) -> None:
    while True:
        connection.sendall(b"\x00\xffgarbage " * 1000)


def endless_body(connection: socket.socket, _request: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n")
    while True:
        connection.sendall(bytes(65536))


def dribble(connection: socket.socket, _request: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        time.sleep(0.3)
        connection.sendall(b"y")


def half_close(connection: socket.socket, _request: bytes) -> None:
    connection.shutdown(socket.SHUT_WR)
    time.sleep(20)


def bad_chunks(connection: socket.socket, _request: bytes) -> None:
    connection.sendall(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFFFFF\r\n-1\r\nzz"
    )


def reset_at_once(connection: socket.socket, _request: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200")
    reset(connection)


def huge_record(connection: socket.socket, _request: bytes) -> None:
    while True:
        connection.sendall(b"\x16\x03\x03\xff\xff" + bytes(65535))


def tls_dribble(connection: socket.socket, _request: bytes) -> None:
    while True:
        connection.sendall(b"\x16")
        time.sleep(0.3)


HOSTILE = {
    "endless_head": (HTTP, endless_head, Verdict.DOWN, "head longer than 16384 octets"),
    "endless_line": (HTTP, endless_line, Verdict.DOWN, "head longer than 16384 octets"),
    "endless_body": (HTTP, endless_body, Verdict.DOWN, "body longer than 67108864 octets"),
    "dribble": (HTTP, dribble, Verdict.DOWN, "answer not complete within 4 s"),
    "half_close": (HTTP, half_close, Verdict.DOWN, "no answer, connection closed"),
    "bad_chunks": (HTTP, bad_chunks, Verdict.UP, "200, 28 octets"),
    "reset_at_once": (HTTP, reset_at_once, Verdict.DOWN, "connection reset by peer"),
    "huge_record": (SSL, huge_record, Verdict.DOWN, "TLS handshake failed: "),
    "tls_dribble": (SSL, tls_dribble, Verdict.DOWN, "TLS handshake failed: "),
    "tls_endless_head": (SSL, endless_head, Verdict.DOWN, "head longer than 16384 octets"),
}


def test_hostile_servers_cost_neither_memory_nor_anybody_elses_check(node: Node, tmp_path: Path) -> None:
    tls: ssl.SSLContext = tls_context(tmp_path)
    listening: list[Server] = []
    checks: list[Check] = []
    for name, (kind, behaviour, _verdict, _received) in HOSTILE.items():
        talks_tls = name == "tls_endless_head"
        listening.append(Server(behaviour, tls=tls if talks_tls else None, reads=talks_tls or kind is HTTP))
        settings = {"delay_loop_us": 60_000_000, "connect_timeout_us": 400_000}
        if name in ("endless_body", "reset_at_once"):
            settings["connect_timeout_us"] = 3_000_000
        checks.append(check(kind, listening[-1].port, name=name, url=page("/", digest=""), **settings))
    friendly = Server(answer(HELLO))
    listening.append(friendly)
    checks.append(check(HTTP, friendly.port, name="friendly", delay_loop_us=50_000))
    node.start(checks)
    try:
        node.wait(lambda: bool(node.bodies("service")))
        at_start = node.memory_kib()
        node.wait(
            lambda: all(verdicts(node, one.id)[-1:] not in ([], [Verdict.UNKNOWN]) for one in checks),
            seconds=60,
        )
    finally:
        for server in listening:
            server.close()
    for name, (_kind, _behaviour, verdict, received) in HOSTILE.items():
        told = node.verdict(name)
        assert told is not None
        assert told.evidence is not None
        assert (told.verdict, told.evidence.received[: len(received)]) == (verdict, received), name
    assert set(verdicts(node, "friendly")) == {Verdict.UP}
    # Ten probes at 64 KiB would be less than 1 MiB; the rest is what TLS and a running interpreter take.
    assert node.memory_kib() - at_start < 8 * 1024
    friends = node.bodies("verdict", "friendly")
    assert friends[0].evidence.took_us < 1_000_000


@pytest.mark.parametrize("octets", [b"", b"\xc0", b"\x81\xa5check\xa4good"])
def test_malformed_states_in_its_own_name_change_nothing(node: Node, server: Server, octets: bytes) -> None:
    """What claims to be a predecessor's verdict and is none is refused, and nobody dies of it."""
    import zmq

    from keepbus.bus.client import speak_address
    from keepbus.bus.codec import encode_header
    from keepbus.contracts.message import Header

    node.start([check(TCP, server.port, name="one")])
    node.wait(lambda: bool(node.bodies("service")))
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    speaker = context.socket(zmq.PUSH)
    speaker.connect(f"ipc://{speak_address(node.run_dir)}")
    header = Header(1, "node", "checker", "1", 1, 1, 1, 1, "")
    speaker.send_multipart([b"state/checker/verdict/one", encode_header(header), octets])
    node.wait(lambda: Verdict.UP in verdicts(node, "one"))
    speaker.close(0)
    context.term()
