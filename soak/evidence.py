"""What a round leaves for the judge. Plain values: a test can write them by hand.

Moments are seconds of CLOCK_MONOTONIC, but `Step.at_ns`, which is the node's wall clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Answers = Sequence[tuple[float, frozenset[str]]]
"""Who answered for an address, each from that moment on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a trouble may cause. The default: a client sees nothing and no router changes state."""

    moves: frozenset[str] = frozenset()
    """Routers and groups that may change state; their addresses may be silent as long as a takeover takes."""
    anew: bool = False
    """Backups may begin anew as backups: their process was killed."""
    split: bool = False
    """Nodes don't hear each other: until it ends both sides are right."""
    dark: bool = False
    """No node can answer while it lasts."""
    most_steps: int = 4
    """Transitions of one router on one node: away, back, and one of each in between."""
    silent_s: float = 0.0
    """An address may be silent for so much longer."""
    together_s: float = 0.0
    """Two nodes may answer for so much longer."""
    untold: bool = False
    """Notifications may be missing: their process was killed, or all of them were."""
    unrecorded: bool = False
    """The journal may have holes: audit, the hub or the disk were hurt."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A virtual address that the client asks for."""

    address: str
    router: str
    interval_s: float
    """Of the router's adverts."""
    slack_s: float = 0.0
    """It may be silent for so much longer."""


@dataclass(frozen=True, slots=True)
class Step:
    """A transition of an instance or a group, as its node told it."""

    node: str
    name: str
    """Of the instance; `GROUP name` of a group."""
    life: str
    number: int
    from_state: str
    to_state: str
    cause: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class Size:
    """Of a process at rest."""

    kibibytes: int
    descriptors: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One trouble and what came of it."""

    trouble: str
    """What was done, with the node's name."""
    terms: Terms
    began_s: float
    ended_s: float
    """When its cause was removed."""
    settled_s: float | None
    """When all was as it should be; None: never."""
    until_s: float
    """End of what was seen."""
    watched: Sequence[Watched]
    answers: Mapping[str, Answers]
    """By virtual address."""
    blind: Sequence[tuple[float, float]] = ()
    """From when to when this machine let nobody work."""
    steps: Sequence[Step] = ()
    """New in this round, in the order in which they were told."""
    told: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)
    """By node: names and states as the notify script got them, in its order."""
    unsettled: Sequence[str] = ()
    """What was not as it should be at the end, a sentence each."""
    cries: Sequence[str] = ()
    """Tracebacks and the like in the logs."""
    untraced: Sequence[str] = ()
    """Steps that are not in the node's journal."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that should not have been."""

    rule: str
    expected: str
    seen: str
