"""How a speaker numbers what it says."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from keepbus.bus.client import Speaker, configure, speak_address
from keepbus.bus.codec import WITHDRAWN, decode_header
from keepbus.contracts.message import Header
from keepbus.contracts.notify import Notified
from keepbus.contracts.watchdog import Death


class Wire:
    """A speaker, and what comes out of it."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], run_dir: Path) -> None:
        speak_address(run_dir).parent.mkdir(parents=True)
        self.pull = context.socket(zmq.PULL)
        configure(self.pull)
        self.address = f"ipc://{speak_address(run_dir)}"
        self.pull.bind(self.address)
        self.pull.setsockopt(zmq.RCVTIMEO, 5000)
        self.clock_ns = 1000
        self.speaker = Speaker(
            context, run_dir, node="d1", source="notify", boot="b", wall_ns=lambda: self.clock_ns
        )

    def read(self) -> tuple[str, Header, bytes]:
        topic, header, body = self.pull.recv_multipart()
        return topic.decode(), decode_header(header), body


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    wire = Wire(context, tmp_path)
    yield wire
    wire.speaker.close(0)
    wire.pull.close()
    context.term()


def state(name: str) -> Notified:
    return Notified(
        name=name, life="l", notified=1, pending=0, lost=0, runs=1, failures=0, last_command="", last_exit=0
    )


def test_seq_counts_all_and_nth_each_topic(wire: Wire) -> None:
    wire.speaker.publish(state("a"))
    wire.speaker.publish(state("b"), cause="d1/vrrp/x/1")
    wire.speaker.publish(state("a"))
    wire.speaker.publish(Death(service="vrrp", pid=1))
    headers = [wire.read()[1] for _ in range(4)]
    assert [(header.seq, header.nth) for header in headers] == [(1, 1), (2, 1), (3, 2), (4, 1)]
    assert [header.cause for header in headers] == ["", "d1/vrrp/x/1", "", ""]
    assert headers[2].id == "d1/notify/b/3"


def test_a_repeat_is_the_same_message_sent_later(wire: Wire) -> None:
    wire.speaker.publish(state("a"))
    wire.speaker.publish(Death(service="vrrp", pid=1))
    wire.clock_ns = 5000
    assert wire.speaker.repeat() == 1  # events are not repeated
    _, first, body = wire.read()
    wire.read()
    _, again, same_body = wire.read()
    assert (again.seq, again.nth, again.at_ns) == (first.seq, first.nth, first.at_ns)
    assert (first.sent_ns, again.sent_ns) == (1000, 5000)
    assert body == same_body


def test_a_withdrawn_object_that_comes_again_is_news(wire: Wire) -> None:
    wire.speaker.publish(state("a"))
    wire.speaker.withdraw("state/notify/object/a")
    wire.speaker.publish(state("a"))
    read = [wire.read() for _ in range(3)]
    assert [header.nth for _, header, _ in read] == [1, 2, 3]
    assert read[1][2] == WITHDRAWN == b"\xc0"
    assert wire.speaker.repeat() == 1


def repeated(wire: Wire) -> list[str]:
    return [wire.read()[0].rpartition("/")[2] for _ in range(wire.speaker.repeat())]


def test_what_was_not_sent_for_the_longest_time_is_repeated_first(wire: Wire) -> None:
    for number in range(50):
        wire.speaker.publish(state(f"n{number}"))
        wire.read()
    assert repeated(wire) == [f"n{number}" for number in range(5)], "so much was said just now"
    assert repeated(wire) == [f"n{number}" for number in range(5, 25)]
    for name in ("n26", "n7", "n26"):
        wire.speaker.publish(state(name))
        wire.read()
    wire.speaker.withdraw("state/notify/object/n27")
    wire.read()
    assert repeated(wire) == ["n25", *(f"n{number}" for number in range(28, 43))], "16, for 4 were said"
    assert repeated(wire) == [*(f"n{number}" for number in (*range(43, 50), *range(7), *range(8, 14)))]


def test_a_few_states_are_repeated_each_time(wire: Wire) -> None:
    for name in "abc":
        wire.speaker.publish(state(name))
        wire.read()
    assert [repeated(wire) for _ in range(3)] == [["a", "b", "c"]] * 3


def test_all_is_repeated_within_thirty_calls_however_much_it_is(wire: Wire) -> None:
    for number in range(1200):
        wire.speaker.publish(state(f"n{number}"))
        wire.read()
    repeated(wire)
    assert len({name for _ in range(30) for name in repeated(wire)}) == 1200


def test_a_hub_that_is_connected_anew_is_told_everything_soon(wire: Wire) -> None:
    for number in range(250):
        wire.speaker.publish(state(f"n{number}"))
        wire.read()
    repeated(wire)
    assert len(repeated(wire)) == 20, "the first connection is no reason to hurry"
    pull = wire.pull.context.socket(zmq.PULL)
    wire.pull.close(0)
    pull.setsockopt(zmq.RCVTIMEO, 5000)
    pull.bind(wire.address)
    wire.pull = pull
    deadline = time.monotonic() + 10
    while wire.speaker.repeat() < 100:  # until it notices
        assert time.monotonic() < deadline
        time.sleep(0.01)
    counts = [wire.speaker.repeat() for _ in range(4)]
    assert counts == [100, 50, 20, 20]
