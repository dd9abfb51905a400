"""What checker counts, and what it says of itself by it."""

from __future__ import annotations

from collections import Counter

from keepbus.contracts.checker import Statistics, Verdict
from keepbus.contracts.common import Status
from keepbus.runtime.machine import Report

_VERDICTS_TOLD = (Verdict.UP, Verdict.DOWN, Verdict.UNKNOWN)


class Tally:
    """Counts since the start of the process."""

    def __init__(self) -> None:
        self.probes = 0
        self.failures = 0
        self.late = 0
        """Probes that started later than a tenth of delay_loop after their moment."""
        self.local_errors: Counter[str] = Counter()
        self.verdicts: Counter[Verdict] = Counter()
        """Of the checks configured now."""

    def statistics(self, checks: int, in_flight: int) -> Statistics:
        """The counts as they go on the bus."""
        return Statistics(
            checks=checks,
            probes=self.probes,
            failures=self.failures,
            in_flight=in_flight,
            late=self.late,
            local_errors=dict(self.local_errors),
        )

    def report(self, checks: int, targets: int, trackers: str) -> Report:
        """How many checks there are and what they say; trackers: the same of those, in words."""
        if not checks:
            return Report(Status.READY, trackers) if trackers else Report(Status.IDLE, "no checks configured")
        told = ", ".join(f"{self.verdicts[verdict]} {verdict.value}" for verdict in _VERDICTS_TOLD)
        checked = f"{_counted(checks, 'check')} of {_counted(targets, 'target')}: {told}"
        return Report(Status.READY, f"{checked}; {trackers}" if trackers else checked)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
