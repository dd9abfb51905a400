"""Who goes first when the machine runs out of memory (reliability R-F23).

Law of this file: a service that comes back by itself within a second, and that nobody outside misses
meanwhile, offers itself to the kernel before those that hold virtual addresses. To ask for more of oneself
takes no privilege; to be spared before all other programs of the machine does (deployment.py, `${urgent}`).
"""

from __future__ import annotations

import contextlib
from pathlib import Path

SCORE = 200
"""Thousandths of the machine's memory that count as if the process had them."""
_SCORE_FILE = Path("/proc/self/oom_score_adj")


def volunteer() -> None:
    """Be killed before those that do not; a score that is higher already stays."""
    with contextlib.suppress(OSError, ValueError):
        if int(_SCORE_FILE.read_text(encoding="ascii")) < SCORE:
            _SCORE_FILE.write_text(f"{SCORE}\n", encoding="ascii")
