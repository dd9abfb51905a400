"""The course of one check: verdict, retries, and which URL comes next.

Law of this file: `settle` is the only writer of the verdict by measurement, `adopt` the only one by
inheritance. The rules are keepalived's (reference: keepalived-features 13.1 and 13.3).
"""

from __future__ import annotations

from keepbus.config.model import Check, CheckKind
from keepbus.contracts.checker import CheckVerdict, Evidence, Verdict
from keepbus_checker.events import ProbeEnded


class Course:
    """One check that is being run. Mutable, one per configured check."""

    __slots__ = (
        "adopted",
        "changes",
        "check",
        "deadline_at_ns",
        "due_at_ns",
        "failed_url",
        "failures",
        "gone",
        "guarded",
        "inherited_evidence",
        "last",
        "last_url",
        "probe",
        "probes",
        "published_at_ns",
        "retries_used",
        "since_ns",
        "started_at_ns",
        "step",
        "target",
        "timeout_ns",
        "url",
        "verdict",
        "waits_for_telling",
    )

    def __init__(self, check: Check, *, first_start: bool, wall_ns: int) -> None:
        """first_start: the retries count as used up, so that the first failure is enough."""
        self.check = check
        self.target = f"{bracketed(check.address)}:{check.port}"
        self.verdict = Verdict.UNKNOWN
        self.changes = 0
        self.since_ns = wall_ns
        self.probes = 0
        self.failures = 0
        self.retries_used = check.retry if first_start else 0
        self.url = 0
        self.failed_url = False
        """True while the URL that took the target down is the only one tried."""
        self.adopted = False
        self.last: ProbeEnded | None = None
        """The last result, kept as it came: most are never told to anybody."""
        self.last_url = 0
        self.inherited_evidence: Evidence | None = None
        # The schedule's part.
        self.probe = 0
        """Number of the probe under way, 0 when there is none."""
        self.step = ""
        self.timeout_ns = check.connect_timeout_us * 1000
        self.due_at_ns = 0
        self.started_at_ns = 0
        self.deadline_at_ns = 0
        self.guarded = False
        self.gone = False
        # The announcer's part.
        self.published_at_ns = 0
        self.waits_for_telling = False

    @property
    def attempt(self) -> int:
        """Which attempt the next probe is, from 1 to retry + 1."""
        return self.retries_used + 1

    def settle(self, passed: bool) -> int:
        """Count one result; the pause until the next probe, microseconds."""
        check = self.check
        if check.urls:
            return self._settle_url(passed)
        if passed:
            self.retries_used = 0
            self.verdict = Verdict.UP
        elif self.verdict is not Verdict.DOWN:
            if self.retries_used < check.retry:
                self.retries_used += 1
                return check.delay_before_retry_us
            self.verdict = Verdict.DOWN
        return check.delay_loop_us

    def _settle_url(self, passed: bool) -> int:
        check = self.check
        if passed:
            return self._next_url()
        if self.failed_url:
            return max(check.delay_before_retry_us, check.delay_loop_us)
        if self.verdict is Verdict.DOWN:
            # On the way back up: this page is asked for until it is as wanted, but never without a pause.
            return check.delay_before_retry_us or check.delay_loop_us
        if self.retries_used < check.retry:
            self.retries_used += 1
            return check.delay_before_retry_us
        self.verdict = Verdict.DOWN
        self.failed_url = True
        return max(check.delay_before_retry_us, check.delay_loop_us)

    def _next_url(self) -> int:
        check = self.check
        if self.verdict is not Verdict.UNKNOWN:
            # Until the first verdict they stay as they are: at a first start any page's failure is enough.
            self.retries_used = 0
        if self.failed_url:
            # What failed is back; now every page has to be as wanted, from the first.
            self.failed_url = False
            self.url = 0
        else:
            self.url += 1
        if self.url == len(check.urls):
            self.url = 0
            self.retries_used = 0
            self.verdict = Verdict.UP
        elif check.fast_recovery and self.verdict is not Verdict.UP:
            return 0
        return check.delay_loop_us

    def adopt(self, told: CheckVerdict) -> None:
        """Go on from what an earlier process said of this check; its retries start anew."""
        self.verdict = told.verdict
        self.changes = told.changes
        self.since_ns = told.since_ns
        self.probes = told.probes
        self.failures = told.failures
        self.inherited_evidence = told.evidence
        self.adopted = True
        if told.verdict is not Verdict.UNKNOWN:
            self.retries_used = 0
        # Which page it was is not told: the first stands for it.
        self.failed_url = told.verdict is Verdict.DOWN

    def evidence(self) -> Evidence | None:
        """What the last probe did; None before the first."""
        last = self.last
        if last is None:
            return self.inherited_evidence
        return Evidence(sent=self._sent(), received=last.received, took_us=last.took_us, at_ns=last.wall_ns)

    def told(self) -> CheckVerdict:
        """The state as it goes on the bus."""
        return CheckVerdict(
            check=self.check.id,
            kind=self.check.kind.value,
            target=self.target,
            verdict=self.verdict,
            changes=self.changes,
            since_ns=self.since_ns,
            probes=self.probes,
            failures=self.failures,
            evidence=self.evidence(),
        )

    def _sent(self) -> str:
        check = self.check
        if check.kind is CheckKind.TCP_CHECK:
            return "TCP connect"
        version = "1.1" if check.http_protocol == "1.1" else "1.0"
        return f"GET {check.urls[self.last_url].path} HTTP/{version}"


def bracketed(address: str) -> str:
    """An address as it stands before a port: IPv6 in brackets."""
    return f"[{address}]" if ":" in address else address
