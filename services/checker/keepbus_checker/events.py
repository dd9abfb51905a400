"""What happens to checker besides what every service knows."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import NamedTuple


class Outcome(enum.StrEnum):
    """How a probe ended."""

    PASSED = "passed"
    FAILED = "failed"
    LOCAL = "local"
    """This host could not make the probe; it says nothing about the target."""


class ProbesAdvanced(NamedTuple):
    """A step of these probes is done and the next one has connect_timeout from now on."""

    probes: Sequence[int]
    step: str
    """What they wait for now: `handshake`, `answer`, `more` of it."""


class ProbeEnded(NamedTuple):
    """The probe is over and its descriptor closed."""

    probe: int
    outcome: Outcome
    received: str
    """One line for the operator: `connected`, `200, 14 bytes`, `connection refused`."""
    took_us: int
    wall_ns: int
    """Wall clock at the end, nanoseconds since the epoch."""
    weight: int | None = None
    """The weight that a script asks for; None: the configured one."""


class CertificateSeen(NamedTuple):
    """The server of an SSL_GET showed a certificate that it had not shown before."""

    check: str
    der: bytes
    """As it came, not verified."""
    wall_ns: int


class ProbesPassed(NamedTuple):
    """These probes passed and their descriptors are closed: one event for all that one look found."""

    passed: Sequence[tuple[int, int, str]]
    """As in ProbeEnded: probe, took_us and received."""
    wall_ns: int


class FileRead(NamedTuple):
    """A file was read, first or again."""

    watcher: str
    """As in WatchFile."""
    number: int | None
    """Its value; None: the earlier one stays."""
    error: str
    """Why it could not be read; empty when it could."""
    wall_ns: int


class ProcessesCounted(NamedTuple):
    """There are so many processes now: the first answer to WatchProcesses, and when the number changed."""

    tracker: str
    """Name of the vrrp_track_process."""
    number: int | None
    """None when this host does not show them."""
    error: str
    """Why; empty when it does."""
    wall_ns: int
