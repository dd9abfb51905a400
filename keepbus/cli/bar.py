"""A bar that shows how far a long compilation is, on a terminal and nowhere else."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

from keepbus.cli.terminal import columns

_FIRST_AFTER_S = 0.5
_EVERY_S = 0.1
_WIDTH = 30


class Bar:
    """Called with how many of how many are done. Use it in a `with` block, which takes it away again."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream if columns(stream) is not None else None
        self._clock = clock
        self._next_at = clock() + _FIRST_AFTER_S
        self._shown = 0

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream is not None and self._shown:
            self._stream.write(f"\r{' ' * self._shown}\r")
            self._stream.flush()

    def __call__(self, done: int, total: int) -> None:
        """Draw it, if it is time to."""
        if self._stream is None or self._clock() < self._next_at:
            return
        self._next_at = self._clock() + _EVERY_S
        filled = _WIDTH * done // max(1, total)
        line = f"compiling [{'#' * filled}{'.' * (_WIDTH - filled)}] {done:,} of {total:,} virtual servers"
        line = line[: columns(self._stream)]
        self._stream.write(f"\r{line.ljust(self._shown)}")
        self._stream.flush()
        self._shown = len(line)
