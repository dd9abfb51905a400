"""The hub's rules: what passes, what is kept, what is refused and how often that is told."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keepbus_hub.admission import MOST_PER_PROCESS, Admission
from keepbus_hub.effects import Forward
from keepbus_hub.events import Inspected, Owners, Peer, Received, Subscribed
from keepbus_hub.machine import Machine

from keepbus.bus.codec import MAX_MESSAGE_OCTETS, encode_body, encode_header
from keepbus.contracts.common import Gap, Reject, Service, Status
from keepbus.contracts.message import Body, Header, topic_of
from keepbus.contracts.vrrp import Statistics
from keepbus.runtime.machine import Log, Publish, Report

S = 1_000_000_000
VRRP = Peer(uid=101, gid=100, pid=7)
OTHER = Peer(uid=102, gid=100, pid=8)


def beat(progress: int = 1) -> Service:
    return Service(pid=7, started_ns=1, generation=1, status=Status.READY, detail="", progress=progress)


def message(body: Body, *, nth: int = 1, boot: str = "b", source: str = "vrrp") -> tuple[bytes, bytes, bytes]:
    header = Header(1, "n", source, boot, nth, nth, 5, 5, "")
    return topic_of(body, "vrrp").encode(), encode_header(header), encode_body(body)


def started() -> Machine:
    machine = Machine()
    machine.turn(S, [Owners({"vrrp": 101, "ipvs": 102, "hub": 101})])
    return machine


def feed(machine: Machine, *frames: Any, peer: Peer | None = VRRP, now_ns: int = S) -> list[Any]:
    return list(machine.turn(now_ns, [Received(tuple(frames), peer)]))


def forwarded(effects: list[Any]) -> list[tuple[bytes, ...]]:
    return [frames for effect in effects if isinstance(effect, Forward) for frames in effect.messages]


def refusals(effects: list[Any]) -> list[Reject]:
    return [e.body for e in effects if isinstance(e, Publish) and isinstance(e.body, Reject)]


def listen(machine: Machine, prefix: bytes, refusal: str = "") -> list[Any]:
    return list(machine.turn(2 * S, [Subscribed(prefix, OTHER, refusal)]))


def test_a_good_message_passes_unchanged() -> None:
    frames = message(beat())
    assert forwarded(feed(started(), *frames)) == [frames]


def test_the_last_state_is_replayed_to_who_subscribes_later() -> None:
    machine = started()
    old, new = message(beat(1)), message(beat(2), nth=2)
    other = message(Statistics(name="A"))
    for frames in (old, new, other):
        feed(machine, *frames)
    assert forwarded(listen(machine, b"state/vrrp/service")) == [new]
    assert sorted(forwarded(listen(machine, b""))) == sorted([new, other])
    assert forwarded(listen(machine, b"state/ipvs/")) == []


def test_a_late_copy_of_an_older_state_is_not_kept() -> None:
    machine = started()
    new = message(beat(2), nth=2)
    feed(machine, *new)
    feed(machine, *message(beat(1), nth=1))
    assert forwarded(listen(machine, b"")) == [new]


def test_a_new_boot_begins_anew() -> None:
    machine = started()
    feed(machine, *message(beat(9), nth=9, boot="old"))
    restarted = message(beat(1), nth=1, boot="new")
    feed(machine, *restarted)
    assert forwarded(listen(machine, b"")) == [restarted]


def test_a_withdrawn_state_is_passed_on_and_forgotten() -> None:
    machine = started()
    topic, _, _ = message(beat())
    feed(machine, *message(beat()))
    withdrawal = (topic, message(beat(), nth=2)[1], b"\xc0")
    assert forwarded(feed(machine, *withdrawal)) == [withdrawal]
    assert forwarded(listen(machine, b"")) == []


def test_events_are_not_kept() -> None:
    machine = started()
    body = Reject(reason="r", length=1, digest="d", peer="", count=1)
    frames = message(body)
    assert forwarded(feed(machine, *frames)) == [frames]
    assert forwarded(listen(machine, b"")) == []


def nested(depth: int) -> bytes:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    packed: bytes = msgpack.packb(value)
    return packed


def body_with(**fields: Any) -> bytes:
    packed: bytes = msgpack.packb(
        {"pid": 7, "started_ns": 1, "generation": 1, "status": "ready", "detail": "", "progress": 1} | fields
    )
    return packed


TOPIC, HEADER, BODY = message(beat())
REFUSED = {
    "no frame": ((), VRRP, "frames"),
    "one frame": ((TOPIC,), VRRP, "frames"),
    "four frames": ((TOPIC, HEADER, BODY, b""), VRRP, "frames"),
    "empty frames": ((b"", b"", b""), VRRP, "topic"),
    "unknown topic": ((b"state/vrrp/nonsense", HEADER, BODY), VRRP, "topic"),
    "topic without noun": ((b"state/vrrp", HEADER, BODY), VRRP, "topic"),
    "long topic": ((b"state/vrrp/instance/" + b"x" * 600, HEADER, BODY), VRRP, "topic_size"),
    "topic in UTF-8": (("state/vrrp/instance/ä".encode(), HEADER, BODY), VRRP, "topic"),
    "too large": ((TOPIC, HEADER, b"\xda" + b"x" * MAX_MESSAGE_OCTETS), VRRP, "size"),
    "header no array": ((TOPIC, b"\x01", BODY), VRRP, "header_shape"),
    "header cut": ((TOPIC, HEADER[:-1], BODY), VRRP, "header_msgpack"),
    "other version": ((TOPIC, b"\x99\x02" + HEADER[2:], BODY), VRRP, "version"),
    "body cut": ((TOPIC, HEADER, BODY[:-1]), VRRP, "body_msgpack"),
    "octets after the body": ((TOPIC, HEADER, BODY + b"\x01"), VRRP, "body_msgpack"),
    "nested 1,000 deep": ((TOPIC, HEADER, nested(1000)), VRRP, "body_depth"),
    "nested 100,000 deep": ((TOPIC, HEADER, b"\x91" * 100_000 + b"\x01"), VRRP, "body_msgpack"),
    "an array of four thousand million": ((TOPIC, HEADER, b"\xdd\xff\xff\xff\xff"), VRRP, "body_msgpack"),
    "NaN": ((TOPIC, HEADER, body_with(progress=float("nan"))), VRRP, "body_nan"),
    "a key twice": ((TOPIC, HEADER, b"\x82\xa3pid\x01\xa3pid\x02"), VRRP, "body_msgpack"),
    "an extension type": ((TOPIC, HEADER, b"\xd4\x05\x00"), VRRP, "body_msgpack"),
    "invalid UTF-8": ((TOPIC, HEADER, b"\x81\xa1\xff\x01"), VRRP, "body_msgpack"),
    "a field of another type": ((TOPIC, HEADER, body_with(pid="7")), VRRP, "schema"),
    "an unknown field": ((TOPIC, HEADER, body_with(more=1)), VRRP, "schema"),
    "an event withdrawn": ((b"event/vrrp/reject", HEADER, b"\xc0"), VRRP, "schema"),
    "another source": (message(beat(), source="ipvs"), VRRP, "owner"),
    "another user": (message(beat()), OTHER, "uid"),
    "an owner without a lock": (
        (b"state/notify/service", encode_header(Header(1, "n", "notify", "b", 1, 1, 1, 1, "")), BODY),
        VRRP,
        "unlocked",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("source", "reason"),
    [("checker-2", ""), ("checker-3", "unlocked"), ("checker-x", "owner"), ("checker-", "owner")],
)
def test_a_process_of_a_service_speaks_for_it_by_a_lock_of_its_own(source: str, reason: str) -> None:
    machine = Machine()
    machine.turn(S, [Owners({"checker": 1000, "checker-2": 1000, "checker-x": 1000})])
    body = Gap(topic="t", source="s", boot="b", lost=1, after_nth=1)
    frames = (
        topic_of(body, "checker").encode(),
        encode_header(Header(1, "n", source, "b", 1, 1, 1, 1, "")),
        encode_body(body),
    )
    effects = feed(machine, *frames, peer=Peer(1000, 1000, 7))
    assert [refusal.reason for refusal in refusals(effects)] == ([reason] if reason else [])
    assert len(forwarded(effects)) == (not reason)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_and_under_which_reason(name: str) -> None:
    frames, peer, reason = REFUSED[name]
    machine = started()
    effects = feed(machine, *frames, peer=peer, now_ns=2 * S)
    assert forwarded(effects) == []
    assert [(r.reason, r.count, r.length) for r in refusals(effects)] == [(reason, 1, sum(map(len, frames)))]
    assert forwarded(listen(machine, b"")) == [], "nothing of it is kept"
    assert forwarded(feed(machine, *message(beat()), now_ns=2 * S)), "the hub goes on"


@given(st.lists(st.binary(max_size=200), max_size=5), st.sampled_from([VRRP, OTHER, None]))
def test_no_octets_stop_the_hub(frames: list[bytes], peer: Peer | None) -> None:
    machine = started()
    effects = feed(machine, *frames, peer=peer, now_ns=3 * S)
    assert forwarded(effects) == []
    assert len(refusals(effects)) == 1


@given(st.binary(max_size=300), st.integers(0, 2))
def test_no_octets_in_one_frame_stop_the_hub(octets: bytes, place: int) -> None:
    frames = list(message(beat()))
    frames[place] = octets
    assert len(feed(started(), *frames, now_ns=3 * S)) >= 1


def test_a_flood_is_told_once_a_second_with_its_count() -> None:
    machine = started()
    told = []
    for step in range(300):
        told += [(step, r.count) for r in refusals(feed(machine, b"x", now_ns=10 * S + step * S // 100))]
    assert told == [(0, 1), (100, 101), (200, 201)]
    # What came after the last telling is told when its second is over, without another message.
    assert machine.wake_at_ns() == 13 * S
    assert [r.count for r in refusals(list(machine.turn(13 * S, [])))] == [300]


def test_a_subscription_that_does_not_count_is_told_and_gets_nothing() -> None:
    machine = started()
    feed(machine, *message(beat()))
    effects = listen(machine, b"", "subscriptions")
    assert forwarded(effects) == []
    assert [r.reason for r in refusals(effects)] == ["subscriptions"]


def test_the_sixty_fifth_subscription_of_a_process_does_not_count() -> None:
    door = Admission()
    topics = [b"state/vrrp/instance/%d" % number for number in range(MOST_PER_PROCESS)]
    assert [door.ask(topic, 8) for topic in topics] == [""] * 64
    assert door.ask(b"event/", 8) == "subscriptions"
    assert door.ask(topics[0], 8) == "", "one that it has"
    assert door.ask(b"event/", 7) == "", "another process"
    door.give_back(topics[0], 8)
    assert door.ask(b"event/", 8) == "", "after it gave one back"
    assert door.ask(b"x" * 513, 7) == "subscription_size"
    assert (door.count(), door.pids()) == (65, {7, 8})
    door.forget(8)
    assert (door.count(), door.pids()) == (1, {7})


def test_many_descriptors_and_lost_paths_are_told() -> None:
    machine = started()
    effects = list(machine.turn(2 * S, [Inspected(("listen",), 300, 2)]))
    assert [e.status for e in effects if isinstance(e, Report)] == [Status.DEGRADED]
    assert [e.level for e in effects if isinstance(e, Log)] == ["warning"]
    effects = list(machine.turn(2 * S, [Inspected((), 20, 2)]))
    assert [e.status for e in effects if isinstance(e, Report)] == [Status.READY]
