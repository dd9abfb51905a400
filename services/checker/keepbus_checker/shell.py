"""Carries out what the machine wishes: opens probes, watches them, closes them, says how they ended."""

from __future__ import annotations

import resource
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from keepbus.config.model import Check
from keepbus.runtime.loop import WRITABLE, Loop
from keepbus.runtime.machine import Event
from keepbus_checker.effects import AbortProbe, ForgetCheck, StartProbe
from keepbus_checker.events import Outcome, ProbeEnded
from keepbus_checker.tcp import Route, TcpProbe, outcome_of, words_of

_RESERVED_DESCRIPTORS = 128
"""For the bus, the log and the loop: ZeroMQ must never find none left."""
_MOST_OPEN = 8192

_IN_PROGRESS = 115
"""EINPROGRESS of Linux."""


class Probe(Protocol):
    """What a probe under way is to the shell."""

    sock: socket.socket

    def ready(self, mask: int, /) -> Iterable[Event]:
        """Reader of the loop."""
        ...


class Shell:
    """Owns the descriptors of all probes under way."""

    def __init__(
        self,
        loop: Loop,
        *,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._loop = loop
        self._clock_ns = clock_ns
        self._wall_ns = wall_ns
        self._routes: dict[str, Route] = {}
        self._open: dict[int, tuple[Probe, int]] = {}

    def perform(self, effect: Any, _now_ns: int) -> Iterable[Event] | None:
        """Carry out one of the service's own effects."""
        kind = type(effect)
        if kind is StartProbe:
            return self._start(effect.probe, effect.check, effect.url)
        if kind is AbortProbe:
            self._close(effect.probe)
        elif kind is ForgetCheck:
            self._routes.pop(effect.check, None)
        return None

    def _start(self, number: int, check: Check, url: int) -> Iterable[Event] | None:
        route = self._routes.get(check.id)
        if route is None:
            route = self._routes[check.id] = Route(check)
        started_ns = self._clock_ns()
        try:
            sock, error = route.connect()
        except OSError as failure:
            error = failure.errno or 0
            return (ProbeEnded(number, Outcome.LOCAL, words_of(error), 0, self._wall_ns()),)
        probe = TcpProbe(number, sock, self.end)
        self._open[number] = (probe, started_ns)
        if error and error != _IN_PROGRESS:
            return self.end(number, outcome_of(error), words_of(error))
        self._loop.watch(sock.fileno(), probe.ready, WRITABLE)
        return None

    def end(self, number: int, outcome: Outcome, received: str) -> Iterable[Event]:
        """Close a probe and make its event."""
        started_ns = self._close(number)
        took_us = (self._clock_ns() - started_ns) // 1000
        return (ProbeEnded(number, outcome, received, took_us, self._wall_ns()),)

    def _close(self, number: int) -> int:
        probe, started_ns = self._open.pop(number)
        sock = probe.sock
        self._loop.unwatch(sock.fileno())
        sock.close()
        return started_ns


def most_open() -> int:
    """Raise the soft limit on descriptors to the hard one; how many probes may be under way."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard == resource.RLIM_INFINITY:
        return _MOST_OPEN
    return max(1, min(_MOST_OPEN, hard - _RESERVED_DESCRIPTORS))
