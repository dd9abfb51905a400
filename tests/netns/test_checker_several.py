"""Two checker processes on one bus: each tells its part, and neither touches the other's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from checker_node import Node
from checker_servers import HELLO, Server, answer, check
from keepbus_checker.share import Share

from keepbus.config.model.checker import CheckKind
from keepbus.contracts.checker import Verdict


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    one = Node(tmp_path / "run")
    yield one
    one.close()


def test_each_tells_its_part_and_neither_touches_the_others(node: Node) -> None:
    server = Server(answer(HELLO), reads=False, address="0.0.0.0")
    checks = [
        check(CheckKind.TCP_CHECK, server.port, name=f"c{index}", address=f"127.0.0.{index}")
        for index in range(1, 21)
    ]
    section = node.configure(checks)
    parts = [{one.id for one in Share(number, 2).part(section).checks} for number in (1, 2)]
    names = {one.id for one in checks}

    def start(number: int) -> None:
        node.checker = node.spawn("checker", options=["--share", f"{number}/2"])

    def tellers() -> dict[str, str]:
        return {
            message.body.check: message.header.source
            for message in node.messages
            if message.topic.startswith("state/checker/verdict/") and message.body.verdict is Verdict.UP
        }

    start(2)
    start(1)
    node.wait(lambda: tellers().keys() == names)
    assert tellers() == {name: "checker" if name in parts[0] else "checker-2" for name in names}
    first = node.checker
    first.kill()
    first.wait()
    node.messages.clear()
    start(1)
    # Longer than the time after which states of an earlier process are withdrawn.
    node.listen(seconds=12)
    told = [message for message in node.messages if message.topic.startswith("state/checker/verdict/")]
    assert {message.body and message.body.verdict for message in told} == {Verdict.UP}
    assert {message.header.source for message in told} == {"checker", "checker-2"}
    counted = {
        message.topic: message.body.checks for message in node.messages if "statistics" in message.topic
    }
    assert counted["state/checker/statistics"] == len(parts[0])
    server.close()
