"""The verdict on a packet that is not believed."""

from __future__ import annotations

from typing import NamedTuple


class Refused(NamedTuple):
    """A packet that failed a check."""

    reason: str
    """The name of a counter."""
    detail: str
    """What was found and what was expected; never a password or key (A7)."""
