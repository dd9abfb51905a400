"""What must not hurt checker: few descriptors, and servers of every kind that answer with ten megabytes."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from checker_node import Node
from checker_peers import UdpServer, dns_answer, smtp
from checker_servers import HELLO, Server, answer, check, page, tls_context

from keepbus.config.model import Check, CheckKind, DnsQuestion, Regex, UdpExchange
from keepbus.contracts.checker import CheckVerdict, Verdict

TCP, HTTP, SSL, SMTP = CheckKind.TCP_CHECK, CheckKind.HTTP_GET, CheckKind.SSL_GET, CheckKind.SMTP_CHECK
DNS, UDP = CheckKind.DNS_CHECK, CheckKind.UDP_CHECK
TEN_MEGABYTES = b"\xff" * 10_000_000


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    one = Node(tmp_path / "run")
    yield one
    one.close()


def last(node: Node, *names: str) -> dict[str, CheckVerdict]:
    told = {name: node.verdict(name) for name in names}
    return {name: verdict for name, verdict in told.items() if verdict is not None and verdict.probes}


@pytest.fixture
def deaf() -> Iterator[int]:
    """A port whose queue is full: connections to it hang."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for connection in waiting:
            connection.setblocking(False)
            connection.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
        for connection in waiting:
            connection.close()


def test_r_f43_with_few_descriptors_checks_wait_for_each_other_and_nothing_fails(
    node: Node, deaf: int
) -> None:
    """16 probes at a time are what 400 descriptors leave: 100 checks, 20 of them of a server that hangs."""
    server = Server(answer(HELLO), reads=False)
    good = [check(TCP, server.port, name=f"good{index}") for index in range(80)]
    hanging = [check(TCP, deaf, name=f"deaf{index}", connect_timeout_us=200_000) for index in range(20)]
    names = [one.id for one in (*good, *hanging)]
    node.start([*hanging, *good], through=["prlimit", "--nofile=400:400"])
    node.wait(lambda: last(node, *names).keys() == set(names), seconds=30)
    verdicts = {name: told.verdict for name, told in last(node, *names).items()}
    assert verdicts == {name: Verdict.UP if "good" in name else Verdict.DOWN for name in names}
    node.wait(lambda: bool(node.bodies("statistics")))
    assert node.bodies("statistics")[-1].local_errors == {}
    assert len(os.listdir(f"/proc/{node.checker.pid}/fd")) < 100
    server.close()


def pour(octets: bytes = TEN_MEGABYTES, head: bytes = b"HTTP/1.1 200 OK\r\n\r\n") -> Callable[..., None]:
    return lambda connection, _request: connection.sendall(head + octets)


def test_r_f78_ten_megabytes_cost_less_than_one_a_probe_and_hold_up_nobody(
    node: Node, tmp_path: Path
) -> None:
    tls = tls_context(tmp_path)
    found, regex = Regex(pattern="hello"), Regex(pattern="needle")
    whole, long_head = "200, 10000000 octets", "head longer than 16384 octets"
    wrong = page("/", digest="0" * 32)
    question, exchange = DnsQuestion(), UdpExchange(require_reply=True, reply_pattern="01")
    friend = Server(answer(HELLO))
    resolver = UdpServer(lambda query: [dns_answer(query)])
    echo = UdpServer(lambda query: [b"\x01"])
    mail = Server(smtp(b"220 x\r\n", b"250 x\r\n", b"221 x\r\n"), reads=False)
    safe = Server(answer(HELLO), tls=tls)
    quick = {"delay_loop_us": 50_000, "urls": ()}
    friends: list[Check] = [
        check(HTTP, friend.port, name="http", delay_loop_us=50_000, url=page("/", regex=found)),
        check(SSL, safe.port, name="ssl", delay_loop_us=200_000),
        check(SMTP, mail.port, name="smtp", **quick),
        check(DNS, resolver.port, name="dns", dns=question, **quick),
        check(UDP, echo.port, name="udp", udp=exchange, **quick),
    ]
    names = {one.id for one in friends}
    node.start(friends)
    node.wait(lambda: last(node, *names).keys() == names)
    node.listen(seconds=1)
    before = node.memory_kib()
    flood = UdpServer(lambda query: [b"\xff" * 60_000] * 166)
    deluge = UdpServer(lambda query: [query[:2] + b"\x81\x80" + b"\xff" * 60_000] * 166)
    servers = [Server(pour()), Server(pour(head=b"")), Server(pour(), tls=tls)]
    servers.append(Server(pour(head=b""), reads=False))
    slow = {"delay_loop_us": 60_000_000, "connect_timeout_us": 5_000_000}
    hostile = {
        check(HTTP, servers[0].port, name="h-body", **slow): whole,
        check(HTTP, servers[0].port, name="h-regex", url=page("/", regex=regex), **slow): whole,
        check(HTTP, servers[0].port, name="h-digest", url=wrong, **slow): "200, 10000000",
        check(HTTP, servers[1].port, name="h-head", **slow): long_head,
        check(SSL, servers[2].port, name="h-ssl", url=page("/", regex=regex), **slow): whole,
        check(SMTP, servers[3].port, name="h-smtp", urls=(), **slow): "greeting: reply longer than 512",
        check(DNS, deluge.port, name="h-dns", dns=question, urls=(), **slow): "answer longer than 4096",
        check(UDP, flood.port, name="h-udp", udp=exchange, urls=(), **slow): "60000 octets, but 0 to 255",
    }
    wanted = {one.id for one in hostile}
    node.messages.clear()
    node.reload([*friends, *hostile])
    node.wait(lambda: last(node, *wanted).keys() == wanted, seconds=40)
    for one, received in hostile.items():
        told = last(node, one.id)[one.id]
        assert told.evidence is not None
        assert told.evidence.received.startswith(received), one.id
    assert node.memory_kib() - before < len(hostile) * 1024
    node.listen(seconds=6)
    for told in last(node, *names).values():
        assert told.verdict is Verdict.UP
        assert told.changes == 1
        assert told.evidence is not None
        assert told.evidence.took_us < 1_000_000
    for server in (*servers, friend, mail, safe, resolver, echo, flood, deluge):
        server.close()  # type: ignore[attr-defined]
