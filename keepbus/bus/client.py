"""A service's two sockets: one to speak, one to listen.

Law of this file: nothing here waits. A message that the hub does not take is counted and heals by the
repeat of its state; a repeat, a replay and anything older than what is known are recognised by their header
and never reach the reader; a hole in nth is a loss and is counted.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import zmq

from keepbus.bus.codec import (
    MAX_MESSAGE_OCTETS,
    WITHDRAWN,
    Rejected,
    decode_body,
    decode_header,
    decode_topic,
    digest,
    encode_body,
    encode_header,
)
from keepbus.contracts.common import Gap, Reject
from keepbus.contracts.message import ENVELOPE_VERSION, Body, Header, Kind, Message, topic_of

_MOST_MESSAGES_PER_READ = 500
_STATES_PER_CALL = 20
"""What was said anew since the last call of `repeat` counts, so that a busy speaker repeats less."""
_LEAST_REPEATS_PER_CALL = 5
_MOST_CALLS_PER_CYCLE = 30
"""After so many calls a speaker that says nothing new has repeated everything, however much it is."""
_HURRIED_STATES_PER_CALL = 100
"""While a hub that has just been connected does not know everything."""
_HIGH_WATER_MARK = 10_000
_MOST_UNTOLD = 1000
"""Gaps and rejects that are kept for a caller who does not take them."""
_MOST_COUNTED = (1 << 63) - 1
"""A number may come from a liar; what is counted must still fit a message."""
_STATE_PREFIX = f"{Kind.STATE}/"


def speak_address(run_dir: Path) -> Path:
    """Where services write to: the hub's PULL socket."""
    return run_dir / "bus" / "speak" / "socket"


def listen_address(run_dir: Path) -> Path:
    """Where everybody reads from: the hub's XPUB socket."""
    return run_dir / "bus" / "listen" / "socket"


def configure(socket: zmq.Socket[bytes]) -> None:
    """The options that every socket of the bus has."""
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_OCTETS)
    socket.setsockopt(zmq.RECONNECT_IVL, 1)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, 100)
    socket.setsockopt(zmq.SNDHWM, _HIGH_WATER_MARK)
    socket.setsockopt(zmq.RCVHWM, _HIGH_WATER_MARK)


@dataclass(slots=True)
class Counters:
    """What went wrong between this process and the bus since its start."""

    lost: int = 0
    rejected: int = 0
    unsent: int = 0


class Listener:
    """The socket to listen: decodes, skips what is known, finds holes."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        run_dir: Path,
        topics: Iterable[str],
        *,
        own_states: str = "",
        own_boot: str | None = None,
    ) -> None:
        """topics are prefixes; an empty string is everything.

        What own_boot says under the prefix own_states is the reader's own, and is not given to it.
        """
        self._own_states = own_states
        self._own_boot = own_boot
        self._socket = context.socket(zmq.SUB)
        configure(self._socket)
        for topic in topics:
            self._socket.subscribe(topic)
        self._socket.connect(f"ipc://{listen_address(run_dir)}")
        # ZeroMQ's descriptor tells of a change only once; this one keeps the loop awake for what was left.
        self._leftover = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._last: dict[str, tuple[str, int]] = {}
        self._boots: dict[str, str] = {}
        self.heard_own = False
        """True when a message of own_boot under own_states has come: the hub has given what it had before."""
        self.counters = Counters()
        self.gaps: deque[Gap] = deque(maxlen=_MOST_UNTOLD)
        """The last holes found since the caller emptied it."""
        self.rejects: deque[Reject] = deque(maxlen=_MOST_UNTOLD)
        """The last messages refused since the caller emptied it."""

    def filenos(self) -> tuple[int, int]:
        """Descriptors to watch for reading; `receive` serves both."""
        return int(self._socket.getsockopt(zmq.FD)), self._leftover

    def subscribe(self, topic: str) -> None:
        """Hear this prefix too; the hub answers with the retained states under it."""
        self._socket.subscribe(topic)

    def unsubscribe(self, topic: str) -> None:
        """Hear this prefix no more, as far as no other one covers it."""
        self._socket.unsubscribe(topic)

    def receive(self, *, repeats: bool = False, limit: int = _MOST_MESSAGES_PER_READ) -> list[Message]:
        """Messages that wait, news only unless `repeats`."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._leftover)
        messages: list[Message] = []
        for _ in range(limit):
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return messages
            try:
                message = self._accept(frames, repeats)
            except Rejected as error:
                self.counters.rejected += 1
                self.rejects.append(
                    Reject(
                        reason=error.reason,
                        length=sum(map(len, frames)),
                        digest=digest(frames),
                        peer="",
                        count=self.counters.rejected,
                    )
                )
                continue
            if message is not None:
                messages.append(message)
        os.eventfd_write(self._leftover, 1)
        return messages

    def close(self) -> None:
        """Close without waiting."""
        self._socket.close()
        os.close(self._leftover)

    def _accept(self, frames: Sequence[bytes], repeats: bool) -> Message | None:
        if len(frames) != 3:
            raise Rejected("frames", f"3 frames expected, got {len(frames)}")
        topic = decode_topic(frames[0])
        header = decode_header(frames[1])
        boot, nth = self._last.get(topic, ("", 0))
        if header.boot == boot:
            if header.nth <= nth and not (repeats and header.nth == nth):
                return None
            expected = nth + 1
        else:
            # A new boot begins at 1; on a topic not heard before we may simply have come later.
            expected = 1 if boot else header.nth
        own = header.boot == self._own_boot and topic.startswith(self._own_states)
        self.heard_own = self.heard_own or own
        body = None if own or frames[2] == WITHDRAWN else decode_body(topic, frames[2])
        if header.nth > expected:
            lost = header.nth - expected
            self.counters.lost = min(self.counters.lost + lost, _MOST_COUNTED)
            self.gaps.append(
                Gap(topic=topic, source=header.source, boot=header.boot, lost=lost, after_nth=expected - 1)
            )
        # One text for each process that speaks, not one for each topic.
        self._last[topic] = (self._boots.setdefault(header.boot, header.boot), header.nth)
        return None if own else Message(topic, header, body)


class Speaker:
    """The socket to speak: numbers, sends, and repeats this process's states."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        run_dir: Path,
        *,
        node: str,
        source: str,
        boot: str,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._socket = context.socket(zmq.PUSH)
        configure(self._socket)
        self._connections = self._socket.get_monitor_socket(zmq.Event.HANDSHAKE_SUCCEEDED)
        self._was_connected = False
        self._hurried = 0
        """How many states are still to be repeated because the hub may be a new one."""
        self._socket.connect(f"ipc://{speak_address(run_dir)}")
        self._node = node
        self._source = source
        self._boot = boot
        self._wall_ns = wall_ns
        self._seq = 0
        self._nth: dict[str, int] = {}
        """Of topics that have no state."""
        self._states: dict[str, tuple[Header, bytes]] = {}
        """In the order in which they were sent, the one that was not for the longest time first."""
        self._states_sent = 0
        """Since the last call of `repeat`."""
        self.counters = Counters()

    def publish(self, body: Body, cause: str = "") -> str:
        """Send a body under its topic; the id of the message. A state is kept and repeated."""
        return self._send(topic_of(body, self._source), encode_body(body), cause)

    def withdraw(self, topic: str, cause: str = "") -> str:
        """Say that the object of a state topic is no more; the id of the message.

        nth goes on counting: began it anew, readers would take a new object of that name for old copies.
        """
        identity = self._send(topic, WITHDRAWN, cause)
        self._nth[topic] = self._states.pop(topic)[0].nth
        return identity

    def states(self) -> frozenset[str]:
        """State topics that this process has published and not withdrawn."""
        return frozenset(self._states)

    def repeat(self) -> int:
        """Send the few states again that were not sent for the longest time; how many.

        Call it about once a second.
        """
        with contextlib.suppress(zmq.Again):
            while True:
                self._connections.recv_multipart(zmq.NOBLOCK)
                # What was said before the first connection waited for it.
                self._hurried = len(self._states) if self._was_connected else 0
                self._was_connected = True
        ordinary = max(_STATES_PER_CALL, -(-len(self._states) // _MOST_CALLS_PER_CYCLE))
        most = max(ordinary - self._states_sent, _LEAST_REPEATS_PER_CALL)
        if self._hurried:
            most = max(most, min(self._hurried, _HURRIED_STATES_PER_CALL))
            self._hurried = max(self._hurried - most, 0)
        self._states_sent = 0
        batch = list(islice(self._states, most))
        for topic in batch:
            header, frame = self._states[topic] = self._states.pop(topic)
            self._transmit(topic, encode_header(header, self._wall_ns()), frame)
        return len(batch)

    def close(self, linger_ms: int = 200) -> None:
        """Close; the last messages have linger_ms to leave."""
        self._socket.disable_monitor()
        self._connections.close(0)
        self._socket.close(linger_ms)

    def _send(self, topic: str, frame: bytes, cause: str) -> str:
        self._seq += 1
        known = self._states.pop(topic, None)
        nth = (self._nth.pop(topic, 0) if known is None else known[0].nth) + 1
        now_ns = self._wall_ns()
        header = Header(
            version=ENVELOPE_VERSION,
            node=self._node,
            source=self._source,
            boot=self._boot,
            seq=self._seq,
            nth=nth,
            at_ns=now_ns,
            sent_ns=now_ns,
            cause=cause,
        )
        if topic.startswith(_STATE_PREFIX):
            self._states[topic] = (header, frame)
            self._states_sent += 1
        else:
            self._nth[topic] = nth
        self._transmit(topic, encode_header(header), frame)
        return header.id

    def _transmit(self, topic: str, header_frame: bytes, frame: bytes) -> None:
        try:
            self._socket.send_multipart((topic.encode(), header_frame, frame), zmq.NOBLOCK)
        except zmq.Again:
            self.counters.unsent += 1
