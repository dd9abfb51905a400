"""What becomes of a result: it is counted, and told where it is news."""

from __future__ import annotations

from keepbus.contracts.checker import Verdict
from keepbus.runtime.machine import Effect, Log, Publish
from keepbus_checker.announcer import Announcer
from keepbus_checker.course import Course
from keepbus_checker.events import Outcome, ProbeEnded
from keepbus_checker.tally import Tally


class Results:
    """Keeps the counts, and the order in which verdicts are told."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self.announcer = Announcer(0)

    def count(self, course: Course, event: ProbeEnded, passed: bool, effects: list[Effect]) -> None:
        """Note what came; a failure is told while the verdict has not fallen."""
        self._tally.probes += 1
        course.probes += 1
        course.received, course.took_us, course.ended_wall_ns = event.received, event.took_us, event.wall_ns
        course.last_url = course.url
        if not passed:
            self._tally.failures += 1
            course.failures += 1
            if course.verdict is not Verdict.DOWN:
                effects.append(Publish(course.failure()))

    def tell(
        self,
        course: Course,
        before: Verdict,
        event: ProbeEnded,
        reweighted: bool,
        now_ns: int,
        effects: list[Effect],
    ) -> None:
        """A change at once, what stays now and then."""
        if course.verdict is not before:
            self._changed(course, before, event, now_ns, effects)
        elif reweighted:
            effects.append(self.announcer.tell(course, now_ns))
        elif not course.waits_for_telling:
            self.announcer.note(course)

    def follow(
        self,
        course: Course,
        passed: bool,
        received: str,
        added: int,
        now_ns: int,
        wall_ns: int,
        effects: list[Effect],
    ) -> None:
        """What a check that is not probed comes to: a file was read, a session told.

        added is what it adds to the weight.
        """
        before = course.verdict
        event = ProbeEnded(0, Outcome.PASSED if passed else Outcome.FAILED, received, 0, wall_ns)
        self.count(course, event, passed, effects)
        reweighted = course.settle_value(added, passed)
        self.tell(course, before, event, reweighted, now_ns, effects)

    def local_error(self, course: Course, error: str, effects: list[Effect]) -> None:
        """A failure of this host's own making counts for nothing."""
        if not self._tally.local_errors[error]:
            effects.append(Log("error", f"cannot probe {course.target}: {error}"))
        self._tally.local_errors[error] += 1

    def _changed(
        self, course: Course, before: Verdict, event: ProbeEnded, now_ns: int, effects: list[Effect]
    ) -> None:
        course.changes += 1
        course.since_ns = event.wall_ns
        self._tally.verdicts[before] -= 1
        self._tally.verdicts[course.verdict] += 1
        effects.append(self.announcer.tell(course, now_ns))
        sentence = f"{course.kind} of {course.target} is {course.verdict.value}"
        effects.append(Log("info", sentence, {"was": before.value, "received": event.received}))
