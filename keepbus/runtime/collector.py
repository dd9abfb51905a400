"""Python's collector of cycles, kept from looking again and again at what stays.

Law of this file: a full collection that takes long is the last one that looks at these objects. With a large
table it would look for a third of a second, in which nobody is served; what survived it is here to stay. Its
references are still counted, so that it goes when it is replaced; only a cycle among what stays would not.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LONG_NS = 5_000_000
_FULL = 2
"""The generation that a full collection is of."""


def settle() -> None:
    """What is there now stays."""
    gc.collect()
    gc.freeze()


@contextmanager
def building() -> Iterator[None]:
    """A great many objects are made, and no cycle among them."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class Watch:
    """Sees each collection, and has what survived a long one left alone."""

    def __init__(
        self, clock: Callable[[], int] = time.monotonic_ns, freeze: Callable[[], None] = gc.freeze
    ) -> None:
        """clock counts nanoseconds."""
        self._clock = clock
        self._freeze = freeze
        self._begun_ns = 0

    def __call__(self, phase: str, about: dict[str, int]) -> None:
        """As `gc.callbacks` calls it."""
        if phase == "start":
            self._begun_ns = self._clock()
        elif about["generation"] == _FULL and self._clock() - self._begun_ns >= LONG_NS:
            self._freeze()


def watch() -> None:
    """Watch the collections of this process from now on."""
    gc.callbacks.append(Watch())
