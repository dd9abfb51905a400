"""What watchdog publishes."""

from __future__ import annotations

from dataclasses import dataclass

from keepbus.contracts.message import Body, contract


@contract("event/watchdog/death", key="service")
@dataclass(frozen=True, slots=True, kw_only=True)
class Death(Body):
    """A service's process ended although nobody stopped it; supervisord was woken."""

    service: str
    """Whose process."""
    pid: int
    """The process that ended."""


@contract("event/watchdog/replacement", key="service")
@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement(Body):
    """A service was alive without making progress and was killed, so that supervisord starts it anew."""

    service: str
    """Whose process."""
    pid: int
    """The process that was killed."""
    silent_us: int
    """Since its last progress, microseconds."""
    reason: str
    """Why, in a sentence."""


@contract("event/watchdog/return", key="service")
@dataclass(frozen=True, slots=True, kw_only=True)
class Returned(Body):
    """A service is back and makes progress."""

    service: str
    """Which."""
    pid: int
    """The new process."""
    away_us: int
    """From the death that was seen to the first heartbeat of the successor, microseconds."""
