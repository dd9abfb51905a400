"""A command of the configuration."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A command to run: argument vector, and as whom."""

    argv: tuple[str, ...]
    user: str = ""
    """Empty: the node's script_user."""
    group: str = ""
    """Begins with `:` when the user's supplementary groups are added; empty: the user's own."""
