"""How far two nodes' clocks are apart, by what each wrote of the other's adverts. Pure.

Law of this file: a node notes when it became master or left, by its own clock; another notes when it heard
the advert that said so, by its own. The advert took no negative time, so that what lb2 heard of lb1 bounds
the difference from above, and what lb1 heard of lb2 from below. Which note belongs to which is not written
anywhere: the difference that most pairs agree on is taken, and of several the smallest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_WINDOW_NS = 200_000_000
"""Pairs whose differences are this close together mean the same one."""
_ENOUGH = 3
_BELIEVED_NS = 60_000_000_000
"""A difference above this needs that many pairs: two notes that have nothing to do with each other differ by
hours."""
_LATENCY_NS = 10_000_000
"""What is granted to an advert where only one direction is known."""


@dataclass(slots=True)
class Notes:
    """What one node wrote, on its own clock in nanoseconds; the keys are `became` and `left`."""

    addresses: set[str] = field(default_factory=set)
    """From which it sends adverts."""
    did: dict[str, set[int]] = field(default_factory=dict)
    """When it became master, and when it left with an advert of priority 0 or for a better one."""
    heard: dict[tuple[str, str], set[int]] = field(default_factory=dict)
    """By (what, address): when it heard that a router with this address became master, or left."""


@dataclass(frozen=True, slots=True)
class Skew:
    """A clock beside another one."""

    ahead_ns: int
    """How much it is ahead; negative: behind."""
    within_ns: int
    """The truth is at most this far away."""
    adverts: int
    """On how many adverts this rests."""


def between(one: Notes, other: Notes) -> Skew | None:
    """How much the other's clock is ahead of the one's; None when nothing tells."""
    above = _differences(one, other)
    below = [-difference for difference in _differences(other, one)]
    found = _densest(sorted([*above, *below]))
    if found is None:
        return None
    first, last, count = found
    if count < _ENOUGH and abs(first + last) // 2 > _BELIEVED_NS:
        return None
    highs = [each for each in above if first <= each <= last]
    lows = [each for each in below if first <= each <= last]
    if highs and lows:
        high, low = min(highs), max(lows)
        return Skew((high + low) // 2, abs(high - low) // 2, count)
    ahead_ns = min(highs) if highs else max(lows)
    return Skew(ahead_ns, max(_LATENCY_NS, last - first), count)


def _differences(speaker: Notes, hearer: Notes) -> list[int]:
    """Every moment of hearing less every moment of doing, of the same kind."""
    return [
        heard_ns - did_ns
        for (what, address), moments in hearer.heard.items()
        if address in speaker.addresses
        for heard_ns in moments
        for did_ns in speaker.did.get(what, ())
    ]


def _densest(values: list[int]) -> tuple[int, int, int] | None:
    """First, last and number of the most values within a window; of several the one nearest to 0."""
    best: tuple[int, int, int] | None = None
    rank: tuple[int, int] | None = None
    end = 0
    for start, first in enumerate(values):
        while end < len(values) and values[end] - first <= _WINDOW_NS:
            end += 1
        found = (-(end - start), abs(first + values[end - 1]))
        if rank is None or found < rank:
            best, rank = (first, values[end - 1], end - start), found
    return best


def beside(reference: str, notes: Mapping[str, Notes]) -> dict[str, Skew]:
    """Each node's clock beside the reference's, over other nodes where the two never heard each other."""
    known = {reference: Skew(0, 0, 0)}
    waiting = [reference]
    while waiting:
        near = waiting.pop(0)
        for node in _unknown(notes, known):
            skew = between(notes[near], notes[node])
            if skew is not None:
                base = known[near]
                known[node] = Skew(
                    base.ahead_ns + skew.ahead_ns, base.within_ns + skew.within_ns, skew.adverts
                )
                waiting.append(node)
    return known


def _unknown(notes: Iterable[str], known: Mapping[str, Skew]) -> list[str]:
    return [node for node in notes if node not in known]
