"""The hub: what may pass, what is kept, who hears it.

Law of this file: a message passes whole and unchanged, or is refused and counted under one reason; no
message and no listener can make the hub stop. The last message of each state topic is kept and given to
whoever subscribes later. A topic belongs to the service that it names: only its process, running as the
user that owns its lock file, may publish on it (reliability R-B8, R-B13).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from keepbus.bus.codec import (
    MAX_MESSAGE_OCTETS,
    WITHDRAWN,
    Rejected,
    decode_body,
    decode_header,
    decode_topic,
    digest,
)
from keepbus.contracts.common import Reject, Status
from keepbus.contracts.hub import Statistics
from keepbus.contracts.message import Header, Kind, owner_of
from keepbus.runtime.machine import Effect, Event, Exit, Log, Publish, Report, StopRequested
from keepbus_hub.effects import Forward, Inspect
from keepbus_hub.events import Inspected, Owners, Peer, Received, Subscribed

MANY_DESCRIPTORS = 256
"""Reliability R-B1: more connections than a node of ours ever has."""
INSPECTION_NS = 1_000_000_000
"""Reliability R-B3."""
TELLING_NS = 1_000_000_000
"""A reason for refusal is published at most this often."""
STATISTICS_NS = 5_000_000_000

_STATE_PREFIX = f"{Kind.STATE}/".encode()
_COMMAND_PREFIX = f"{Kind.COMMAND}/"


@dataclass(slots=True)
class _Refusal:
    """One reason for which messages were refused."""

    count: int = 0
    tell_at_ns: int = 0
    untold: Reject | None = None


class Machine:
    """Feed it what came; it says what to send to whom."""

    def __init__(self) -> None:
        self._retained: dict[bytes, tuple[Header, tuple[bytes, ...]]] = {}
        self._uids: Mapping[str, int] = {}
        self._refusals: dict[str, _Refusal] = {}
        self._subscriptions = 0
        self._received = 0
        self._forwarded = 0
        self._told: Statistics | None = None
        self._inspect_at_ns = 0
        self._tell_statistics_at_ns = 0
        self._crowded = False

    def turn(self, now_ns: int, events: Sequence[Event]) -> Iterable[Effect]:
        """One turn; see keepbus.runtime.machine."""
        effects: list[Effect] = []
        passed: list[tuple[bytes, ...]] = []
        for event in events:
            kind = type(event)
            if kind is Received:
                self._receive(event, passed)
            elif kind is Subscribed:
                effects += self._subscribe(event)
            elif kind is Owners:
                self._uids = event.uids
            elif kind is Inspected:
                effects += self._inspected(event)
            elif kind is StopRequested:
                effects.append(Exit())
        if passed:
            self._forwarded += len(passed)
            # News before replays: a replayed state is then never older than what its listener has heard.
            effects.insert(0, Forward(tuple(passed)))
        effects += self._tick(now_ns)
        return effects

    def wake_at_ns(self) -> int | None:
        """The next inspection; refusals are told with it."""
        return self._inspect_at_ns

    def _tick(self, now_ns: int) -> Iterable[Effect]:
        for refusal in self._refusals.values():
            if refusal.untold is not None and now_ns >= refusal.tell_at_ns:
                refusal.tell_at_ns = now_ns + TELLING_NS
                yield Publish(refusal.untold)
                refusal.untold = None
        if now_ns < self._inspect_at_ns:
            return
        if not self._inspect_at_ns:
            yield Report(Status.READY, "passes messages on")
        self._inspect_at_ns = now_ns + INSPECTION_NS
        yield Inspect()
        if now_ns >= self._tell_statistics_at_ns:
            self._tell_statistics_at_ns = now_ns + STATISTICS_NS
            statistics = self._statistics()
            if statistics != self._told:
                self._told = statistics
                yield Publish(statistics)

    # Messages

    def _receive(self, event: Received, passed: list[tuple[bytes, ...]]) -> None:
        self._received += 1
        try:
            self._examine(event)
        except Rejected as error:
            self._refuse(error.reason, event.frames, event.peer)
            return
        passed.append(event.frames)

    def _examine(self, event: Received) -> None:
        """Keep the message when it is state. Raises `Rejected` and nothing else."""
        frames = event.frames
        if len(frames) != 3:
            raise Rejected("frames", f"3 frames expected, got {len(frames)}")
        if sum(map(len, frames)) > MAX_MESSAGE_OCTETS:
            raise Rejected("size", "too many octets")
        topic, body = frames[0], frames[2]
        name = decode_topic(topic)
        header = decode_header(frames[1])
        self._check_owner(name, header, event.peer)
        if not topic.startswith(_STATE_PREFIX):
            decode_body(name, body)
            return
        if body == WITHDRAWN:
            self._retained.pop(topic, None)
            return
        kept = self._retained.get(topic)
        if kept is None or kept[1][2] != body:  # a repeat was examined when it came first
            decode_body(name, body)
        if kept is None or kept[0].boot != header.boot or kept[0].nth <= header.nth:
            self._retained[topic] = (header, frames)

    def _check_owner(self, topic: str, header: Header, peer: Peer | None) -> None:
        if topic.startswith(_COMMAND_PREFIX):
            return
        owner = owner_of(topic)
        source, _, number = header.source.rpartition("-")
        # `checker-2` is a process of checker, with a lock of its own.
        if header.source != owner and not (source == owner and number.isdecimal()):
            raise Rejected("owner", f"{owner} expected as source")
        uid = self._uids.get(header.source)
        if uid is None:
            raise Rejected("unlocked", f"nobody holds the lock of {header.source}")
        if peer is not None and peer.uid != uid:
            raise Rejected("uid", f"uid {uid} expected")

    def _refuse(self, reason: str, frames: Sequence[bytes], peer: Peer | None) -> None:
        refusal = self._refusals.setdefault(reason, _Refusal())
        refusal.count += 1
        refusal.untold = Reject(
            reason=reason,
            length=sum(map(len, frames)),
            digest=digest(frames),
            peer="" if peer is None else str(peer),
            count=refusal.count,
        )

    # Listeners

    def _subscribe(self, event: Subscribed) -> Iterable[Effect]:
        """Replay to a listener whose subscription counts; count one whose does not."""
        if event.refusal:
            self._refuse(event.refusal, (event.prefix,), event.peer)
            return
        states = tuple(
            frames for topic, (_, frames) in self._retained.items() if topic.startswith(event.prefix)
        )
        if states:
            yield Forward(states)

    def _inspected(self, event: Inspected) -> Iterable[Effect]:
        self._subscriptions = event.subscriptions
        for name in event.rebound:
            yield Log("warning", f"the socket to {name} had been removed or replaced; bound it anew")
        crowded = event.descriptors > MANY_DESCRIPTORS
        if crowded != self._crowded:
            self._crowded = crowded
            if crowded:
                yield Report(
                    Status.DEGRADED,
                    f"holds {event.descriptors} descriptors, about one per connection; "
                    "look for a program that opens many connections to the bus",
                )
            else:
                yield Report(Status.READY, "passes messages on")

    def _statistics(self) -> Statistics:
        return Statistics(
            received=self._received,
            forwarded=self._forwarded,
            retained=len(self._retained),
            rejected={reason: refusal.count for reason, refusal in sorted(self._refusals.items())},
            subscriptions=self._subscriptions,
        )
