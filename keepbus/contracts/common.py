"""What every service publishes about itself."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from keepbus.contracts.message import Body, contract


class Status(enum.StrEnum):
    """What a service says of itself."""

    STARTING = "starting"
    """Not at work yet."""
    READY = "ready"
    """At work, as configured."""
    IDLE = "idle"
    """Running, and the configuration gives it nothing to do."""
    DEGRADED = "degraded"
    """Working, but not as configured; `detail` says what to do."""
    STOPPING = "stopping"
    """On its way out."""


@contract("state/*/service")
@dataclass(frozen=True, slots=True, kw_only=True)
class Service(Body):
    """A service's heartbeat: published on every change and at every beat.

    progress counts rounds of the service's loop, idle ones too; a beat whose progress stands still comes from
    a process that lives but does not work.
    """

    pid: int
    """Process id, in the node's own namespace."""
    started_ns: int
    """Wall clock, nanoseconds."""
    generation: int
    """Configuration generation that it runs; 0 before the first."""
    status: Status
    """What it says of itself."""
    detail: str
    """One sentence for the operator."""
    progress: int
    """Rounds of its loop since its start."""
    lateness_us_max: int = 0
    """Largest lateness of a due timer since the last beat, microseconds."""
    lost: int = 0
    """Messages that this process missed on the bus, by holes in nth."""
    rejected: int = 0
    """Messages that this process got and could not decode."""
    unsent: int = 0
    """Messages that did not leave because the hub did not take them."""


@contract("event/*/gap")
@dataclass(frozen=True, slots=True, kw_only=True)
class Gap(Body):
    """A reader found a hole: `lost` messages on `topic` of `source` never came."""

    topic: str
    """On which the hole is."""
    source: str
    """Who published there."""
    boot: str
    """Of the publisher's process."""
    lost: int
    """How many messages."""
    after_nth: int
    """nth of the last message before the hole; 0 when there was none."""


@contract("event/*/reject")
@dataclass(frozen=True, slots=True, kw_only=True)
class Reject(Body):
    """A message that could not be used; only its length and hash are told, never its content."""

    reason: str
    """A word to count by, such as `schema`."""
    length: int
    """Octets of all frames."""
    digest: str
    """First 16 hex digits of the SHA-256 of all frames."""
    peer: str
    """uid:gid:pid of the sender as the kernel saw it, empty where unknown."""
    count: int
    """How many of this reason since start."""
