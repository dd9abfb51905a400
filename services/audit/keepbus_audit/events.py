"""What happens to the audit machine, beside the bus."""

from __future__ import annotations

from typing import NamedTuple


class Opened(NamedTuple):
    """The journal was opened by this process."""

    path: str
    wall_ns: int


class Wrote(NamedTuple):
    """How the journal stands after an `Append`."""

    octets: int
    """Size of the file."""
    rotations: int
    """Since the start of this process."""
    lost: int
    """Lines that could not be written since the start of this process."""
    error: str
    """Why the last write failed; empty when it did not."""
