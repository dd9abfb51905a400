"""What checker publishes: measurements, never decisions."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from keepbus.contracts.message import Body, contract


class Verdict(enum.StrEnum):
    """What the probes of one target say, retries already counted."""

    UNKNOWN = "unknown"
    """Never checked yet."""
    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the deciding probe did."""

    sent: str
    """What was asked, in one line: `TCP connect`, `GET /index.html HTTP/1.0`."""
    received: str
    """What came, in one line: `connected`, `200, 14 bytes, MD5 …`, `connection refused`."""
    took_us: int
    at_ns: int
    """Wall clock at the end of the probe."""


@contract("state/checker/verdict", key="check")
@dataclass(frozen=True, slots=True, kw_only=True)
class CheckVerdict(Body):
    """The verdict on one distinct target and check, used by any number of virtual servers."""

    check: str
    """Id of the check in the compiled configuration."""
    kind: str
    """Keyword in the file: TCP_CHECK, HTTP_GET, …"""
    target: str
    """address:port that is probed."""
    verdict: Verdict
    changes: int
    """How often the verdict changed since this process started."""
    since_ns: int
    probes: int
    failures: int
    evidence: Evidence | None = None


@contract("event/checker/failure", key="check")
@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeFailed(Body):
    """A probe failed; `attempt` of `attempts` before the verdict is down."""

    check: str
    target: str
    attempt: int
    attempts: int
    evidence: Evidence


@contract("state/checker/statistics")
@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics(Body):
    """Counters of the checker process since its start."""

    checks: int = 0
    probes: int = 0
    failures: int = 0
    in_flight: int = 0
    late: int = 0
    """Probes started more than one tenth of their delay_loop late."""
    local_errors: dict[str, int] = field(default_factory=dict)
    """Probes that could not be made for a reason of this host; they count for nothing."""
