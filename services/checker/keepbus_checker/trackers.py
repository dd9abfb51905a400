"""One script, process or file that is tracked: how results become a verdict. Pure."""

from __future__ import annotations

import shlex

from keepbus.config.model.checker import TrackedFile
from keepbus.config.model.tracking import TrackerKind, TrackProcess, TrackScript
from keepbus.contracts.checker import Evidence, Tracker, Verdict

MOST_PROCESSES = 65535
"""A `quorum_max` that is none."""


class Watched:
    """What all kinds have."""

    kind: TrackerKind

    def __init__(self, name: str, sent: str) -> None:
        """sent says in a line what is asked."""
        self.name = name
        self.id = f"{self.kind}:{name}"
        self.verdict = Verdict.UNKNOWN
        self.value = 0
        self.changes = 0
        self.since_ns = 0
        self.runs = 0
        self.failures = 0
        self.evidence: Evidence | None = None
        self.told_at_ns = 0
        """CLOCK_BOOTTIME; 0 when it was never told."""
        self.has_news = False
        self._sent = sent

    @property
    def says(self) -> tuple[Verdict, int]:
        """What is told at once when it changes."""
        return self.verdict, 0

    def note(self, received: str, took_us: int, wall_ns: int) -> None:
        """The evidence of the result that comes next."""
        self.evidence = Evidence(sent=self._sent, received=received, took_us=took_us, at_ns=wall_ns)

    def takes(self, other: Watched) -> bool:
        """Go on with the configuration of `other`, if that is about the same thing."""
        raise NotImplementedError

    def goes_on(self, told: Tracker) -> bool:
        """An earlier process came to the same, earlier."""
        return False

    def adopt(self, told: Tracker) -> None:
        """Go on from what an earlier process said."""
        self.verdict = told.verdict
        self.value = told.value
        self.changes = told.changes
        self.since_ns = told.since_ns
        self.runs = told.runs
        self.failures = told.failures
        self.evidence = told.evidence

    def told(self) -> Tracker:
        """The state as it goes on the bus."""
        return Tracker(
            tracker=self.id,
            kind=self.kind.value,
            name=self.name,
            verdict=self.verdict,
            value=self.value,
            changes=self.changes,
            since_ns=self.since_ns,
            runs=self.runs,
            failures=self.failures,
            evidence=self.evidence,
        )


class ScriptTracker(Watched):
    """`vrrp_script`. `value` is keepalived's count of results: up from `rise` on, rise + fall - 1 at most."""

    kind = TrackerKind.SCRIPT

    def __init__(self, config: TrackScript, first_at_ns: int) -> None:
        super().__init__(config.name, shlex.join(config.script.argv))
        self.config = config
        self.due_at_ns = first_at_ns
        self.run = 0
        """Number of the run under way, 0 when there is none."""
        self.deadline_at_ns = 0
        self.ending = False
        """The run is over its time and was told to end."""

    def count(self, passed: bool) -> None:
        """One result (features 7.2)."""
        rise, most = self.config.rise, self.config.rise + self.config.fall - 1
        self.runs += 1
        self.failures += not passed
        if self.verdict is Verdict.UNKNOWN:
            self.value = most if passed else 0
        elif passed:
            self.value = self.value + 1 if self.value < rise - 1 else most
        else:
            self.value = self.value - 1 if self.value > rise else 0
        self.verdict = Verdict.UP if self.value >= rise else Verdict.DOWN

    def takes(self, other: Watched) -> bool:
        """The same command goes on, with its count fitted to other limits."""
        if not isinstance(other, ScriptTracker) or other.config.script != self.config.script:
            return False
        before, self.config = self.config, other.config
        if before.interval_us > self.config.interval_us:
            self.due_at_ns -= (before.interval_us - self.config.interval_us) * 1000
        self._fit(before.rise)
        return True

    def adopt(self, told: Tracker) -> None:
        """The count goes on, too."""
        super().adopt(told)
        self._fit(self.config.rise)

    def _fit(self, rise_before: int) -> None:
        """Failures or successes that were counted already stay counted."""
        rise, fall = self.config.rise, self.config.fall
        if self.verdict is Verdict.UP:
            spare = max(self.value - rise_before, 0)
            self.value = rise + min(spare, fall - 1)
        else:
            self.value = min(self.value, rise - 1)


class ProcessTracker(Watched):
    """`vrrp_track_process`. `value` is how many there are."""

    kind = TrackerKind.PROCESS

    def __init__(self, config: TrackProcess) -> None:
        super().__init__(config.name, shlex.join((config.path, *config.params)))
        self.config = config
        self.turns_at_ns: int | None = None
        """When a quorum that is met or missed now begins to count."""

    @property
    def quorum(self) -> str:
        """`at least 1`, `2 to 4`."""
        config = self.config
        if config.quorum_max == MOST_PROCESSES:
            return f"at least {config.quorum}"
        return f"{config.quorum} to {config.quorum_max}"

    def take(self, count: int, now_ns: int) -> None:
        """So many there are now; the first count decides at once (features 7.4)."""
        self.value = count
        self.runs += 1
        config = self.config
        wanted = Verdict.UP if config.quorum <= count <= config.quorum_max else Verdict.DOWN
        self.failures += wanted is Verdict.DOWN
        if wanted is self.verdict:
            self.turns_at_ns = None
            return
        delay_us = config.fork_delay_us if wanted is Verdict.UP else config.terminate_delay_us
        if self.verdict is Verdict.UNKNOWN or not delay_us:
            self.verdict = wanted
            self.turns_at_ns = None
        elif self.turns_at_ns is None:
            self.turns_at_ns = now_ns + delay_us * 1000

    def is_to_turn(self, now_ns: int) -> bool:
        """A delay is over."""
        return self.turns_at_ns is not None and now_ns >= self.turns_at_ns

    def turn(self) -> None:
        """What was delayed counts."""
        self.turns_at_ns = None
        self.verdict = Verdict.DOWN if self.verdict is Verdict.UP else Verdict.UP

    def takes(self, other: Watched) -> bool:
        """Only with the same configuration: another one needs another count."""
        return isinstance(other, ProcessTracker) and other.config == self.config


class FileTracker(Watched):
    """`track_file`. `value` is its number; a file that can be read is up."""

    kind = TrackerKind.FILE

    def __init__(self, config: TrackedFile) -> None:
        super().__init__(config.name, config.path)
        self.config = config

    @property
    def says(self) -> tuple[Verdict, int]:
        """The number counts, too."""
        return self.verdict, self.value

    def take(self, number: int) -> None:
        """The file's number now."""
        self.value = number
        self.runs += 1
        self.verdict = Verdict.UP

    def takes(self, other: Watched) -> bool:
        """The same file goes on."""
        return isinstance(other, FileTracker) and other.config.path == self.config.path

    def goes_on(self, told: Tracker) -> bool:
        """It was the same number then."""
        return told.value == self.value and 0 < told.since_ns < self.since_ns
