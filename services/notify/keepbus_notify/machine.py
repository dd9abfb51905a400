"""Which script runs next: pure, no process and no file.

Law of this file: per instance one script at a time, in the order of the transitions, each at most once. The
number of a transition within its life decides what is new, never the message that carried it. An entry in
the ledger comes before the start that it tells of, so that after a crash a script is missing rather than
run twice. The newest state is always delivered: what a full queue loses is the oldest.
"""

from __future__ import annotations

from collections.abc import Sequence

from keepbus.config.model import NotifyKind, NotifySection, NotifyTarget
from keepbus.contracts.common import Status
from keepbus.contracts.message import Message, quote
from keepbus.contracts.notify import ScriptRun
from keepbus.contracts.vrrp import Instance, SyncGroup, Transition
from keepbus.runtime.machine import (
    BusMessage,
    Configured,
    Effect,
    Event,
    Exit,
    Log,
    Publish,
    Report,
    StopRequested,
    Withdraw,
)
from keepbus_notify.effects import (
    AppendLedger,
    EndScript,
    Examine,
    LedgerEntry,
    ReadLedger,
    StartScript,
)
from keepbus_notify.events import Examined, LedgerFailed, LedgerRead, LedgerWritten, ScriptEnded
from keepbus_notify.plan import commands, plan
from keepbus_notify.subject import Job, Progress, Subject

INSTANCES = "state/vrrp/instance/"
GROUPS = "state/vrrp/group/"
DEFAULT_TIME_LIMIT_NS = 60_000_000_000
MOST_AT_ONCE = 16
"""Scripts of different instances that run at the same time."""
MOST_WAITING = 32
"""Transitions of one instance that may wait for their scripts."""
KILL_AFTER_NS = 2_000_000_000
"""From SIGTERM to SIGKILL of a script over its time limit."""
STOP_READ_NS = 150_000_000
"""How long a stopping notify still listens: vrrp's last words may be on their way."""
STOP_SCRIPTS_NS = 1_000_000_000
"""What scripts get when the node stops, as in keepalived."""
STOP_KILL_NS = 1_300_000_000
STOP_EXIT_NS = 1_600_000_000


class Machine:
    """Takes instance states and ended scripts; answers with scripts to start and what to tell."""

    def __init__(self, time_limit_ns: int = DEFAULT_TIME_LIMIT_NS) -> None:
        """time_limit_ns: what one script may take; 0: no limit."""
        self._time_limit_ns = time_limit_ns
        self._section = NotifySection()
        self._targets: dict[str, NotifyTarget] = {}
        self._subjects: dict[str, Subject] = {}
        self._progress: dict[tuple[str, str], Progress] = {}
        self._running: dict[int, Subject] = {}
        self._changed: dict[str, Subject] = {}
        """Whose state is to be told at the end of this turn."""
        self._runs = 0
        self._started_wall_ns = 0
        self._stop_at_ns: int | None = None
        self._stop_step = 0
        self._refused: tuple[str, ...] = ()
        self._ledger_error = ""

    def wake_at_ns(self) -> int | None:
        """The next time limit, or the next step of stopping."""
        due = [
            subject.running.deadline_ns
            for subject in self._running.values()
            if subject.running is not None and subject.running.deadline_ns
        ]
        if self._stop_at_ns is not None:
            due.append(self._stop_at_ns + _STOP_STEPS_NS[self._stop_step])
        return min(due, default=None)

    def turn(self, now_ns: int, events: Sequence[Event]) -> list[Effect]:
        """Take the events in order, then end what is over its time, then start what is due."""
        out: list[Effect] = []
        for event in events:
            if type(event) is BusMessage:
                self._heard(event.message, out)
            elif type(event) is ScriptEnded:
                self._ended(event, out)
            elif type(event) is Configured:
                self._configured(event, out)
            elif type(event) is LedgerRead:
                self._progress = Progress.replay(LedgerEntry(*entry) for entry in event.entries)
            elif type(event) is Examined:
                self._examined(event, out)
            elif type(event) is LedgerFailed:
                self._ledger(event.error, out)
            elif type(event) is LedgerWritten:
                self._ledger("", out)
            elif type(event) is StopRequested:
                # The second request is impatience: end at once.
                self._stop_at_ns = now_ns if self._stop_at_ns is None else now_ns - STOP_EXIT_NS
        self._limit(now_ns, out)
        self._start(now_ns, out)
        self._tell(out)
        if self._stop_at_ns is not None:
            self._stop(now_ns, self._stop_at_ns, out)
        return out

    def _configured(self, event: Configured, out: list[Effect]) -> None:
        if not self._started_wall_ns:
            self._started_wall_ns = event.wall_ns
            out.append(ReadLedger())
        self._section = event.section
        self._targets = {target.object: target for target in self._section.targets}
        out.append(Examine(tuple(commands(self._section))))

    def _examined(self, event: Examined, out: list[Effect]) -> None:
        self._refused = event.refused
        out.extend(Log("error", sentence) for sentence in event.refused)
        out.extend(Log("warning", sentence) for sentence in event.warned)
        self._report(out)

    def _ledger(self, error: str, out: list[Effect]) -> None:
        if error != self._ledger_error:
            self._ledger_error = error
            if error:
                out.append(Log("error", self._ledger_sentence()))
            self._report(out)

    def _ledger_sentence(self) -> str:
        return (
            f"the ledger of scripts cannot be written ({self._ledger_error}): until it can, "
            "a restart of notify may run a script twice; make room in the run directory"
        )

    def _report(self, out: list[Effect]) -> None:
        scripts = sum(1 for _ in commands(self._section))
        if self._ledger_error:
            out.append(Report(Status.DEGRADED, self._ledger_sentence()))
        elif self._refused:
            more = f" (and {len(self._refused) - 1} more)" if len(self._refused) > 1 else ""
            out.append(Report(Status.DEGRADED, self._refused[0] + more))
        elif not scripts:
            out.append(Report(Status.IDLE, "the configuration has no notify scripts"))
        else:
            out.append(Report(Status.READY, f"runs the scripts of {', '.join(self._targets)}"))

    def _heard(self, message: Message, out: list[Effect]) -> None:
        if not message.topic.startswith((INSTANCES, GROUPS)):
            return
        body: Instance | SyncGroup | None = message.body
        if body is None:
            self._withdrawn(message.topic)
            return
        name = body.name if isinstance(body, Instance) else f"{NotifyKind.GROUP} {body.name}"
        progress = self._progress.setdefault((name, body.life), Progress())
        new = [transition for transition in body.history if transition.number > progress.known]
        missed = (new[0].number if new else body.transitions + 1) - progress.known - 1
        if not new and missed <= 0:
            return
        subject = self._subjects.get(name)
        if subject is None:
            subject = self._subjects[name] = Subject(name=name, topic=message.topic)
        subject.gone = False
        if subject.life != body.life:
            subject.life, subject.notified = body.life, progress.known
        if missed > 0:
            self._lose(subject, missed, "before notify heard of them", out)
            progress.known, progress.started = progress.known + missed, frozenset()
        for transition in new:
            self._queue(subject, progress, transition, message.header.id, out)
        self._changed[subject.name] = subject

    def _queue(
        self, subject: Subject, progress: Progress, transition: Transition, cause: str, out: list[Effect]
    ) -> None:
        planned = plan(self._section, self._targets.get(subject.name), transition)
        # An earlier process may have ended between the two scripts of one transition.
        planned = [script for script in planned if script.keyword not in progress.started]
        progress.known, progress.started = transition.number, frozenset()
        if not planned and not subject.queue and subject.running is None:
            subject.notified = transition.number
            out.append(_passed(subject.name, subject.life, transition.number))
            return
        for script in planned:
            subject.queue.append(
                Job(
                    life=subject.life,
                    number=transition.number,
                    state=transition.to_state,
                    keyword=script.keyword,
                    command=script.command,
                    last=script is planned[-1],
                    late=transition.at_ns < self._started_wall_ns,
                    cause=cause,
                )
            )
        waiting = subject.waiting()
        if len(waiting) > MOST_WAITING:
            dropped = subject.drop(waiting[0])
            self._lose(subject, 1, "in a full queue behind a script that takes long", out)
            out.append(_passed(subject.name, dropped.life, dropped.number))

    def _lose(self, subject: Subject, count: int, how: str, out: list[Effect]) -> None:
        subject.lost += count
        if subject.name in self._targets:
            out.append(Log("warning", f"{count} transitions of {subject.name} were lost {how}"))

    def _withdrawn(self, topic: str) -> None:
        for subject in self._subjects.values():
            if subject.topic == topic:
                subject.gone = True
                self._changed[subject.name] = subject

    def _forget_if_done(self, subject: Subject, out: list[Effect]) -> None:
        if subject.gone and not subject.queue and subject.running is None:
            self._subjects.pop(subject.name, None)
            if subject.told:
                out.append(Withdraw(f"state/notify/object/{quote(subject.name)}"))

    def _start(self, now_ns: int, out: list[Effect]) -> None:
        if self._stop_step > _STOP_END_SCRIPTS:
            return
        for subject in list(self._subjects.values()):
            if len(self._running) >= MOST_AT_ONCE:
                return
            if subject.running is not None or not subject.queue:
                continue
            # Who was served goes to the end, so that no instance waits behind one that flaps.
            self._subjects[subject.name] = self._subjects.pop(subject.name)
            job = subject.queue.popleft()
            self._runs += 1
            job.run = self._runs
            job.deadline_ns = now_ns + self._time_limit_ns if self._time_limit_ns else 0
            subject.begin(job)
            self._running[job.run] = subject
            entry = LedgerEntry(subject.name, job.life, job.number, job.keyword, job.last)
            out.append(AppendLedger(entry, durable=True))
            out.append(StartScript(job.run, job.label(subject.name), job.command))
            self._changed[subject.name] = subject

    def _limit(self, now_ns: int, out: list[Effect]) -> None:
        for subject in self._running.values():
            job = subject.running
            if job is None or not job.deadline_ns or now_ns < job.deadline_ns:
                continue
            out.append(EndScript(job.run, forced=job.timed_out))
            if not job.timed_out:
                limit_s = self._time_limit_ns / 1e9
                out.append(
                    Log("warning", f"{job.label(subject.name)} is ended: it took more than {limit_s:g} s")
                )
            job.deadline_ns = 0 if job.timed_out else now_ns + KILL_AFTER_NS
            job.timed_out = True

    def _ended(self, event: ScriptEnded, out: list[Effect]) -> None:
        subject = self._running.pop(event.run, None)
        job = subject.end(event.exit_status) if subject is not None else None
        if subject is None or job is None:
            return
        label = job.label(subject.name)
        if event.exit_status:
            how = f"signal {-event.exit_status}" if event.exit_status < 0 else f"status {event.exit_status}"
            why = f": {event.error}" if event.error else ""
            out.append(Log("warning", f"{label} failed with {how}{why}"))
        else:
            out.append(Log("info", f"{label} ran", {"took_ms": event.took_us // 1000, "user": event.user}))
        run = ScriptRun(
            name=subject.name,
            life=job.life,
            number=job.number,
            state=job.state,
            script=job.keyword,
            command=job.command.argv,
            user=event.user,
            started_ns=event.started_ns,
            took_us=event.took_us,
            exit_status=event.exit_status,
            timed_out=job.timed_out,
            late=job.late,
            error=event.error if event.exit_status else "",
        )
        out.append(Publish(run, job.cause))
        self._changed[subject.name] = subject

    def _tell(self, out: list[Effect]) -> None:
        for subject in self._changed.values():
            if subject.name in self._targets or subject.told:
                subject.told = True
                out.append(Publish(subject.state()))
            self._forget_if_done(subject, out)
        self._changed.clear()

    def _stop(self, now_ns: int, stop_at_ns: int, out: list[Effect]) -> None:
        idle = not self._running and not any(subject.queue for subject in self._subjects.values())
        if idle and now_ns >= stop_at_ns + STOP_READ_NS:
            out.append(Exit())
            return
        while now_ns >= stop_at_ns + _STOP_STEPS_NS[self._stop_step]:
            step = self._stop_step
            if step == len(_STOP_STEPS_NS) - 1:
                out.append(Exit())
                return
            if step >= _STOP_END_SCRIPTS:
                # What was not started is not in the ledger: the next notify runs it, marked late.
                for subject in self._subjects.values():
                    subject.queue.clear()
                out.extend(EndScript(run, forced=step > _STOP_END_SCRIPTS) for run in self._running)
            self._stop_step += 1


_STOP_STEPS_NS = (STOP_READ_NS, STOP_SCRIPTS_NS, STOP_KILL_NS, STOP_EXIT_NS)
_STOP_END_SCRIPTS = 1
"""From this step on nothing is started, and what runs is ended."""


def _passed(name: str, life: str, number: int) -> AppendLedger:
    """The note that a transition calls for no script (any more), so that none runs for it after a restart."""
    return AppendLedger(LedgerEntry(name, life, number, "", last=True), durable=False)
