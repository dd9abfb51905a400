"""What a trouble is: something that does harm, says what it did, and takes it away again."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from soak.evidence import Terms
from soak.stage import Stage

_NOTHING = Terms()


@dataclass(frozen=True, slots=True)
class Act:
    """What a trouble did."""

    told: str
    """In a line."""
    terms: Terms = _NOTHING
    lasts_s: float = 0.0
    """Until it is taken away again."""


Trouble = Callable[[Stage, random.Random], Iterator[Act]]
"""Does it, yields what it did, and after that takes it away."""

TROUBLES: dict[str, Trouble] = {}
"""All there are, by name."""


def trouble(function: Trouble) -> Trouble:
    """Register a trouble under its function's name."""
    TROUBLES[function.__name__.replace("_", "-")] = function
    return function
