"""Who is told of what: pure, no process, no file and no mail server.

Law of this file: the number of a step within its object's life decides what is new, never the message that
carried it. Of each new step scripts, FIFOs and mail are told at once, each by its own means: scripts in a
queue per object, FIFOs by a line, mail by a letter in one queue. None of them waits for another.
"""

from __future__ import annotations

from collections.abc import Sequence

from keepbus.config.model.notify import NotifyKind, NotifySection, NotifyTarget
from keepbus.contracts import vrrp
from keepbus.contracts.common import Service as ServiceState
from keepbus.contracts.common import Status
from keepbus.contracts.message import Message
from keepbus.runtime.machine import (
    BusMessage,
    Configured,
    Effect,
    Event,
    Exit,
    Log,
    Report,
    StopRequested,
)
from keepbus_notify.effects import Examine, LedgerEntry, ReadLedger, RenewLedger, Subscribe
from keepbus_notify.events import (
    Examined,
    FifoTrouble,
    LedgerFailed,
    LedgerRead,
    LedgerWritten,
    MailEnded,
    ScriptEnded,
)
from keepbus_notify.others import Others
from keepbus_notify.plan import commands, plan
from keepbus_notify.scripts import Scripts, passed
from keepbus_notify.servers import Servers
from keepbus_notify.steps import Object, is_flap, objects
from keepbus_notify.subject import Progress

INSTANCES = f"{vrrp.Instance.TOPIC}/"
GROUPS = f"{vrrp.SyncGroup.TOPIC}/"
SERVERS = "state/ipvs/virtual_server/"
IPVS = "state/ipvs/service"
DEFAULT_TIME_LIMIT_NS = 60_000_000_000
RENEW_LEDGER_NS = 3_000_000_000
"""After a line that could not be written all are tried so often."""
STOP_READ_NS = 150_000_000
"""How long a stopping notify still listens: vrrp's last words may be on their way."""
STOP_SCRIPTS_NS = 1_000_000_000
"""What scripts get when the node stops, as in keepalived."""
STOP_KILL_NS = 1_300_000_000
STOP_EXIT_NS = 1_600_000_000


class Machine:
    """Takes states and what came of its wishes; answers with scripts, lines, letters and what to tell."""

    def __init__(self, time_limit_ns: int = DEFAULT_TIME_LIMIT_NS) -> None:
        """time_limit_ns: what one script may take; 0: no limit."""
        self._section = NotifySection()
        self._targets: dict[str, NotifyTarget] = {}
        self._former: dict[str, NotifyTarget] = {}
        """Targets that the last reload removed: their objects' last words may still come."""
        self._scripts = Scripts(time_limit_ns)
        self._others = Others()
        self._servers = Servers()
        self._progress: dict[tuple[str, str], Progress] = {}
        self._started_wall_ns = 0
        self._reloaded = False
        self._subscribed = False
        self._came_late = False
        """It was a reload that made servers of interest."""
        self._stop_at_ns: int | None = None
        self._stop_step = 0
        self._refused: tuple[str, ...] = ()
        self._ledger_error = ""
        self._renew_at_ns: int | None = None

    def wake_at_ns(self) -> int | None:
        """The next time limit, the next try of a mail or of the ledger, or the next step of stopping."""
        due = [self._scripts.wake_at_ns(), self._others.wake_at_ns(), self._renew_at_ns]
        if self._stop_at_ns is not None:
            due.append(self._stop_at_ns + _STOP_STEPS_NS[self._stop_step])
        return min((at_ns for at_ns in due if at_ns is not None), default=None)

    def turn(self, now_ns: int, events: Sequence[Event]) -> list[Effect]:
        """Take the events in order, then end what is over its time, then start what is due."""
        out: list[Effect] = []
        for event in events:
            self._take(now_ns, event, out)
        if self._renew_at_ns is not None and now_ns >= self._renew_at_ns:
            self._renew_at_ns = None
            out.append(RenewLedger())
        self._scripts.limit(now_ns, out)
        if self._stop_step <= _STOP_END_SCRIPTS:
            self._scripts.start(now_ns, out)
        self._others.go_on(now_ns, out)
        self._scripts.tell(self._targets, out)
        if self._stop_at_ns is not None:
            self._stop(now_ns, self._stop_at_ns, out)
        return out

    def _take(self, now_ns: int, event: Event, out: list[Effect]) -> None:
        if type(event) is BusMessage:
            self._heard(event.message, out)
        elif type(event) is ScriptEnded:
            if not self._others.ended(event.run, event.exit_status, event.error, out):
                self._scripts.ended(event, out)
        elif type(event) is Configured:
            self._configured(event, out)
        elif type(event) is LedgerRead:
            self._progress = Progress.replay(LedgerEntry(*entry) for entry in event.entries)
        elif type(event) is Examined:
            self._examined(event, out)
        elif type(event) is LedgerFailed:
            self._renew_at_ns = now_ns + RENEW_LEDGER_NS
            self._ledger(event.error, out)
        elif type(event) is LedgerWritten:
            self._renew_at_ns = None
            self._ledger("", out)
        elif type(event) is FifoTrouble:
            self._others.trouble(event, out)
            self._report(out)
        elif type(event) is MailEnded:
            self._others.mail_ended(now_ns, event, out)
            self._report(out)
        elif type(event) is StopRequested:
            # The second request is impatience: end at once.
            self._stop_at_ns = now_ns if self._stop_at_ns is None else now_ns - STOP_EXIT_NS

    def _configured(self, event: Configured, out: list[Effect]) -> None:
        if not self._started_wall_ns:
            self._started_wall_ns = event.wall_ns
            out.append(ReadLedger())
        else:
            self._reloaded = True
        self._section = event.section
        before, self._targets = self._targets, {target.object: target for target in self._section.targets}
        self._former = {key: target for key, target in before.items() if key not in self._targets}
        out.append(Examine(tuple(commands(self._section))))
        self._others.configure(self._section, out)
        if self._reloaded:
            self._others.reloaded(out)
        if not self._subscribed and self._wants_servers():
            self._subscribed, self._came_late = True, self._reloaded
            out += [Subscribe(SERVERS), Subscribe(IPVS)]

    def _wants_servers(self) -> bool:
        """A large table is heard of only by who tells of it."""
        return self._section.mail is not None or (
            any(target.kind in _SERVERS for target in self._section.targets)
            or any(fifo.lvs for fifo in self._section.fifos)
        )

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
        wrong = [self._ledger_sentence()] if self._ledger_error else []
        wrong += [*self._refused, *self._others.wrong()]
        if wrong:
            more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
            out.append(Report(Status.DEGRADED, wrong[0] + more))
            return
        told = [f"runs the scripts of {_names(list(self._targets))}"] if any(commands(self._section)) else []
        told += self._others.summary()
        if told:
            out.append(Report(Status.READY, "; ".join(told)))
        else:
            out.append(Report(Status.IDLE, "the configuration has no notify scripts"))

    def _heard(self, message: Message, out: list[Effect]) -> None:
        if message.topic == IPVS and isinstance(message.body, ServiceState):
            self._servers.service(message.body.status)
        if not message.topic.startswith((INSTANCES, GROUPS, SERVERS)):
            return
        self._others.heard(message.topic, message.body, out)
        told = objects(message.body)
        if message.topic.startswith(SERVERS):
            told = self._servers.news(message.topic, told)
        for each in told:
            target = self._targets.get(each.key) or self._former.get(each.key)
            if each.kind not in _SERVERS or target is not None or self._others.concerned(each, target):
                self._object(each, target, message, out)
        if message.body is None:
            self._scripts.withdrawn(message.topic)

    def _object(self, each: Object, target: NotifyTarget | None, message: Message, out: list[Effect]) -> None:
        place = each.key, each.life
        if place not in self._progress and each.kind in _SERVERS and self._is_old(message.topic, each):
            # The interest is new, the object is not: what it went through before is no news.
            self._progress[place] = Progress(known=each.newest)
        progress = self._progress.setdefault(place, Progress())
        for step in progress.unmailed(each.steps):
            self._others.mail(each, target, step, out, late=True)
        new = [step for step in each.steps if step.number > progress.known]
        missed = (new[0].number if new else each.newest + 1) - progress.known - 1
        if not new and missed <= 0:
            return
        subject = self._scripts.subject(each.key, message.topic, each.life, progress.known)
        if missed > 0:
            how = "before notify heard of them"
            self._scripts.lose(subject, missed, how, out, tell=each.key in self._targets)
            if new and is_flap(each.kind, progress.known, new[0]):
                new = []
                out.append(passed(each.key, each.life, each.newest))
                subject.notified = each.newest
            progress.known, progress.started = (new[0].number - 1 if new else each.newest), frozenset()
        for step in new:
            late = 0 < step.at_ns < self._started_wall_ns
            planned = plan(self._section, target, step)
            # An earlier process may have ended between the two scripts of one step.
            planned = [script for script in planned if script.keyword not in progress.started]
            if step.number > progress.told:
                self._others.tell(each, target, step, out, late=late)
            progress.known, progress.started = step.number, frozenset()
            self._scripts.queue(subject, step, planned, message.header.id, out, late=late)

    def _is_old(self, topic: str, each: Object) -> bool:
        """Was this server there before somebody had to be told of it?"""
        return self._came_late or (self._reloaded and self._servers.knows(topic, each.key))

    def _stop(self, now_ns: int, stop_at_ns: int, out: list[Effect]) -> None:
        if self._scripts.idle and now_ns >= stop_at_ns + STOP_READ_NS:
            self._others.stop(out)
            out.append(Exit())
            return
        while now_ns >= stop_at_ns + _STOP_STEPS_NS[self._stop_step]:
            step = self._stop_step
            if step == len(_STOP_STEPS_NS) - 1:
                self._others.stop(out)
                out.append(Exit())
                return
            if step >= _STOP_END_SCRIPTS:
                self._scripts.end_all(out, forced=step > _STOP_END_SCRIPTS)
            self._stop_step += 1


_SERVERS = (NotifyKind.VIRTUAL_SERVER, NotifyKind.REAL_SERVER)
_STOP_STEPS_NS = (STOP_READ_NS, STOP_SCRIPTS_NS, STOP_KILL_NS, STOP_EXIT_NS)
_STOP_END_SCRIPTS = 1
"""From this step on nothing is started, and what runs is ended."""
_MOST_NAMES = 8


def _names(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more
