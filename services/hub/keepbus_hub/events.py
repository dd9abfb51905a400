"""What the hub's machine is told, besides the events that every service has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Peer(NamedTuple):
    """The process at the other end of a connection, as the kernel knows it."""

    uid: int
    gid: int
    pid: int

    def __str__(self) -> str:
        return f"{self.uid}:{self.gid}:{self.pid}"


class Received(NamedTuple):
    """A message came on the socket to speak; nothing of it has been looked at."""

    frames: tuple[bytes, ...]
    peer: Peer | None
    """None when the connection does not tell, as over TCP."""


class Subscribed(NamedTuple):
    """A listener asked for a prefix."""

    prefix: bytes
    peer: Peer | None
    refusal: str
    """Why it does not count; empty when it does."""


class Owners(NamedTuple):
    """Which uid owns which service's lock file, and so may publish that service's topics."""

    uids: Mapping[str, int]


class Inspected(NamedTuple):
    """Answer to `Inspect`."""

    rebound: tuple[str, ...]
    """Sockets whose path was no longer ours and that were bound anew."""
    descriptors: int
    """Open descriptors of this process: about one per connection."""
    subscriptions: int
    """Subscriptions that count."""
