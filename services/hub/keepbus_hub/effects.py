"""What the hub's machine wishes, besides the effects that every service has."""

from __future__ import annotations

from typing import NamedTuple


class Forward(NamedTuple):
    """Send these messages, in order, to everyone who listens to their topics."""

    messages: tuple[tuple[bytes, ...], ...]


class Admit(NamedTuple):
    """Let the listener whose subscription was read last have this prefix."""

    prefix: bytes


class Dismiss(NamedTuple):
    """Take this prefix away from the listener whose subscription was read last."""

    prefix: bytes


class Inspect(NamedTuple):
    """Look whether the sockets are still ours and which of these processes live; answers `Inspected`."""

    pids: frozenset[int]
