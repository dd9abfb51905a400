"""The envelope of every message, and the topics.

A message is three frames: topic, header, body. The topic is `kind/owner/noun[/key]`: the kind says whether
the message is state (acted on), an event (told) or a command (asked); the owner is the one service that may
publish it; kind, owner and noun together name the class of the body; the key names the object. Header and
body are msgpack (see `keepbus.bus.codec`). The specification is docs/messages.md.
"""

from __future__ import annotations

import enum
import importlib
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

ENVELOPE_VERSION = 1

_OWNERS = ("audit", "bfd", "checker", "hub", "ipvs", "notify", "vrrp", "watchdog")
"""Each has a file here; what every service says is in common.py."""

# Everything but these is percent-encoded in a topic's key, so that a name with a slash stays one key.
_KEY_SAFE = ":[]@,+=()"


class Kind(enum.StrEnum):
    """First segment of a topic: what a reader may do with the message."""

    STATE = "state"
    EVENT = "event"
    COMMAND = "command"


class Body:
    """Base of every message body: a frozen dataclass that knows its topic and which field is its key."""

    __slots__ = ()
    TOPIC: ClassVar[str] = ""
    KEY: ClassVar[str] = ""


@dataclass(frozen=True, slots=True)
class Header:
    """Who says it, which of his messages it is, and what led to it.

    seq counts every message of one process, nth those on one topic; both from 1, both start again with a
    new boot. A reader finds losses with nth, because it may not subscribe to every topic of a source. A
    repeat of a state carries the same seq, nth and at_ns and a later sent_ns.
    """

    version: int
    node: str
    source: str
    boot: str
    seq: int
    nth: int
    at_ns: int
    """Wall clock, nanoseconds since the epoch: when the content became true."""
    sent_ns: int
    """Wall clock, nanoseconds: when this copy left its publisher."""
    cause: str
    """Id of the message that led to this one; empty when nothing on the bus did."""

    @property
    def id(self) -> str:
        """node/source/boot/seq: unique, and ordered within a boot."""
        return f"{self.node}/{self.source}/{self.boot}/{self.seq}"


@dataclass(frozen=True, slots=True)
class Message:
    """A decoded message, as a subscriber gets it."""

    topic: str
    header: Header
    body: Any


BodyT = TypeVar("BodyT", bound=type[Body])

_registry: dict[str, type[Body]] = {}
_learned: set[str] = set()
"""Owners whose contracts are registered."""


def contract(topic: str, *, key: str = "") -> Callable[[BodyT], BodyT]:
    """Register a body class under its topic `kind/owner/noun`.

    owner may be `*` for what every service publishes; the publishing service's name then takes its place.
    key names the field whose value becomes the last segment of the topic.
    """

    def register(cls: BodyT) -> BodyT:
        cls.TOPIC = topic
        cls.KEY = key
        _registry[topic] = cls
        return cls

    return register


def contracts() -> dict[str, type[Body]]:
    """All topics and their body classes, sorted by topic."""
    for owner in _OWNERS:
        _learn(owner)
    return dict(sorted(_registry.items()))


def topic_of(body: Body, source: str) -> str:
    """The topic on which `source` publishes this body."""
    topic = body.TOPIC.replace("*", source, 1)
    if not body.KEY:
        return topic
    return f"{topic}/{quote(str(getattr(body, body.KEY)))}"


def quote(key: str) -> str:
    """A key as a topic segment."""
    return urllib.parse.quote(key, safe=_KEY_SAFE)


def body_class(topic: str) -> type[Body] | None:
    """The body class for a topic, None when no contract knows it."""
    segments = topic.split("/", 3)
    if len(segments) < 3:
        return None
    kind, owner, noun = segments[:3]
    found = _registry.get(f"{kind}/{owner}/{noun}") or _registry.get(f"{kind}/*/{noun}")
    return body_class(topic) if found is None and _learn(owner) else found


def owner_of(topic: str) -> str:
    """The service that may publish this topic; empty when the topic is malformed."""
    segments = topic.split("/", 3)
    return segments[1] if len(segments) >= 3 else ""


def _learn(owner: str) -> bool:
    """Import what this owner may publish; True when that is new."""
    if owner in _learned or owner not in _OWNERS:
        return False
    _learned.add(owner)
    for name in ("common", owner):
        importlib.import_module(f"keepbus.contracts.{name}")
    return True
