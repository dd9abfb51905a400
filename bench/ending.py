"""Benchmarks that are told to end clean up."""

from __future__ import annotations

import signal
import sys
from types import FrameType


def end_on_signals() -> None:
    """SIGTERM and SIGINT end the process through its `with` blocks, which stop what runs in namespaces and
    remove these. A second signal does not disturb that."""

    def end(number: int, _frame: FrameType | None) -> None:
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.SIG_IGN)
        sys.exit(128 + number)

    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, end)
