"""Watches what virtual routers track: scripts, processes and files (features 7.2 to 7.4).

Law of this file: a verdict comes from a run, a count or a number, and from nothing else. What this host
cannot do counts for nothing; a verdict that was never reached is told as unknown only then, so that nobody
waits for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from keepbus.config.model.checker import CheckerSection, MiscCommand
from keepbus.config.model.tracking import TrackerKind
from keepbus.contracts.checker import Tracker, Verdict
from keepbus.contracts.message import quote
from keepbus.runtime.machine import (
    BusMessage,
    Configured,
    Effect,
    Event,
    Log,
    Publish,
    StopRequested,
    Withdraw,
)
from keepbus_checker.effects import EndScript, ForgetCheck, RunScript, WatchFile, WatchProcesses
from keepbus_checker.events import FileRead, Outcome, ProbeEnded, ProcessesCounted
from keepbus_checker.tally import Tally
from keepbus_checker.trackers import FileTracker, ProcessTracker, ScriptTracker, Watched

HEARING_NS = 500_000_000
"""So long the first process of a node waits for what an earlier one said, before it runs a script anew."""
KILL_AFTER_NS = 2_000_000_000
"""From SIGTERM to SIGKILL of a script over its time limit."""
KILL_AGAIN_NS = 10_000_000_000
_REFRESH_NS = 5_000_000_000
"""A verdict that stays is told again with fresh evidence at most this often."""


class Trackers:
    """All of them; turned by the service's machine."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._section = CheckerSection()
        self._configured = False
        self._stopped = False
        self._watched: dict[str, Watched] = {}
        self._runs: dict[int, ScriptTracker] = {}
        self._last_run = 0
        """Runs of trackers have negative numbers: probes have positive ones."""
        self._scans_at_ns: int | None = None
        """When processes are looked for first."""
        self._wall_offset_ns = 0
        self._wake_at_ns: int | None = None
        self._effects: list[Effect] = []
        self._handlers: dict[type, Callable[..., None]] = {
            Configured: self._configure,
            BusMessage: self._bus_message,
            ProbeEnded: self._ended,
            ProcessesCounted: self._counted,
            FileRead: self._read,
            StopRequested: self._stop,
        }

    def turn(self, now_ns: int, events: Sequence[Event]) -> list[Effect]:
        """As a machine's."""
        effects = self._effects = []
        moved = False
        for event in events:
            handler = self._handlers.get(type(event))
            if handler is not None and (self._watched or type(event) is Configured):
                handler(event, now_ns)
                moved = True
        if self._wake_at_ns is not None and now_ns >= self._wake_at_ns:
            self._tick(now_ns)
            moved = True
        if moved and not self._stopped:
            self._wake_at_ns = min(self._moments(), default=None)
        return effects

    def wake_at_ns(self) -> int | None:
        """When something is due; None: never."""
        return self._wake_at_ns

    def words(self) -> str:
        """`3 trackers: 2 up, 1 down`; empty when there are none."""
        count = len(self._watched)
        if not count:
            return ""
        verdicts = [each.verdict for each in self._watched.values()]
        told = ", ".join(f"{verdicts.count(each)} {each.value}" for each in Verdict if each in verdicts)
        return f"{count} tracker{'s' if count > 1 else ''}: {told}"

    # The clock

    def _moments(self) -> Iterator[int]:
        if self._scans_at_ns is not None:
            yield self._scans_at_ns
        for each in self._watched.values():
            if isinstance(each, ScriptTracker):
                yield each.due_at_ns
                if each.run:
                    yield each.deadline_at_ns
            elif isinstance(each, ProcessTracker) and each.turns_at_ns is not None:
                yield each.turns_at_ns
            if each.has_news:
                yield each.told_at_ns + _REFRESH_NS

    def _tick(self, now_ns: int) -> None:
        if self._scans_at_ns is not None and now_ns >= self._scans_at_ns:
            self._scans_at_ns = None
            self._effects.append(WatchProcesses(self._section.track_processes))
        for each in self._watched.values():
            if isinstance(each, ScriptTracker):
                if each.run and now_ns >= each.deadline_at_ns:
                    self._overdue(each, now_ns)
                if now_ns >= each.due_at_ns:
                    self._start(each, now_ns)
            elif isinstance(each, ProcessTracker) and each.is_to_turn(now_ns):
                self._settle(each, each.turn, now_ns, now_ns + self._wall_offset_ns)
            if each.has_news and now_ns >= each.told_at_ns + _REFRESH_NS:
                self._tell(each, now_ns)

    # Scripts

    def _start(self, tracker: ScriptTracker, now_ns: int) -> None:
        """A slot of the script's interval; one that finds it running is left out."""
        interval_ns = tracker.config.interval_us * 1000
        tracker.due_at_ns += ((now_ns - tracker.due_at_ns) // interval_ns + 1) * interval_ns
        if tracker.run:
            return
        self._last_run -= 1
        tracker.run = self._last_run
        tracker.ending = False
        tracker.deadline_at_ns = now_ns + tracker.config.timeout_us * 1000
        self._runs[tracker.run] = tracker
        command = MiscCommand(script=tracker.config.script, timeout_us=tracker.config.timeout_us)
        section = self._section
        self._effects.append(
            RunScript(tracker.run, command, section.script_user, section.enable_script_security)
        )

    def _ended(self, event: ProbeEnded, now_ns: int) -> None:
        tracker = self._runs.pop(event.probe, None)
        if tracker is None:
            return
        tracker.run = 0
        self._wall_offset_ns = event.wall_ns - now_ns
        if tracker.ending:
            return  # its failure was counted when its time was over
        if event.outcome is Outcome.LOCAL:
            self._local_error(tracker, event.received, now_ns, event.wall_ns)
            return
        passed = event.outcome is Outcome.PASSED
        tracker.note(event.received, event.took_us, event.wall_ns)
        self._settle(tracker, lambda: tracker.count(passed), now_ns, event.wall_ns)

    def _overdue(self, tracker: ScriptTracker, now_ns: int) -> None:
        """It counts at once: a script that nothing can end must not keep its routers up."""
        first = not tracker.ending
        tracker.ending = True
        self._effects.append(EndScript(tracker.run, forced=not first))
        tracker.deadline_at_ns = now_ns + (KILL_AFTER_NS if first else KILL_AGAIN_NS)
        if first:
            wall_ns = now_ns + self._wall_offset_ns
            timeout_us = tracker.config.timeout_us
            tracker.note(f"not ended within {timeout_us / 1e6:g} s", timeout_us, wall_ns)
            self._settle(tracker, lambda: tracker.count(False), now_ns, wall_ns)

    # Processes and files

    def _counted(self, event: ProcessesCounted, now_ns: int) -> None:
        tracker = self._watched.get(f"{TrackerKind.PROCESS}:{event.tracker}")
        if not isinstance(tracker, ProcessTracker):
            return
        self._wall_offset_ns = event.wall_ns - now_ns
        if event.number is None:
            self._local_error(tracker, event.error, now_ns, event.wall_ns)
            return
        count = event.number
        tracker.note(f"{count} of {tracker.quorum}", 0, event.wall_ns)
        self._settle(tracker, lambda: tracker.take(count, now_ns), now_ns, event.wall_ns)

    def _read(self, event: FileRead, now_ns: int) -> None:
        tracker = self._watched.get(event.watcher)
        if not isinstance(tracker, FileTracker):
            return
        if event.error:
            self._local_error(tracker, event.error, now_ns, event.wall_ns)
        number = event.number
        if number is None:
            if event.error or tracker.runs:
                return  # the earlier value stays
            number = 0
        taken = number
        tracker.note(f"value {taken}", 0, event.wall_ns)
        self._settle(tracker, lambda: tracker.take(taken), now_ns, event.wall_ns)

    # Verdicts

    def _settle(self, tracker: Watched, change: Callable[[], None], now_ns: int, wall_ns: int) -> None:
        """Take a result; tell a verdict that changed at once, and what stays now and then."""
        before = tracker.says
        change()
        if tracker.says == before:
            tracker.has_news = True
            return
        tracker.changes += 1
        tracker.since_ns = wall_ns
        received = "" if tracker.evidence is None else tracker.evidence.received
        sentence = f"{tracker.kind} {tracker.name} is {tracker.verdict.value}"
        self._effects.append(Log("info", sentence, {"was": before[0].value, "received": received}))
        self._tell(tracker, now_ns)

    def _tell(self, tracker: Watched, now_ns: int) -> None:
        tracker.told_at_ns = now_ns
        tracker.has_news = False
        self._effects.append(Publish(tracker.told()))

    def _local_error(self, tracker: Watched, error: str, now_ns: int, wall_ns: int) -> None:
        """Counts for nothing. Who waits for a first verdict is told not to."""
        if not self._tally.local_errors[error]:
            self._effects.append(Log("error", f"cannot watch {tracker.kind} {tracker.name}: {error}"))
        self._tally.local_errors[error] += 1
        if tracker.verdict is Verdict.UNKNOWN and not tracker.told_at_ns:
            tracker.note(error, 0, wall_ns)
            self._tell(tracker, now_ns)

    def _bus_message(self, event: BusMessage, now_ns: int) -> None:
        """Go on from what an earlier process said, unless there is a result of this one."""
        told = event.message.body
        if not isinstance(told, Tracker):
            return
        tracker = self._watched.get(told.tracker)
        if tracker is None or told.verdict is Verdict.UNKNOWN:
            return
        if tracker.verdict is Verdict.UNKNOWN or tracker.goes_on(told):
            tracker.adopt(told)
            self._tell(tracker, now_ns)
            if isinstance(tracker, ScriptTracker):
                tracker.due_at_ns = min(tracker.due_at_ns, now_ns)

    # Configuration and the end

    def _configure(self, event: Configured, now_ns: int) -> None:
        section: CheckerSection = event.section
        processes_before = self._section.track_processes
        self._section = section
        self._wall_offset_ns = event.wall_ns - now_ns
        first_at_ns = now_ns if self._configured else now_ns + HEARING_NS
        wanted: list[Watched] = [
            *(ScriptTracker(script, first_at_ns) for script in section.track_scripts),
            *(ProcessTracker(process) for process in section.track_processes),
            *(FileTracker(file) for file in section.track_files),
        ]
        before = self._watched
        self._watched = {fresh.id: _go_on(before.get(fresh.id), fresh) for fresh in wanted}
        for gone in before.values():
            if self._watched.get(gone.id) is not gone:
                self._remove(gone)
        for each in self._watched.values():
            if isinstance(each, FileTracker) and before.get(each.id) is not each:
                self._effects.append(WatchFile(each.id, each.config))
        if section.track_processes != processes_before:
            if self._configured:
                self._effects.append(WatchProcesses(section.track_processes))
            else:
                self._scans_at_ns = first_at_ns
        self._configured = True

    def _remove(self, tracker: Watched) -> None:
        if isinstance(tracker, ScriptTracker) and tracker.run:
            del self._runs[tracker.run]
            self._effects.append(EndScript(tracker.run, forced=True))
        if isinstance(tracker, FileTracker):
            self._effects.append(ForgetCheck(tracker.id))
        if tracker.id not in self._watched:
            self._effects.append(Withdraw(f"{Tracker.TOPIC}/{quote(tracker.id)}"))

    def _stop(self, _event: StopRequested, _now_ns: int) -> None:
        """Verdicts stay on the bus for the next process."""
        self._stopped = True
        self._wake_at_ns = None
        self._effects.extend(EndScript(run, forced=True) for run in self._runs)


def _go_on(running: Watched | None, fresh: Watched) -> Watched:
    """What watches the same already is not disturbed."""
    return running if running is not None and running.takes(fresh) else fresh
