"""checker's machine: runs each distinct check on its schedule and tells what the probes say.

Law of this file: a verdict comes from probes and from nothing else. A failure of this host, a reload, a
restart, or a lack of time never changes one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from keepbus.config.model.checker import Check, CheckerSection
from keepbus.contracts.bfd import Session
from keepbus.contracts.checker import Certificate, CheckVerdict, Statistics, Verdict
from keepbus.runtime.machine import (
    BusMessage,
    Configured,
    Effect,
    Event,
    Exit,
    Log,
    Publish,
    StopRequested,
)
from keepbus_checker import wording
from keepbus_checker.announcer import Announcer
from keepbus_checker.certificates import Certificates
from keepbus_checker.course import ENDING, Course, effect_of, measured
from keepbus_checker.effects import (
    AbortProbe,
    Confine,
    EndScript,
    ForgetCheck,
    RunScript,
    StartProbe,
    StartProbes,
    WatchFile,
)
from keepbus_checker.events import (
    CertificateSeen,
    FileRead,
    Outcome,
    ProbeEnded,
    ProbesAdvanced,
    ProbesPassed,
)
from keepbus_checker.results import Results
from keepbus_checker.schedule import Schedule
from keepbus_checker.sessions import Sessions
from keepbus_checker.spread import Spread
from keepbus_checker.suspension import Suspension
from keepbus_checker.tally import Tally
from keepbus_checker.tracking import Trackers

FIRST_RUN_NS = 1_000_000_000
"""keepalived's pause before the first run of a check."""
KILL_AFTER_NS = 2_000_000_000
"""From SIGTERM to SIGKILL of a script over its time limit."""
KILL_AGAIN_NS = 10_000_000_000
_HOUSEKEEPING_NS = 500_000_000
_STATISTICS_NS = 5_000_000_000
_MOST_STARTS_PER_TURN = 64
_UP = Verdict.UP


class Machine:
    """One per process. See keepbus.runtime.machine.Machine."""

    def __init__(self, *, seed: int, most_open: int) -> None:
        """seed spreads the starts; most_open bounds the probes under way."""
        self._spread = Spread(seed)
        self._most_open = most_open
        self._schedule = Schedule()
        self._courses: dict[str, Course] = {}
        self._probing: dict[int, Course] = {}
        self._last_probe = 0
        self._wall_offset_ns = 0
        self._configured = False
        self._section = CheckerSection()
        self._marks = False
        """Packets may be marked, if the node may do so."""
        self._stopping = False
        self._housekeeping_at_ns: int | None = None
        self._statistics_at_ns = 0
        self._statistics = Statistics()
        """As told last."""
        self._targets = 0
        self._tally = Tally()
        self._suspension = Suspension()
        self._certificates = Certificates()
        self._trackers = Trackers(self._tally)
        self._results = Results(self._tally)
        self._sessions = Sessions(self._results)

    def wake_at_ns(self) -> int | None:
        """When the next probe starts or ends, or something is to be told."""
        if self._stopping:
            return None
        wake_at_ns = self._schedule.wake_at_ns(starts=len(self._probing) < self._most_open)
        for at_ns in (
            self._housekeeping_at_ns,
            self._results.announcer.wake_at_ns(),
            self._trackers.wake_at_ns(),
            self._certificates.wake_at_ns(),
        ):
            if at_ns is not None and (wake_at_ns is None or at_ns < wake_at_ns):
                wake_at_ns = at_ns
        return wake_at_ns

    def turn(self, now_ns: int, events: Sequence[Event]) -> Iterable[Effect]:
        """See keepbus.runtime.machine.Machine."""
        effects: list[Effect] = self._trackers.turn(now_ns, events)
        for event in events:
            kind = type(event)
            if kind is ProbesPassed:
                self._probes_passed(event, now_ns, effects)
            elif kind is ProbesAdvanced:
                self._probes_advanced(event, now_ns)
            elif kind is ProbeEnded:
                self._probe_ended(event, now_ns, effects)
            elif kind is FileRead:
                self._file_read(event, now_ns, effects)
            elif kind is CertificateSeen:
                self._certificates.seen(event, self._courses.get(event.check), now_ns, effects)
            elif kind is BusMessage:
                self._bus_message(event, now_ns, effects)
            elif kind is Configured:
                self._configure(event, now_ns, effects)
            elif kind is StopRequested:
                self._stop(effects)
        if self._stopping:
            return effects
        for course in self._schedule.take_overdue(now_ns):
            self._overdue(course, now_ns, effects)
        self._start_due(now_ns, effects)
        if self._housekeeping_at_ns is not None and now_ns >= self._housekeeping_at_ns:
            self._keep_house(now_ns, effects)
        self._certificates.tick(now_ns, now_ns + self._wall_offset_ns, effects)
        effects.extend(self._results.announcer.tick(now_ns))
        return effects

    # Probes

    def _start_due(self, now_ns: int, effects: list[Effect]) -> None:
        probing = self._probing
        probes: list[StartProbe] = []
        number = self._last_probe
        room = min(self._most_open - len(probing), _MOST_STARTS_PER_TURN)
        for course in self._schedule.take_due(now_ns, room):
            if course.gone or self._suspension.puts_off(course, now_ns, self._schedule):
                continue
            check = course.check
            number += 1
            course.probe = number
            course.started_at_ns = now_ns
            course.step = course.first_step
            probing[number] = course
            self._schedule.guard(course, now_ns + course.timeout_ns)
            if now_ns - course.due_at_ns > course.delay_ns // 10:
                self._tally.late += 1
            if check.misc is None:
                probes.append(StartProbe(number, check, course.url))
            else:
                user, secure = self._section.script_user, self._section.enable_script_security
                effects.append(RunScript(number, check.misc, user, secure))
        if probes:
            effects.append(StartProbes(probes))
        self._last_probe = number

    def _probes_advanced(self, event: ProbesAdvanced, now_ns: int) -> None:
        probing, step = self._probing, event.step
        for number in event.probes:
            course = probing.get(number)
            if course is not None:
                course.step = step
                self._schedule.guard(course, min(now_ns + course.timeout_ns, course.limit_at_ns()))

    def _probes_passed(self, event: ProbesPassed, now_ns: int, effects: list[Effect]) -> None:
        """As if each had ended by itself, but with little to do for those that bring nothing new."""
        wall_ns = event.wall_ns
        self._wall_offset_ns = wall_ns - now_ns
        probing = self._probing
        nothing_new: list[Course] = []
        for number, took_us, received in event.passed:
            course = probing.get(number)
            if course is None:
                continue
            told_alone = course.several_urls or not course.waits_for_telling
            if course.verdict is not _UP or course.retries_used or told_alone:
                ended = ProbeEnded(number, Outcome.PASSED, received, took_us, wall_ns)
                self._probe_ended(ended, now_ns, effects)
                continue
            del probing[number]
            course.probe = 0
            course.probes += 1
            course.received = received
            course.took_us = took_us
            course.ended_wall_ns = wall_ns
            nothing_new.append(course)
        self._tally.probes += len(nothing_new)
        self._schedule.start_all_after(nothing_new, now_ns)

    def _probe_ended(self, event: ProbeEnded, now_ns: int, effects: list[Effect]) -> None:
        self._wall_offset_ns = event.wall_ns - now_ns
        course = self._probing.pop(event.probe, None)
        if course is None:
            return
        course.probe = 0
        if course.step == ENDING:
            # Its failure was counted when its time was over.
            self._schedule.start_after(course, now_ns, max(0, course.next_at_ns - now_ns))
        elif event.outcome == Outcome.LOCAL:
            self._results.local_error(course, event.received, effects)
            self._schedule.start_after(course, now_ns, course.delay_ns)
        else:
            self._settle(course, event, now_ns, effects)

    def _overdue(self, course: Course, now_ns: int, effects: list[Effect]) -> None:
        """The probe under way has had its time: give it up."""
        number = course.probe
        if course.check.misc is None:
            self._abort(course, effects)
        elif not self._end_script(course, now_ns, effects):
            return
        outcome = Outcome.FAILED
        if course.silence_passes:
            outcome, received = Outcome.PASSED, f"no error within {wording.seconds(course.timeout_ns)}"
        else:
            received = course.overdue(now_ns)
        took_us = (now_ns - course.started_at_ns) // 1000
        event = ProbeEnded(number, outcome, received, took_us, now_ns + self._wall_offset_ns)
        self._settle(course, event, now_ns, effects)

    def _end_script(self, course: Course, now_ns: int, effects: list[Effect]) -> bool:
        """SIGTERM, then SIGKILL until it ends; True the first time, when the failure is to be counted.

        It counts at once: a script that nothing can end must not keep its server up.
        """
        first = course.step != ENDING
        course.step = ENDING
        effects.append(EndScript(course.probe, forced=not first))
        self._schedule.guard(course, now_ns + (KILL_AFTER_NS if first else KILL_AGAIN_NS))
        return first

    def _settle(self, course: Course, event: ProbeEnded, now_ns: int, effects: list[Effect]) -> None:
        """Count a result, plan the next probe, tell what is new."""
        before = course.verdict
        passed = event.outcome == Outcome.PASSED
        self._results.count(course, event, passed, effects)
        pause_ns = course.settle(passed) * 1000
        reweighted = passed and event.weight != course.weight
        if reweighted:
            course.weight = event.weight
        if course.check.misc is not None:
            # From start to start.
            course.next_at_ns = course.started_at_ns + pause_ns
            pause_ns = max(0, course.next_at_ns - now_ns)
        if not course.probe:
            self._schedule.start_after(course, now_ns, pause_ns)
        self._results.tell(course, before, event, reweighted, now_ns, effects)

    def _file_read(self, event: FileRead, now_ns: int, effects: list[Effect]) -> None:
        course = self._courses.get(event.watcher)
        if course is None or course.check.file is None:
            return
        if event.error:
            self._results.local_error(course, event.error, effects)
        number = event.number
        if number is None:
            if event.error or course.probes:
                return  # the earlier value stays
            number = 0
        added, passed = effect_of(course.check.file, number)
        self._results.follow(course, passed, f"value {number}", added, now_ns, event.wall_ns, effects)

    # Configuration, predecessor, end

    def _configure(self, event: Configured, now_ns: int, effects: list[Effect]) -> None:
        section: CheckerSection = event.section
        self._section = section
        self._wall_offset_ns = event.wall_ns - now_ns
        first_start = not self._configured
        if first_start:
            self._configured = True
            if section.random_seed is not None:
                self._spread = Spread(section.random_seed)
            self._results.announcer = Announcer(now_ns)
            self._statistics_at_ns = now_ns + _STATISTICS_NS
        wanted = {check.id: check for check in section.checks}
        marks = any(check.fwmark for check in section.checks)
        if first_start:
            self._marks = marks
            effects.append(Confine(marks))
        elif marks and not self._marks:
            effects.append(Log("info", "starts anew: what `fwmark` asks for was given up"))
            self._stop(effects)
            return
        # What was taken over from the last configuration is the same object; to compare fields takes long.
        replaced = (course for name, course in self._courses.items() if wanted.get(name) is not course.check)
        removed = [course for course in replaced if wanted.get(course.check.id) != course.check]
        for course in removed:
            self._remove(course, wanted, effects)
        known = {measured(course.check): course for course in removed}
        for check in wanted.values():
            if check.id not in self._courses:
                before = known.get(measured(check)) if known else None
                self._add(check, before, first_start, now_ns, event.wall_ns, effects)
        at_work = self._courses or self._trackers.words()
        self._housekeeping_at_ns = now_ns + _HOUSEKEEPING_NS if at_work else None
        self._targets = len({course.target for course in self._courses.values()})
        effects.append(self._tally.report(len(self._courses), self._targets, self._trackers.words()))

    def _add(
        self,
        check: Check,
        before: Course | None,
        first_start: bool,
        now_ns: int,
        wall_ns: int,
        effects: list[Effect],
    ) -> None:
        """before measured the same until now."""
        course = Course(check, first_start=first_start, wall_ns=wall_ns)
        self._courses[check.id] = course
        if before is not None and before.verdict is not Verdict.UNKNOWN:
            course.adopt(before.told())
            effects.append(self._results.announcer.tell(course, now_ns))
        self._tally.verdicts[course.verdict] += 1
        if check.file is not None:
            effects.append(WatchFile(check.id, check.file))
            return
        if check.bfd:
            self._sessions.follow(course, now_ns, wall_ns, effects)
            return
        warmup_ns = check.warmup_us * 1000
        self._schedule.start_after(course, now_ns, FIRST_RUN_NS + self._spread.below(warmup_ns + 1))
        self._results.announcer.note(course)

    def _remove(self, course: Course, wanted: dict[str, Check], effects: list[Effect]) -> None:
        course.gone = True
        del self._courses[course.check.id]
        self._sessions.forget(course)
        self._tally.verdicts[course.verdict] -= 1
        self._abort(course, effects)
        effects.append(ForgetCheck(course.check.id))
        self._certificates.forget(course.check.id, effects)
        if course.check.id not in wanted:
            effects.append(self._results.announcer.withdraw(course))

    def _abort(self, course: Course, effects: list[Effect]) -> None:
        if course.probe:
            del self._probing[course.probe]
            if course.check.misc is None:
                effects.append(AbortProbe(course.probe))
            else:
                effects.append(EndScript(course.probe, forced=True))
            course.probe = 0

    def _bus_message(self, event: BusMessage, now_ns: int, effects: list[Effect]) -> None:
        """Take over the verdict of an earlier process, unless this one has its own by now."""
        told = event.message.body
        self._suspension.hear(event.message.topic, told)
        if isinstance(told, Session):
            self._sessions.hear(told, now_ns, event.wall_ns, effects)
        elif isinstance(told, Certificate):
            effects.extend(self._certificates.adopt(told, self._courses, now_ns))
        if not isinstance(told, CheckVerdict):
            return
        course = self._courses.get(told.check)
        if course is None or course.adopted or course.probes:
            return
        self._tally.verdicts[course.verdict] -= 1
        course.adopt(told)
        self._tally.verdicts[course.verdict] += 1
        effects.append(self._results.announcer.tell(course, now_ns))

    def _stop(self, effects: list[Effect]) -> None:
        """Verdicts stay on the bus for the next process; only descriptors are given back."""
        self._stopping = True
        for course in list(self._probing.values()):
            self._abort(course, effects)
        effects.append(Exit())

    # What it says of itself

    def _keep_house(self, now_ns: int, effects: list[Effect]) -> None:
        self._housekeeping_at_ns = now_ns + _HOUSEKEEPING_NS
        effects.append(self._tally.report(len(self._courses), self._targets, self._trackers.words()))
        if now_ns >= self._statistics_at_ns:
            self._statistics_at_ns = now_ns + _STATISTICS_NS
            statistics = self._tally.statistics(len(self._courses), len(self._probing))
            if statistics != self._statistics:
                self._statistics = statistics
                effects.append(Publish(statistics))
