"""The watchdog's I/O: a descriptor of each process, and one call to supervisord at a time."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

from keepbus.runtime.log import Logger
from keepbus.runtime.loop import Loop
from keepbus.runtime.machine import Event
from keepbus.runtime.supervisord import Call, SupervisordError
from keepbus_watchdog.effects import AskForList, Hold, Kill
from keepbus_watchdog.events import NoList, NotHeld, Process, ProcessDied, ProcessList

_ANSWER_LIMIT_S = 1.0


class Shell:
    """Performs the effects of the watchdog's machine; nothing here waits."""

    def __init__(self, loop: Loop, log: Logger, supervisor: Path) -> None:
        """supervisor is the path of supervisord's socket."""
        self._loop = loop
        self._log = log
        self._supervisor = supervisor
        self._call: Call | None = None
        self._called_at = 0.0
        self._again = False
        self._held: dict[int, int] = {}
        """Descriptor of each held process by its pid."""
        self._unheld: set[str] = set()
        """Of whom there was no descriptor to be had, and that was said."""

    def perform(self, effect: object, _now_ns: int) -> Iterable[Event] | None:
        """Carry out one effect."""
        if type(effect) is AskForList:
            return self._ask()
        if type(effect) is Hold:
            return self._hold(effect.service, effect.pid)
        if type(effect) is Kill:
            self._kill(effect.service, effect.pid)
        return None

    def _ask(self) -> list[Event]:
        if self._call is not None:
            if time.monotonic() - self._called_at < _ANSWER_LIMIT_S:
                self._again = True
                return []
            self._forget_call()
            return [NoList(f"no answer within {_ANSWER_LIMIT_S:.0f} s")]
        try:
            self._call = Call(self._supervisor, "supervisor.getAllProcessInfo")
        except SupervisordError as error:
            return [NoList(str(error))]
        self._called_at = time.monotonic()
        self._again = False
        self._loop.watch(self._call.fileno(), self._read_answer)
        return []

    def _read_answer(self, _mask: int) -> list[Event]:
        call = self._call
        if call is None:
            return []
        try:
            if not call.read():
                return []
            answer: Event = ProcessList(
                tuple(Process(entry["name"], entry["pid"], entry["statename"]) for entry in call.result())
            )
        except SupervisordError as error:
            answer = NoList(str(error))
        self._forget_call()
        return [answer, *(self._ask() if self._again else ())]

    def _forget_call(self) -> None:
        if self._call is not None:
            self._loop.unwatch(self._call.fileno())
            self._call.close()
            self._call = None

    def _hold(self, service: str, pid: int) -> list[Event]:
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            return [ProcessDied(service, pid)]
        except OSError as error:
            if service not in self._unheld:
                self._unheld.add(service)
                self._log.error(f"cannot watch {service} (pid {pid}): {error.strerror}; tries again")
            return [NotHeld(service, pid)]
        self._unheld.discard(service)

        def ended(_mask: int) -> list[Event]:
            self._loop.unwatch(fd)
            os.close(self._held.pop(pid))
            return [ProcessDied(service, pid)]

        self._held[pid] = fd
        self._loop.watch(fd, ended)
        return []

    def _kill(self, service: str, pid: int) -> None:
        fd = self._held.get(pid)
        if fd is None:
            return
        try:
            signal.pidfd_send_signal(fd, signal.SIGKILL)
        except ProcessLookupError:
            return
        except PermissionError:
            # It runs as another user: its parent may.
            try:
                Call(self._supervisor, "supervisor.signalProcess", service, "KILL").close()
            except SupervisordError as error:
                self._log.error(f"cannot kill {service} (pid {pid}): {error}")
