"""What audit publishes."""

from __future__ import annotations

from dataclasses import dataclass

from keepbus.contracts.message import Body, contract


@contract("state/audit/journal")
@dataclass(frozen=True, slots=True, kw_only=True)
class Journal(Body):
    """How the journal stands. Told at once when writing fails or works again, else every few seconds."""

    path: str
    """Of the current file."""
    lines: int
    """Lines that were to be written since the start of this process."""
    octets: int
    """Size of the current file."""
    rotations: int
    """New files begun since the start of this process."""
    lost: int
    """Lines that could not be written."""
    error: str = ""
    """Why the last write failed; empty when it did not."""
