"""The checker as a process beside a hub: what it says, keeps over a restart, and does at a reload."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from checker_node import Node
from checker_servers import HELLO, Server, answer, check

from keepbus.config.model.checker import CheckKind
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
