"""Carries out what the machine wishes: opens probes, watches them, closes them, says how they ended."""

from __future__ import annotations

import errno
import resource
import time
from collections.abc import Callable, Iterable
from typing import Any

from keepbus.config.model import Check, CheckKind
from keepbus.runtime.loop import WRITABLE, Loop
from keepbus.runtime.machine import Event
from keepbus_checker.answer import Answer, request
from keepbus_checker.course import bracketed
from keepbus_checker.effects import AbortProbe, ForgetCheck, StartProbe
from keepbus_checker.events import Outcome, ProbeEnded
from keepbus_checker.http import READ_OCTETS, HttpProbe
from keepbus_checker.tcp import Route, TcpProbes, outcome_of, words_of
from keepbus_checker.tls import TlsProbe

_RESERVED_DESCRIPTORS = 128
"""For the bus, the log and the loop: ZeroMQ must never find none left."""
_MOST_OPEN = 8192


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
        self._targets: dict[str, _Target] = {}
        self._connections = TcpProbes(loop, clock_ns, wall_ns)
        self._gets: dict[int, tuple[HttpProbe, int]] = {}
        """HTTP_GETs and SSL_GETs under way, and the moments of their starts."""
        self._buffer = memoryview(bytearray(READ_OCTETS))

    def perform(self, effect: Any, _now_ns: int) -> Iterable[Event] | None:
        """Carry out one of the service's own effects."""
        kind = type(effect)
        if kind is StartProbe:
            return self._start(effect.probe, effect.check, effect.url)
        if kind is AbortProbe:
            # When it is neither, its end is already on its way to the machine.
            if not self._connections.abort(effect.probe) and effect.probe in self._gets:
                self._close(effect.probe)
        elif kind is ForgetCheck:
            self._targets.pop(effect.check, None)
        return None

    def _start(self, number: int, check: Check, url: int) -> Iterable[Event] | None:
        target = self._targets.get(check.id)
        if target is None:
            target = self._targets[check.id] = _Target(check)
        started_ns = self._clock_ns()
        try:
            sock, error = target.route.connect()
        except OSError as failure:
            return self._not_started(number, failure.errno or 0)
        if error and error != errno.EINPROGRESS:
            sock.close()
            return self._not_started(number, error)
        if check.kind is CheckKind.TCP_CHECK:
            self._connections.add(number, sock, started_ns)
            return None
        kind = TlsProbe if check.kind is CheckKind.SSL_GET else HttpProbe
        probe = kind(
            number,
            sock,
            self._loop,
            self._end,
            request=target.requests[url],
            answer=Answer(check.urls[url]),
            buffer=self._buffer,
            server_name=check.sni_name,
        )
        self._gets[number] = (probe, started_ns)
        self._loop.watch(sock.fileno(), probe.ready, WRITABLE)
        return None

    def _not_started(self, number: int, error: int) -> Iterable[Event]:
        return (ProbeEnded(number, outcome_of(error), words_of(error), 0, self._wall_ns()),)

    def _end(self, number: int, outcome: Outcome, received: str) -> Iterable[Event]:
        """Close a GET and make its event."""
        started_ns = self._close(number)
        took_us = (self._clock_ns() - started_ns) // 1000
        return (ProbeEnded(number, outcome, received, took_us, self._wall_ns()),)

    def _close(self, number: int) -> int:
        probe, started_ns = self._gets.pop(number)
        sock = probe.sock
        self._loop.forget(sock.fileno())
        sock.close()
        return started_ns


class _Target:
    """What is worked out once per check."""

    __slots__ = ("requests", "route")

    def __init__(self, check: Check) -> None:
        self.route = Route(check)
        here = f"{bracketed(check.address)}:{check.port}"
        self.requests = tuple(
            request(url.path, url.virtualhost or check.virtualhost or here, check.http_protocol)
            for url in check.urls
        )


def most_open() -> int:
    """Raise the soft limit on descriptors to the hard one; how many probes may be under way."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard == resource.RLIM_INFINITY:
        return _MOST_OPEN
    return max(1, min(_MOST_OPEN, hard - _RESERVED_DESCRIPTORS))
