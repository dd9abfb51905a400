"""A service that dies at once again and again waits longer and longer before it starts.

supervisord starts every service again without end and without delay, because the first restarts must be
fast: vrrp resumes within its lease. What keeps a crash loop from eating the machine is here, in the service
itself: `RUNDIR/locks/NAME.starts` counts starts in a row whose predecessor did not live for a second.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

SETTLED_NS = 1_000_000_000
"""A process that lived so long was a life, and the next start is the first again."""
FREE_STARTS = 3
"""Starts in a row that are never delayed."""
_FIRST_S = 0.2
_LONGEST_S = 30.0


def delay_s(starts: int, jitter: float) -> float:
    """How long the start with this number in a row waits; jitter from 0 to 1 takes up to a quarter off.

    0.2 s from the fourth on, doubling up to 30 s (reliability R-F21).
    """
    if starts <= FREE_STARTS:
        return 0.0
    longest = min(_FIRST_S * 2.0 ** min(starts - FREE_STARTS - 1, 16), _LONGEST_S)
    return longest * (1 - jitter / 4)


class Backoff:
    """The starts of one service."""

    def __init__(self, run_dir: Path, name: str) -> None:
        self._path = run_dir / "locks" / f"{name}.starts"

    def begin(
        self,
        say: Callable[[str], object],
        *,
        sleep: Callable[[float], object] = time.sleep,
        jitter: Callable[[], float] = lambda: os.urandom(1)[0] / 255,
    ) -> None:
        """Count this start, and wait when too many went before it."""
        starts = self._read() + 1
        self._write(starts)
        wait_s = delay_s(starts, jitter())
        if wait_s:
            say(f"died at once {starts - 1} times in a row; waits {wait_s:.1f} s before it starts again")
            sleep(wait_s)

    def settled(self) -> None:
        """This process lives: the next start is not delayed."""
        with contextlib.suppress(OSError):
            self._path.unlink()

    def _read(self) -> int:
        try:
            return int(self._path.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return 0

    def _write(self, starts: int) -> None:
        # Without the count nothing worse happens than a start without delay.
        with contextlib.suppress(OSError):
            fd = os.open(
                self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640
            )
            with os.fdopen(fd, "w", encoding="ascii") as file:
                file.write(f"{starts}\n")
