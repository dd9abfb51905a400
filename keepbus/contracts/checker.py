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
    """The last probe went well."""
    DOWN = "down"
    """As many probes in a row failed as the check allows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the deciding probe did."""

    sent: str
    """What was asked, in one line: `TCP connect`, `GET /index.html HTTP/1.0`."""
    received: str
    """What came, in one line: `connected`, `200, 14 bytes, MD5 …`, `connection refused`."""
    took_us: int
    """From its start to its end, microseconds."""
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
    """What is probed: address:port, an address, a command, a file."""
    verdict: Verdict
    """What the probes say."""
    changes: int
    """How often the verdict changed since this process started."""
    since_ns: int
    """Wall clock of the last change of the verdict, nanoseconds."""
    probes: int
    """Probes of this check since this process started."""
    failures: int
    """Those of them that failed."""
    evidence: Evidence | None = None
    """What the deciding probe did; nil before the first."""
    weight: int | None = None
    """From MISC_CHECK with misc_dynamic: the weight that takes the configured one's place; nil: none does."""
    weight_added: int = 0
    """From FILE_CHECK: what is added to the weight."""


@contract("state/checker/tracker", key="tracker")
@dataclass(frozen=True, slots=True, kw_only=True)
class Tracker(Body):
    """What a script, a process or a file says that virtual routers track; told once it is known.

    vrrp goes by the last one that it heard, however old, and by the numbers in it, never by their change.
    """

    tracker: str
    """KIND:NAME"""
    kind: str
    """script, process or file."""
    name: str
    """In the file."""
    verdict: Verdict
    """Of a script after `rise` and `fall`, of a process after its delays; a file that can be read is up. Told
    as unknown only when this host can't find out: the evidence says why."""
    value: int = 0
    """A file's number; how many processes there are; of a script the count of results, from 0 (down for long)
    to rise + fall - 1 (up for long)."""
    changes: int
    """How often the verdict changed."""
    since_ns: int
    """Wall clock of the last change of the verdict, nanoseconds."""
    runs: int = 0
    """How often a script ended."""
    failures: int = 0
    """How often it failed."""
    evidence: Evidence | None = None
    """The last run of a script, the last change of the others."""


@contract("state/checker/certificate", key="check")
@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate(Body):
    """The certificate that the server of an SSL_GET showed. It changes no verdict."""

    check: str
    """Id of the check in the compiled configuration."""
    target: str
    """Who showed it: address:port."""
    subject: str
    """`CN=www.example, O=Example`."""
    issuer: str
    """As the subject."""
    not_after_ns: int
    """Wall clock of its last moment, nanoseconds."""
    days_left: int
    """Whole days until then, told anew each day; below 0 when it has ended."""


@contract("event/checker/expiring", key="check")
@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateExpiring(Body):
    """A certificate has fewer than 14 days left: told when it is seen, and once a day."""

    check: str
    """Id of the check in the compiled configuration."""
    target: str
    """Who showed it: address:port."""
    subject: str
    """`CN=www.example, O=Example`."""
    not_after_ns: int
    """Wall clock of its last moment, nanoseconds."""
    days_left: int
    """Whole days until then; below 0 when it has ended."""


@contract("event/checker/failure", key="check")
@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeFailed(Body):
    """A probe failed; `attempt` of `attempts` before the verdict is down."""

    check: str
    """Id of the check in the compiled configuration."""
    target: str
    """What was probed: address:port, an address, a command, a file."""
    attempt: int
    """Which failure in a row this is, from 1."""
    attempts: int
    """How many in a row make the verdict down."""
    evidence: Evidence
    """What this probe did."""


@contract("state/*/statistics")
@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics(Body):
    """Counters of a checker process since its start; each of several has its own."""

    checks: int = 0
    """Distinct checks that run."""
    probes: int = 0
    """Probes that ended."""
    failures: int = 0
    """Probes that failed."""
    in_flight: int = 0
    """Probes under way now."""
    late: int = 0
    """Probes started more than one tenth of their delay_loop late."""
    local_errors: dict[str, int] = field(default_factory=dict)
    """Probes that could not be made for a reason of this host; they count for nothing."""
