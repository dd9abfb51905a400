"""What the bus and the log are still to be told.

Law of this file: telling waits for adverts, never adverts for telling. When hundreds of instances take over
together, what they have to say would keep the process busy for longer than their leases last, make them step
down, and say still more. So a turn tells only so much; an instance's state is told once however often it
changed meanwhile, for its history holds what happened in between; and a service that stops tells everything.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from itertools import islice

from keepbus.runtime.machine import Effect

MOST_PER_TURN = 16

Tale = Callable[[], Iterable[Effect]]


class Telling:
    """A queue; what stands in it under a key stands there once."""

    __slots__ = ("_tales",)

    def __init__(self) -> None:
        self._tales: dict[Hashable, Tale] = {}

    def __bool__(self) -> bool:
        """True when something waits."""
        return bool(self._tales)

    def say(self, *effects: Effect) -> None:
        """Tell these, as they are."""
        self._tales[object()] = lambda: effects

    def say_of(self, key: Hashable, tale: Tale) -> None:
        """Tell what `tale` gives when its turn comes; nothing new when the key waits already."""
        self._tales.setdefault(key, tale)

    def take(self, most: int) -> list[Effect]:
        """Take out what waited longest, of at most so many."""
        effects: list[Effect] = []
        for key in list(islice(self._tales, most)):
            effects.extend(self._tales.pop(key)())
        return effects

    def take_all(self) -> list[Effect]:
        """Take out everything, also what is said meanwhile."""
        effects: list[Effect] = []
        while self._tales:
            effects += self.take(len(self._tales))
        return effects
