"""`keepbus tap` has a line for every contract."""

from __future__ import annotations

import pytest
from messages_golden import bodies

from keepbus.cli.tap import line
from keepbus.cli.terminal import Paint
from keepbus.contracts.message import Body, Header, Message

BODIES = bodies()


@pytest.mark.parametrize("topic", BODIES)
def test_a_line_says_something_of_the_body(topic: str) -> None:
    body: Body = BODIES[topic]
    header = Header(1, "d1", topic.split("/")[1], "b", 1, 1, 1, 1, "")
    full = line(Message(topic, header, body), 1, Paint(False), None)
    empty = line(Message(topic, header, None), 1, Paint(False), None)
    assert len(full) > len(empty) - len("withdrawn") + 4
