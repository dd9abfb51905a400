"""What the hub's machine wishes, besides the effects that every service has."""

from __future__ import annotations

from typing import NamedTuple


class Forward(NamedTuple):
    """Send these messages, in order, to everyone who listens to their topics."""

    messages: tuple[tuple[bytes, ...], ...]


class Inspect(NamedTuple):
    """Look whether the sockets are still ours and which listeners live; answers `Inspected`."""
