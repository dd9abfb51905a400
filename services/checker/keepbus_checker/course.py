"""The course of one check: verdict, retries, and which URL comes next.

Law of this file: `settle` and `settle_value` are the only writers of the verdict by measurement, `adopt` the
only one by inheritance. The rules are keepalived's (reference: keepalived-features 13.1 and 13.3).
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from keepbus.config.model.checker import Check, CheckKind, TrackedFile
from keepbus.contracts.checker import CheckVerdict, Evidence, ProbeFailed, Verdict
from keepbus_checker import wording

_CONNECTS = (
    CheckKind.TCP_CHECK,
    CheckKind.HTTP_GET,
    CheckKind.SSL_GET,
    CheckKind.SMTP_CHECK,
    CheckKind.PLUGIN,
)
STEPS_TOTAL = 10
"""A probe has connect_timeout for each step, and this many of them for all steps together."""
ENDING = "ending"
"""The step of a script that was told to end."""
_WAITS_FOR = {
    "connect": "no connection",
    "handshake": "no TLS handshake",
    "answer": "no answer",
    "more": "nothing more of the answer",
    ENDING: "not ended",
}
_LEAST_WEIGHT, _MOST_WEIGHT = -(1 << 31), (1 << 31) - 1
"""The lower one is reserved: it stands for a server that is down."""


class Course:
    """One check that is being run. Mutable, one per configured check."""

    __slots__ = (
        "adopted",
        "changes",
        "check",
        "deadline_at_ns",
        "delay_ns",
        "due_at_ns",
        "ended_wall_ns",
        "failed_url",
        "failures",
        "first_step",
        "gone",
        "guarded",
        "inherited_evidence",
        "kind",
        "last_url",
        "next_at_ns",
        "probe",
        "probes",
        "published_at_ns",
        "received",
        "retries_used",
        "several_urls",
        "silence_passes",
        "since_ns",
        "started_at_ns",
        "step",
        "timeout_ns",
        "took_us",
        "url",
        "verdict",
        "waits_for_telling",
        "weight",
        "weight_added",
    )

    def __init__(self, check: Check, *, first_start: bool, wall_ns: int) -> None:
        """first_start: the retries count as used up, so that the first failure is enough."""
        self.check = check
        self.kind = check.plugin.keyword if check.plugin else check.kind.value
        """As the file calls it."""
        self.verdict = Verdict.UNKNOWN
        self.changes = 0
        self.since_ns = wall_ns
        self.probes = 0
        self.failures = 0
        self.retries_used = 0 if check.kind is CheckKind.SMTP_CHECK or not first_start else check.retry
        self.url = 0
        self.several_urls = len(check.urls) > 1
        self.failed_url = False
        """True while the URL that took the target down is the only one tried."""
        self.adopted = False
        # The last result as it came; it is put into words when it is told, and most are never told.
        self.received: str | None = None
        """None before the first result."""
        self.took_us = 0
        self.ended_wall_ns = 0
        self.last_url = 0
        self.inherited_evidence: Evidence | None = None
        self.weight: int | None = None
        """What the last script that passed asked for; None: the configured one."""
        self.weight_added = 0
        """What the file adds to it."""
        # The schedule's part.
        self.probe = 0
        """Number of the probe under way, 0 when there is none."""
        self.step = ""
        self.first_step = "connect" if check.kind in _CONNECTS else "answer"
        self.silence_passes = check.udp is not None and not check.udp.require_reply
        """No error in time is as good as an answer."""
        self.delay_ns = _ns(check.delay_loop_us)
        self.timeout_ns = _ns(check.misc.timeout_us if check.misc else check.connect_timeout_us)
        self.next_at_ns = 0
        """When a script that had to be ended is due again."""
        self.due_at_ns = 0
        self.started_at_ns = 0
        self.deadline_at_ns = 0
        self.guarded = False
        self.gone = False
        # The announcer's part.
        self.published_at_ns = 0
        self.waits_for_telling = False

    @property
    def target(self) -> str:
        """What is probed, as an operator reads it; not kept, for most are told once in 5 s at most."""
        return wording.target(self.check)

    @property
    def attempt(self) -> int:
        """Which attempt the next probe is, from 1 to retry + 1."""
        return self.retries_used + 1

    def limit_at_ns(self) -> int:
        """When the probe under way has had its time for all steps together."""
        return self.started_at_ns + STEPS_TOTAL * self.timeout_ns

    def overdue(self, now_ns: int) -> str:
        """What the probe under way waited for in vain."""
        if now_ns >= self.limit_at_ns() and self.step != ENDING:
            return f"answer not complete within {wording.seconds(STEPS_TOTAL * self.timeout_ns)}"
        return f"{_WAITS_FOR[self.step]} within {wording.seconds(self.timeout_ns)}"

    def settle(self, passed: bool) -> int:
        """Count one result; the pause until the next probe, microseconds."""
        check = self.check
        if check.urls:
            return self._settle_url(passed)
        if check.kind is CheckKind.SMTP_CHECK:
            return self._settle_cycle(passed)
        if passed:
            self.retries_used = 0
            self.verdict = Verdict.UP
        elif self.verdict is not Verdict.DOWN:
            if self.retries_used < check.retry:
                self.retries_used += 1
                return check.delay_before_retry_us
            self.verdict = Verdict.DOWN
        return check.delay_loop_us

    def _settle_cycle(self, passed: bool) -> int:
        """Each cycle has all retries, also while the target is down."""
        check = self.check
        if not passed and self.retries_used < check.retry:
            self.retries_used += 1
            return check.delay_before_retry_us
        self.retries_used = 0
        self.verdict = Verdict.UP if passed else Verdict.DOWN
        return check.delay_loop_us

    def settle_value(self, added: int, passed: bool) -> bool:
        """Take what the check's file comes to; whether what it adds to the weight changed."""
        changed = added != self.weight_added
        self.weight_added = added
        self.verdict = Verdict.UP if passed else Verdict.DOWN
        return changed

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
        """Go on from what was said of it before, by another process or course; the retries start anew."""
        self.verdict = told.verdict
        self.changes = told.changes
        self.since_ns = told.since_ns
        self.probes = told.probes
        self.failures = told.failures
        self.inherited_evidence = told.evidence
        self.weight = told.weight
        self.weight_added = told.weight_added
        self.adopted = True
        if told.verdict is not Verdict.UNKNOWN:
            self.retries_used = 0
        # Which page it was is not told: the first stands for it.
        self.failed_url = told.verdict is Verdict.DOWN

    def evidence(self) -> Evidence | None:
        """What the last probe did; None before the first."""
        if self.received is None:
            return self.inherited_evidence
        sent = wording.sent(self.check, self.last_url)
        return Evidence(sent=sent, received=self.received, took_us=self.took_us, at_ns=self.ended_wall_ns)

    def failure(self) -> ProbeFailed:
        """The last probe, which failed, as it goes on the bus."""
        evidence = self.evidence()
        assert evidence is not None
        return ProbeFailed(
            check=self.check.id,
            target=self.target,
            attempt=self.attempt,
            attempts=self.check.retry + 1,
            evidence=evidence,
        )

    def told(self) -> CheckVerdict:
        """The state as it goes on the bus."""
        return CheckVerdict(
            check=self.check.id,
            kind=self.kind,
            target=self.target,
            verdict=self.verdict,
            changes=self.changes,
            since_ns=self.since_ns,
            probes=self.probes,
            failures=self.failures,
            evidence=self.evidence(),
            weight=self.weight,
            weight_added=self.weight_added,
        )


@lru_cache(maxsize=64)
def _ns(us: int) -> int:
    """Nanoseconds; one number for all who have the same."""
    return us * 1000


def measured(check: Check) -> Check:
    """What the check measures, whenever it does so and however often it has to fail.

    Equal for two whose verdicts mean the same.
    """
    misc = check.misc and replace(check.misc, timeout_us=0)
    return replace(
        check,
        id="",
        connect_timeout_us=0,
        delay_loop_us=0,
        retry=0,
        delay_before_retry_us=0,
        warmup_us=0,
        fast_recovery=False,
        misc=misc,
        ha_suspend=(),
    )


def effect_of(file: TrackedFile, value: int) -> tuple[int, bool]:
    """What a file's value adds to a real server's weight, and whether it lets it be up."""
    if not file.weight:
        return 0, (value != 0) is file.reverse
    added = value * (-file.weight if file.reverse else file.weight)
    added = min(max(added, _LEAST_WEIGHT), _MOST_WEIGHT)
    return added, added > _LEAST_WEIGHT
