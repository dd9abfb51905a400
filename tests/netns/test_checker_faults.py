"""What must not hurt checker: few descriptors."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from checker_node import Node
from checker_servers import HELLO, Server, answer, check

from keepbus.config.model.checker import CheckKind
from keepbus.contracts.checker import CheckVerdict, Verdict

TCP = CheckKind.TCP_CHECK


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
