"""A second process of a service, ready to be the first one the moment that one dies.

Law of this file: the standby touches nothing that belongs to the service. It has its programs imported, its
configuration read and its sockets connected, hears what the service hears, and waits for the service's lock,
which the kernel releases at any death. It never follows a service that was stopped on purpose.

It speaks as `NAME-standby` and holds the lock of that name, so there is one standby and no more.
"""

from __future__ import annotations

import _thread
import os
import sys
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from keepbus.bus.client import Speaker
from keepbus.contracts.common import Service as ServiceState
from keepbus.contracts.common import Status
from keepbus.contracts.message import Kind
from keepbus.runtime import collector
from keepbus.runtime.lock import Lock
from keepbus.runtime.loop import Loop
from keepbus.runtime.machine import BusMessage, Configured, Effect, Event, StopRequested

if TYPE_CHECKING:
    from keepbus.runtime.service import Service

BEAT_NS = 500_000_000
_REPEAT_NS = 250_000_000


def name_of(service: str) -> str:
    """As what the standby of a service is known."""
    return f"{service}-standby"


class Standby:
    """One wait."""

    def __init__(self, service: Service, lock: Lock, own: Lock) -> None:
        """lock is the service's, held by another process; own is that of the standby, held by this one."""
        self._service = service
        self._lock = lock
        self._own = own
        self._speaker = Speaker(
            service.context,
            service.run_dir,
            node=service.node,
            source=name_of(service.name),
            boot=service.boot,
        )
        self._loop = Loop()
        self._configured: Configured | None = None
        self._heard: dict[str, BusMessage] = {}
        """The last message of each state."""

    def wait(self) -> list[Event]:
        """Return when this process is the service: the configuration and what was heard, as events.

        Ends the process on SIGTERM, and when the service was stopped on purpose.
        """
        self._load()
        service = self._service
        free = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        loop = self._loop
        loop.watch(free, self._is_free)
        for fd in service.listener.filenos():
            loop.watch(fd, self._hear)
        loop.watch(service.signals(), self._obey)
        loop.every(BEAT_NS, self._beat)
        loop.every(_REPEAT_NS, self._repeat)
        self._beat(0)
        service.log.prepare()
        collector.settle()
        service.ready()
        _thread.start_new_thread(_await, (self._lock, free))
        loop.run(self, lambda _effect, _now_ns: None)
        os.close(free)
        if self._lock.stopped_on_purpose():
            self._end("was stopped; its standby begins anew")
        self._lock.sign()
        self._speaker.withdraw(f"state/{name_of(service.name)}/service")
        self._speaker.close()
        self._own.release()
        configured = [self._configured._replace(wall_ns=time.time_ns())] if self._configured else []
        return [*configured, *self._heard.values()]

    def turn(self, _now_ns: int, _events: Sequence[Event]) -> Iterable[Effect]:
        """Nothing is decided here."""
        return ()

    def wake_at_ns(self) -> int | None:
        """The loop's chores are enough."""
        return None

    def _is_free(self, _mask: int) -> list[Event]:
        self._loop.stop()
        return []

    def _hear(self, _mask: int) -> list[Event]:
        for event in self._service.read_bus(_mask):
            if not event.message.topic.startswith(f"{Kind.STATE}/"):
                continue  # a command is for the process that runs now
            self._heard.pop(event.message.topic, None)
            self._heard[event.message.topic] = event
        return []

    def _obey(self, _mask: int) -> list[Event]:
        for event in self._service.read_signals(_mask):
            if type(event) is StopRequested:
                self._end("")
            elif type(event) is Configured:
                self._configured = event
                self._beat(0)
        return []

    def _load(self) -> None:
        for event in self._service.load():
            self._configured = event

    def _beat(self, now_ns: int) -> None:
        service = self._service
        service.settle(now_ns)
        self._speaker.publish(
            ServiceState(
                pid=os.getpid(),
                started_ns=service.started_wall_ns,
                generation=self._configured.generation if self._configured else 0,
                status=Status.READY,
                detail=f"ready to take the place of {service.name} (pid {self._lock.signature()})",
                progress=self._loop.rounds,
            )
        )

    def _repeat(self, _now_ns: int) -> None:
        self._speaker.repeat()

    def _end(self, why: str) -> None:
        service = self._service
        if why:
            service.log.info(f"{service.name} {why}")
        self._speaker.withdraw(f"state/{name_of(service.name)}/service")
        self._speaker.close()
        service.disconnect()
        sys.exit(0)


def _await(lock: Lock, free: int) -> None:
    """In a thread of its own, because nothing can watch a lock: wait, tell, end."""
    lock.wait()
    os.eventfd_write(free, 1)
