"""FIFOs and mail: what is told beside scripts, and what went wrong with it. Pure.

Law of this file: nothing here waits, and what is lost is counted, said once in the log, and shown.
"""

from __future__ import annotations

from keepbus.config.model.notify import Fifo, Mail, NotifyKind, NotifySection, NotifyTarget
from keepbus.contracts import vrrp
from keepbus.contracts.message import quote
from keepbus.contracts.notify import Fifo as FifoState
from keepbus.contracts.notify import Mail as MailState
from keepbus.runtime.machine import Effect, Log, Publish, Withdraw
from keepbus_notify import fifo
from keepbus_notify.effects import (
    MAILED,
    QUEUED,
    TOLD,
    AppendLedger,
    EndScript,
    LedgerEntry,
    OpenFifos,
    SendMail,
    StartScript,
    WriteFifo,
)
from keepbus_notify.events import FifoTrouble, MailEnded
from keepbus_notify.mail import Letter, Mailbox, compose, wanted
from keepbus_notify.plan import command, told_state
from keepbus_notify.steps import Object, Step

_PRIORITY_STATES = (vrrp.VrrpState.MASTER, vrrp.VrrpState.BACKUP)


class Others:
    """All FIFOs, and the mailbox."""

    def __init__(self) -> None:
        self._section = NotifySection()
        self._states: dict[str, FifoState] = {}
        """Per path."""
        self._readers: dict[int, str] = {}
        """Runs of the FIFOs' scripts, by run; negative numbers, so that they are no object's."""
        self._last_reader = 0
        self._changed: set[str] = set()
        self._mailbox = Mailbox()
        self._told_mail: MailState | None = None
        self._vrrp: dict[str, vrrp.Instance | vrrp.SyncGroup] = {}
        """The last state of each instance and group, by topic."""

    def configure(self, section: NotifySection, out: list[Effect]) -> None:
        """Another configuration; FIFOs that stay are not touched."""
        before, self._section = self._section, section
        if section.fifos != before.fifos:
            paths = {each.path for each in section.fifos}
            for run, path in list(self._readers.items()):
                if path not in paths:
                    out.append(EndScript(run, forced=False))
            for path in [path for path in self._states if path not in paths]:
                del self._states[path]
                out.append(Withdraw(f"{FifoState.TOPIC}/{quote(path)}"))
            out.append(OpenFifos(section.fifos))
            for each in section.fifos:
                if each.path not in self._states:
                    self._states[each.path] = FifoState(path=each.path, keyword=each.keyword)
                    self._changed.add(each.path)
                    self._start_reader(each, out)

    def _start_reader(self, each: Fifo, out: list[Effect]) -> None:
        if each.script is None:
            return
        self._last_reader -= 1
        self._readers[self._last_reader] = each.path
        line = command(self._section, each.script, (each.path,))
        out.append(StartScript(self._last_reader, f"{each.keyword}_script", line))

    def concerned(self, each: Object, target: NotifyTarget | None) -> bool:
        """Is anybody told of this server? Thousands of others are passed over."""
        mail = self._section.mail
        return any(one.lvs for one in self._section.fifos) or (
            wanted(mail, target, each.kind, "DOWN") if mail is not None else False
        )

    def tell(
        self, each: Object, target: NotifyTarget | None, step: Step, out: list[Effect], *, late: bool
    ) -> None:
        """A new step: a line in each FIFO that it belongs to, and a letter."""
        told = step._replace(state=told_state(target, step.state))
        is_vrrp = fifo.is_vrrp(each.kind)
        fifos = [one for one in self._section.fifos if (one.vrrp if is_vrrp else one.lvs)]
        if fifos:
            out.append(_note(each, step.number, TOLD))
            self._write(fifos, fifo.line(each.kind, each.name, told), out)
        self.mail(each, target, step, out, late=late)

    def mail(
        self, each: Object, target: NotifyTarget | None, step: Step, out: list[Effect], *, late: bool
    ) -> None:
        """A letter about a step, if there is to be one."""
        mail = self._section.mail
        state = told_state(target, step.state)
        if not wanted(mail, target, each.kind, state) or mail is None:
            return
        if self._mailbox.repeats(each.key, state):
            return
        composed = compose(mail.router_id, each.kind, each.name, state, step.detail)
        if composed is None:
            return
        subject, body = composed
        if late:
            body += "\n(late: notify was not running when it happened)"
        out.append(_note(each, step.number, QUEUED))
        dropped = self._mailbox.put(Letter(each.key, each.life, step.number, subject, body))
        if dropped is not None:
            out.append(_done(dropped))
            out.append(Log("warning", f"a mail was given up in a full queue: {dropped.subject}"))

    def heard(self, topic: str, body: object, out: list[Effect]) -> None:
        """A state from the bus. When the effective priority of an instance changed: a line for who asked for
        them (features 5.5)."""
        if not isinstance(body, vrrp.Instance | vrrp.SyncGroup):
            self._vrrp.pop(topic, None)
            return
        before, self._vrrp[topic] = self._vrrp.get(topic), body
        if not isinstance(body, vrrp.Instance) or not isinstance(before, vrrp.Instance):
            return
        if before.effective_priority == body.effective_priority or body.state not in _PRIORITY_STATES:
            return
        if body.name in self._section.priority_changes:
            line = fifo.priority_line(body.name, body.state.value, body.effective_priority)
            self._write([one for one in self._section.fifos if one.vrrp], line, out)

    def reloaded(self, out: list[Effect]) -> None:
        """All states, for who asked for them (`fifo_write_vrrp_states_on_reload`)."""
        if not self._section.states_on_reload:
            return
        fifos = [one for one in self._section.fifos if one.vrrp]
        # A group after its members, as at a transition.
        for body in sorted(self._vrrp.values(), key=lambda each: isinstance(each, vrrp.SyncGroup)):
            if isinstance(body, vrrp.Instance):
                kind, priority = NotifyKind.INSTANCE, body.effective_priority
            else:
                kind, priority = NotifyKind.GROUP, 0
            step = Step(0, body.state.value, priority, 0)
            self._write(fifos, fifo.line(kind, body.name, step), out)

    def _write(self, fifos: list[Fifo], line: bytes, out: list[Effect]) -> None:
        out.extend(WriteFifo(each.path, line) for each in fifos)

    def trouble(self, event: FifoTrouble, out: list[Effect]) -> None:
        """A FIFO could not be opened, or lost lines."""
        state = self._states.get(event.path)
        if state is None:
            return
        if event.error != state.error and event.error:
            out.append(Log("warning", f"{state.keyword} {event.path}: {event.error}"))
        self._states[event.path] = FifoState(
            path=state.path, keyword=state.keyword, lost=state.lost + event.lost, error=event.error
        )
        self._changed.add(event.path)

    def ended(self, run: int, exit_status: int, error: str, out: list[Effect]) -> bool:
        """True when it was a FIFO's script that ended; it is not started again, as in keepalived."""
        path = self._readers.pop(run, None)
        if path is None:
            return False
        state = self._states.get(path)
        if state is not None:
            why = f": {error}" if error else ""
            sentence = f"its script ended with status {exit_status}{why}; reload or restart to start it again"
            self.trouble(FifoTrouble(path, 0, sentence), out)
        return True

    def mail_ended(self, now_ns: int, event: MailEnded, out: list[Effect]) -> None:
        """A try ended."""
        sending = self._mailbox.sending
        letter = self._mailbox.ended(now_ns, event.error, for_good=event.for_good)
        if letter is not None:
            out.append(_done(letter))
        if event.error and sending is not None:
            what = "given up" if letter is not None else "tried again later"
            out.append(Log("warning", f"a mail is {what} ({sending.letter.subject}): {event.error}"))

    def go_on(self, now_ns: int, out: list[Effect]) -> None:
        """Send the next letter if its time has come, and tell what changed."""
        mail: Mail | None = self._section.mail
        letter = self._mailbox.next(now_ns) if mail is not None else None
        if letter is not None and mail is not None:
            out.append(SendMail(mail, letter.subject, letter.body))
        for path in sorted(self._changed & self._states.keys()):
            out.append(Publish(self._states[path]))
        self._changed.clear()
        box = self._mailbox
        state = MailState(waiting=len(box), sent=box.sent, lost=box.lost, last_error=box.last_error)
        if mail is not None and state != self._told_mail:
            self._told_mail = state
            out.append(Publish(state))

    def wake_at_ns(self) -> int | None:
        """The next try of a mail."""
        return self._mailbox.wake_at_ns() if self._section.mail is not None else None

    def wrong(self) -> list[str]:
        """What does not work now, a sentence each."""
        found = [f"{each.keyword} {each.path}: {each.error}" for each in self._states.values() if each.error]
        if self._mailbox.last_error:
            found.append(f"mail: {self._mailbox.last_error}")
        return found

    def summary(self) -> list[str]:
        """What works."""
        told = [f"writes {each.keyword} {each.path}" for each in self._section.fifos]
        if self._section.mail is not None:
            told.append(f"mails to {', '.join(self._section.mail.recipients)}")
        return told

    def stop(self, out: list[Effect]) -> None:
        """End the readers; FIFOs that were made go."""
        out.extend(EndScript(run, forced=False) for run in self._readers)
        if self._states:
            out.append(OpenFifos(()))


def _note(each: Object, number: int, what: str) -> AppendLedger:
    return AppendLedger(LedgerEntry(each.key, each.life, number, what, last=False), durable=False)


def _done(letter: Letter) -> AppendLedger:
    entry = LedgerEntry(letter.object, letter.life, letter.number, MAILED, last=False)
    return AppendLedger(entry, durable=False)
