"""The scripts of all objects: what waits, what runs, in which order. Pure.

Law of this file: per object one script at a time, in the order of the steps, each at most once. An entry in
the ledger comes before the start that it tells of, so that after a crash a script is missing rather than run
twice. The newest state is always delivered: what a full queue loses is the oldest.
"""

from __future__ import annotations

from collections.abc import Container

from keepbus.contracts.message import quote
from keepbus.contracts.notify import ScriptRun
from keepbus.runtime.machine import Effect, Log, Publish, Withdraw
from keepbus_notify.effects import AppendLedger, EndScript, LedgerEntry, StartScript
from keepbus_notify.events import ScriptEnded
from keepbus_notify.plan import Planned
from keepbus_notify.steps import Step
from keepbus_notify.subject import Job, Subject

MOST_AT_ONCE = 16
"""Scripts of different objects that run at the same time."""
MOST_WAITING = 32
"""Steps of one object that may wait for their scripts."""
KILL_AFTER_NS = 2_000_000_000
"""From SIGTERM to SIGKILL of a script over its time limit."""


class Scripts:
    """Subjects with their queues."""

    def __init__(self, time_limit_ns: int) -> None:
        """time_limit_ns: what one script may take; 0: no limit."""
        self._time_limit_ns = time_limit_ns
        self.subjects: dict[str, Subject] = {}
        self._running: dict[int, Subject] = {}
        self._changed: dict[str, Subject] = {}
        """Whose state is to be told at the end of this turn."""
        self.runs = 0

    @property
    def idle(self) -> bool:
        """Nothing runs and nothing waits."""
        return not self._running and not any(subject.queue for subject in self.subjects.values())

    def wake_at_ns(self) -> int | None:
        """The next time limit."""
        due = [
            subject.running.deadline_ns
            for subject in self._running.values()
            if subject.running is not None and subject.running.deadline_ns
        ]
        return min(due, default=None)

    def subject(self, name: str, topic: str, life: str, notified: int) -> Subject:
        """The object's, made when it is new; notified is how far an earlier process came in this life."""
        subject = self.subjects.get(name)
        if subject is None:
            subject = self.subjects[name] = Subject(name=name, topic=topic)
        subject.gone = False
        if subject.life != life:
            subject.life, subject.notified = life, notified
        self._changed[name] = subject
        return subject

    def queue(
        self,
        subject: Subject,
        step: Step,
        planned: list[Planned],
        cause: str,
        out: list[Effect],
        *,
        late: bool,
    ) -> None:
        """Queue the scripts of a step; without any the step is passed over when its turn has come."""
        if not planned and not subject.queue and subject.running is None:
            subject.notified = step.number
            out.append(passed(subject.name, subject.life, step.number))
            return
        for script in planned:
            subject.queue.append(
                Job(
                    life=subject.life,
                    number=step.number,
                    state=step.state,
                    keyword=script.keyword,
                    command=script.command,
                    last=script is planned[-1],
                    late=late,
                    cause=cause,
                )
            )
        waiting = subject.waiting()
        if len(waiting) > MOST_WAITING:
            dropped = subject.drop(waiting[0])
            self.lose(subject, 1, "in a full queue behind a script that takes long", out)
            out.append(passed(subject.name, dropped.life, dropped.number))

    def lose(self, subject: Subject, count: int, how: str, out: list[Effect], *, tell: bool = True) -> None:
        """Count steps whose scripts will never run."""
        subject.lost += count
        if tell:
            out.append(Log("warning", f"{count} transitions of {subject.name} were lost {how}"))

    def withdrawn(self, topic: str) -> None:
        """The object is no more; it is forgotten when its scripts are through."""
        for subject in self.subjects.values():
            if subject.topic == topic:
                subject.gone = True
                self._changed[subject.name] = subject

    def start(self, now_ns: int, out: list[Effect]) -> None:
        """Start what is due."""
        for subject in list(self.subjects.values()):
            if len(self._running) >= MOST_AT_ONCE:
                return
            if subject.running is not None or not subject.queue:
                continue
            # Who was served goes to the end, so that no object waits behind one that flaps.
            self.subjects[subject.name] = self.subjects.pop(subject.name)
            job = subject.queue.popleft()
            self.runs += 1
            job.run = self.runs
            job.deadline_ns = now_ns + self._time_limit_ns if self._time_limit_ns else 0
            subject.begin(job)
            self._running[job.run] = subject
            entry = LedgerEntry(subject.name, job.life, job.number, job.keyword, job.last)
            out.append(AppendLedger(entry, durable=True))
            out.append(StartScript(job.run, job.label(subject.name), job.command))
            self._changed[subject.name] = subject

    def limit(self, now_ns: int, out: list[Effect]) -> None:
        """End what is over its time."""
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

    def ended(self, event: ScriptEnded, out: list[Effect]) -> None:
        """A script ended."""
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

    def end_all(self, out: list[Effect], *, forced: bool) -> None:
        """The node stops. What was not started is not in the ledger: the next notify runs it, marked late."""
        for subject in self.subjects.values():
            subject.queue.clear()
        out.extend(EndScript(run, forced=forced) for run in self._running)

    def tell(self, configured: Container[str], out: list[Effect]) -> None:
        """Publish what changed, of objects that have scripts."""
        for subject in self._changed.values():
            if subject.name in configured or subject.told:
                subject.told = True
                out.append(Publish(subject.state()))
            if subject.gone and not subject.queue and subject.running is None:
                self.subjects.pop(subject.name, None)
                if subject.told:
                    out.append(Withdraw(f"state/notify/object/{quote(subject.name)}"))
        self._changed.clear()


def passed(name: str, life: str, number: int) -> AppendLedger:
    """The note that a step calls for no script (any more), so that none runs for it after a restart."""
    return AppendLedger(LedgerEntry(name, life, number, "", last=True), durable=False)
