"""The real-time class of those who must be on time (decision 0403).

A program is started in it (deployment.py, `${urgent}`), so that a busy machine does not delay its return.
Python's start is half a second of work, though, and must not delay the process that serves meanwhile: who is
ready goes before who only starts.
"""

from __future__ import annotations

import contextlib
import os

STARTING_PRIORITY = 1
"""The lowest: before all ordinary processes, behind whatever else is real-time on the machine."""

READY_PRIORITY = 2

CAPABILITY = "SYS_NICE"
"""What raising it takes."""


def get_ahead() -> None:
    """Go before those who only start, if this thread has the real-time class and the kernel allows it."""
    if os.sched_getscheduler(0) == os.SCHED_RR:
        with contextlib.suppress(PermissionError):  # then it is in the class, and no more
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(READY_PRIORITY))
