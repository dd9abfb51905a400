"""What the audit machine wishes to be done, beside publishing and logging."""

from __future__ import annotations

from typing import NamedTuple


class Open(NamedTuple):
    """Open the journal, making it where it is not; `Opened` or a failed `Wrote` follows."""


class Append(NamedTuple):
    """Append lines (without their newline) to the journal; `Wrote` follows."""

    lines: tuple[str, ...]
