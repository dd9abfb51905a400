"""What happened to one instance or sync group, put together from the journal and the live state. Pure."""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from dataclasses import dataclass, field

from keepbus.cli.journal import Entry
from keepbus.contracts import notify, vrrp
from keepbus.contracts.message import Body


@dataclass(frozen=True, slots=True)
class Held:
    """The virtual addresses of the instance were installed, or removed."""

    addresses: tuple[str, ...]
    held: bool


Now = vrrp.Instance | vrrp.SyncGroup
Told = vrrp.AddressChanged | vrrp.HoldingChanged | vrrp.Resumed | vrrp.PriorityChanged | vrrp.Conflict
"""What belongs to the last transition before it."""
Followed = Held | Told | notify.ScriptRun


@dataclass(slots=True)
class Chapter:
    """A transition and what followed it."""

    life: str
    transition: vrrp.Transition
    followed: list[tuple[int, Followed]] = field(default_factory=list)
    """(wall clock in nanoseconds, what), in the order of time."""


@dataclass(slots=True)
class Story:
    """The chapters of one instance or group, oldest first."""

    name: str
    chapters: list[Chapter] = field(default_factory=list)
    now: Now | None = None
    """Its state on the bus; None when the node does not run."""


def tell(name: str, entries: Iterable[Entry], now: Now | None) -> Story:
    """The story of an instance or group: its transitions by number within their lives, and what followed.

    A script belongs to the transition that it was run for; addresses and resumptions belong to the last
    transition before them.
    """
    chapters: dict[tuple[str, int], Chapter] = {}
    followed: list[tuple[int, Followed]] = []
    holds = False

    def learn(life: str, transition: vrrp.Transition) -> None:
        chapters.setdefault((life, transition.number), Chapter(life, transition))

    for entry in entries:
        body: Body = entry.body
        if (isinstance(body, vrrp.Transitioned) and body.instance == name) or (
            isinstance(body, vrrp.GroupTransitioned) and body.group == name
        ):
            learn(body.life, body.transition)
        elif isinstance(body, vrrp.SyncGroup) and body.name == name:
            for transition in body.history:
                learn(body.life, transition)
        elif isinstance(body, vrrp.Instance) and body.name == name:
            for transition in body.history:
                learn(body.life, transition)
            if body.holds_addresses != holds:
                holds = body.holds_addresses
                followed.append((entry.at_ns, Held(body.virtual_addresses, holds)))
        elif (isinstance(body, Told) and body.instance == name) or (
            isinstance(body, notify.ScriptRun) and body.name in (name, f"GROUP {name}")
        ):
            followed.append((_began_ns(entry.at_ns, body), body))
    for transition in now.history if now is not None else ():
        learn(now.life if now is not None else "", transition)
    story = Story(name, sorted(chapters.values(), key=_order), now)
    began = [chapter.transition.at_ns for chapter in story.chapters]
    for at_ns, what in sorted(followed, key=lambda item: item[0]):
        if isinstance(what, notify.ScriptRun):
            chapter = chapters.get((what.life, what.number))
        else:
            index = bisect.bisect_right(began, at_ns) - 1
            chapter = story.chapters[index] if index >= 0 else None
        if chapter is not None:
            chapter.followed.append((at_ns, what))
    return story


def _began_ns(at_ns: int, body: Followed) -> int:
    """When it began: a script is told of when it has ended."""
    return body.started_ns if isinstance(body, notify.ScriptRun) else at_ns


def _order(chapter: Chapter) -> int:
    """By time; at the same moment as they were told, for numbers of two lives do not compare."""
    return chapter.transition.at_ns
