"""Carries out what the notify machine wishes. Nothing here waits."""

from __future__ import annotations

import time
from collections.abc import Callable

from keepbus.runtime.machine import Effect, Event
from keepbus.runtime.scripts import identity, security
from keepbus.runtime.scripts.processes import CANNOT_START, Ended, Processes
from keepbus.runtime.service import Service
from keepbus_notify.effects import (
    AppendLedger,
    Command,
    EndScript,
    Examine,
    OpenFifos,
    ReadLedger,
    RenewLedger,
    SendMail,
    StartScript,
    Subscribe,
    WriteFifo,
)
from keepbus_notify.events import Examined, LedgerFailed, LedgerRead, LedgerWritten, ScriptEnded
from keepbus_notify.fifo_files import Fifos
from keepbus_notify.ledger import Ledger
from keepbus_notify.mailer import Mailer


class Shell:
    """The ledger and the processes."""

    def __init__(self, service: Service) -> None:
        self._log = service.log
        self._ledger = Ledger(service.run_dir / "notify" / "ledger")
        self._ledger_works = True
        self._processes = Processes(service.loop, self._ended)
        self._labels: dict[int, str] = {}
        self._fifos = Fifos()
        self._mailer = Mailer(service.loop)
        self._listener = service.listener

    def perform(self, effect: Effect, _now_ns: int) -> list[Event] | None:
        """One effect; what comes of it at once."""
        if type(effect) is AppendLedger:
            return self._write(lambda: self._ledger.append(effect.entry, durable=effect.durable))
        if type(effect) is RenewLedger:
            return self._write(self._ledger.renew)
        if type(effect) is StartScript:
            return self._start(effect)
        if type(effect) is EndScript:
            self._processes.signal(effect.run, forced=effect.forced)
        elif type(effect) is Examine:
            return [self._examine(effect)]
        elif type(effect) is ReadLedger:
            return self._read()
        elif type(effect) is WriteFifo:
            return self._fifos.write(effect.path, effect.line)
        elif type(effect) is OpenFifos:
            return self._fifos.open(effect.fifos)
        elif type(effect) is SendMail:
            return self._mailer.send(effect.mail, effect.subject, effect.body)
        elif type(effect) is Subscribe:
            self._listener.subscribe(effect.topic)
        return None

    def _read(self) -> list[Event]:
        try:
            return [LedgerRead(self._ledger.read())]
        except OSError as error:
            self._ledger_works = False
            return [LedgerFailed(error.strerror or str(error))]

    def _write(self, write: Callable[[], None]) -> list[Event] | None:
        try:
            write()
        except OSError as error:
            self._ledger_works = False
            return [LedgerFailed(error.strerror or str(error))]
        if not self._ledger_works:
            self._ledger_works = True
            return [LedgerWritten()]
        return None

    def _examine(self, effect: Examine) -> Examined:
        refused: dict[str, None] = {}
        warned: dict[str, None] = {}
        for label, command in effect.commands:
            try:
                who, executable = _admit(command)
            except identity.Refused as reason:
                refused[f"{label} will not run: {reason}"] = None
                continue
            if who.remark:
                warned[f"scripts run as {who.user}: {who.remark}"] = None
            for warning in executable.warnings:
                warned[f"{label}: {warning}"] = None
        return Examined(tuple(refused), tuple(warned))

    def _start(self, effect: StartScript) -> list[Event] | None:
        # Looked at again: what was sound when the configuration was loaded may have changed since.
        try:
            who, executable = _admit(effect.command)
        except identity.Refused as reason:
            return [ScriptEnded(effect.run, CANNOT_START, time.time_ns(), 0, "", str(reason))]
        ended = self._processes.start(effect.run, effect.command.argv, executable.path, who)
        if ended is not None:
            return [_event(ended)]
        self._labels[effect.run] = effect.label
        return None

    def _ended(self, end: Ended) -> list[Event]:
        label = self._labels.pop(end.run, "")
        for line in end.output.splitlines():
            self._log.info(line, script=label)
        return [_event(end)]


def _event(end: Ended) -> ScriptEnded:
    return ScriptEnded(end.run, end.exit_status, end.started_ns, end.took_us, end.user, end.last_line)


def _admit(command: Command) -> tuple[identity.Identity, security.Executable]:
    who = identity.resolve(command.user, command.group)
    return who, security.examine(command.argv[0], who, security=command.security)
