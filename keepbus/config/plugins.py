"""Checkers that other packages bring, by entry points of the group `keepbus.checkers` (docs/plugins.md).

The entry point's name is the checker's keyword in the file, its object a class like `Plugin`. Law of this
file: a package that can't be loaded makes its own keyword unusable, with the reason, and nothing else.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Generator, Mapping
from functools import cache
from typing import Any, ClassVar, NamedTuple, Protocol

GROUP = "keepbus.checkers"
KINDS = ("flag", "integer", "one-of", "seconds", "text", "yes-no")
"""Of arguments: `integer 0..15`, `one-of a b`, … as in the keyword tables."""

Conversation = Generator[bytes, bytes, tuple[bool, str]]
"""Yields what is to be sent (nothing: only wait), gets what came (nothing: the server closed), returns
whether the server is well and one line of evidence."""


class Plugin(Protocol):
    """What the class of an entry point has."""

    WORDS: ClassVar[Mapping[str, str]]
    """Its own words in the file, and the kind of argument of each."""

    def converse(self, settings: Mapping[str, str]) -> Conversation:
        """One probe, on a connection that stands. settings: the words that are given, and their arguments."""
        ...


class Found(NamedTuple):
    """A plug-in that is installed."""

    make: type[Plugin] | None
    """None when it can't be loaded."""
    words: Mapping[str, str]
    refusal: str
    """Why it can't."""


@cache
def installed() -> Mapping[str, Found]:
    """All plug-ins by keyword."""
    points = importlib.metadata.entry_points(group=GROUP)
    return {point.name: _load(point) for point in sorted(points, key=lambda point: point.name)}


def _load(point: importlib.metadata.EntryPoint) -> Found:
    try:
        made: Any = point.load()
        words = dict(made.WORDS)
        for word, argument in words.items():
            if argument.partition(" ")[0] not in KINDS:
                raise ValueError(f"the argument of {word} is none of {', '.join(KINDS)}")
        if not callable(made.converse):
            raise TypeError("its `converse` is no method")
    except Exception as error:  # whatever somebody else's module does
        return Found(None, {}, f"its plug-in {point.value} can't be loaded ({type(error).__name__}: {error})")
    return Found(made, words, "")
