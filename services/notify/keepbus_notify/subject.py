"""What notify knows of one object: what waits, what runs, and how far the ledger says it came."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from keepbus.contracts.notify import Notified
from keepbus_notify.effects import MAILED, QUEUED, TOLD, Command, LedgerEntry
from keepbus_notify.steps import Step


@dataclass(slots=True, kw_only=True)
class Job:
    """One script of one transition, waiting or running."""

    life: str
    number: int
    state: str
    keyword: str
    command: Command
    last: bool
    """Nothing of this transition follows."""
    late: bool
    cause: str
    run: int = 0
    deadline_ns: int = 0
    """When it is ended; 0: never (again)."""
    timed_out: bool = False

    def label(self, name: str) -> str:
        """For the log."""
        return f"{self.keyword} of {name} ({self.state}, transition {self.number})"


@dataclass(slots=True, kw_only=True)
class Subject:
    """One instance."""

    name: str
    topic: str
    life: str = ""
    queue: deque[Job] = field(default_factory=deque)
    running: Job | None = None
    notified: int = 0
    lost: int = 0
    runs: int = 0
    failures: int = 0
    last_command: str = ""
    last_exit: int | None = None
    gone: bool = False
    """The instance was withdrawn; forget it when its scripts are through."""
    told: bool = False
    """Its state is on the bus."""

    def waiting(self) -> list[int]:
        """Numbers of the transitions that wait, oldest first. The one that runs is not among them."""
        return list(dict.fromkeys(job.number for job in self.queue if not self._runs_now(job)))

    def drop(self, number: int) -> Job:
        """Take the scripts of a waiting transition out of the queue; the last of them."""
        dropped = [job for job in self.queue if job.number == number]
        self.queue = deque(job for job in self.queue if job.number != number)
        return dropped[-1]

    def begin(self, job: Job) -> None:
        """This script is being started."""
        self.running = job
        self.notified = job.number
        self.runs += 1
        self.last_command = " ".join(job.command.argv)
        self.last_exit = None

    def end(self, exit_status: int) -> Job | None:
        """The running script ended."""
        job, self.running = self.running, None
        self.failures += exit_status != 0
        self.last_exit = exit_status
        return job

    def state(self) -> Notified:
        """What the bus is told."""
        return Notified(
            name=self.name,
            life=self.life,
            notified=self.notified,
            pending=len(self.waiting()),
            lost=self.lost,
            runs=self.runs,
            failures=self.failures,
            last_command=self.last_command,
            last_exit=self.last_exit,
        )

    def _runs_now(self, job: Job) -> bool:
        running = self.running
        return running is not None and (running.life, running.number) == (job.life, job.number)


@dataclass(slots=True)
class Progress:
    """How far the steps of one life of one object were dealt with."""

    known: int = 0
    """Up to this number everything is queued, started or passed over."""
    started: frozenset[str] = frozenset()
    """Scripts of step known + 1 that an earlier process started before it ended."""
    told: int = 0
    """Up to this number FIFOs were told, when more than `known`."""
    mails: frozenset[int] = frozenset()
    """Numbers of steps whose mails an earlier process had in its queue."""

    def unmailed(self, steps: Iterable[Step]) -> list[Step]:
        """Those steps whose mails an earlier process did not get rid of; asked for once."""
        found = [step for step in steps if step.number in self.mails]
        self.mails = frozenset()
        return found

    @staticmethod
    def replay(entries: Iterable[LedgerEntry]) -> dict[tuple[str, str], Progress]:
        """The ledger's entries, oldest first, as progress by name and life."""
        found: dict[tuple[str, str], Progress] = {}
        for entry in entries:
            progress = found.setdefault((entry.name, entry.life), Progress())
            if entry.script == TOLD:
                progress.told = max(progress.told, entry.number)
                continue
            if entry.script == QUEUED:
                progress.mails |= {entry.number}
                continue
            if entry.script == MAILED:
                progress.mails -= {entry.number}
                continue
            if entry.number <= progress.known:
                continue
            if entry.number > progress.known + 1:
                progress.known, progress.started = entry.number - 1, frozenset()
            if entry.last:
                progress.known, progress.started = entry.number, frozenset()
            else:
                progress.started |= {entry.script}
        return found
