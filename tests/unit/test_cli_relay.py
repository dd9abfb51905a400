"""What the parent of a node passes on of supervisord's own complaints."""

from __future__ import annotations

import os

from keepbus.cli.relay import Grumbles, Relay

TRACEBACK = b"""Traceback (most recent call last):
  File "supervisor/loggers.py", line 109, in emit
    self.flush()
OSError: [Errno 28] No space left on device
"""


def shown(relay: Relay, reader: int) -> list[str]:
    relay.drain()
    try:
        return os.read(reader, 1 << 16).decode().splitlines()
    except BlockingIOError:
        return []


def test_a_caller_that_hung_up_is_not_told() -> None:
    reader, writer = os.pipe2(os.O_NONBLOCK)
    relay = Relay(writer)
    told = b"error: uncaptured python exception, closing channel <supervisor.http.x (...)>\n"
    os.write(relay.writer, b"a line\n" + told + b"error: of a service\n")
    relay.fill()
    assert shown(relay, reader) == ["a line", "error: of a service"]
    for fd in (reader, writer, relay.reader, relay.writer):
        os.close(fd)


def test_a_traceback_is_a_sentence_and_told_once_in_a_minute() -> None:
    reader, writer = os.pipe2(os.O_NONBLOCK)
    relay = Relay(writer)
    grumbles = Grumbles(relay)
    sentence = "keepbus: supervisord: OSError: [Errno 28] No space left on device"
    os.write(grumbles.writer, TRACEBACK * 3 + TRACEBACK[:50])
    grumbles.fill(100.0)
    assert shown(relay, reader) == [sentence]
    os.write(grumbles.writer, TRACEBACK[50:] + b"Error: another\n")
    grumbles.fill(159.0)
    assert shown(relay, reader) == ["keepbus: supervisord: Error: another"]
    os.write(grumbles.writer, TRACEBACK)
    grumbles.fill(160.1)
    assert shown(relay, reader) == [sentence]
    grumbles.fill(161.0)
    for fd in (reader, writer, relay.reader, relay.writer, grumbles.reader, grumbles.writer):
        os.close(fd)
