"""Carries out what the machine wishes: opens probes, watches them, closes them, says how they ended."""

from __future__ import annotations

import random
import resource
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any

from keepbus.config.model.checker import Check, CheckKind
from keepbus.runtime.loop import Loop
from keepbus.runtime.machine import Event
from keepbus_checker import dns, echo, udp
from keepbus_checker.answer import request
from keepbus_checker.batch import TcpProbes
from keepbus_checker.confinement import UNMARKED, can_mark
from keepbus_checker.datagram import DatagramProbe, Judge, exchange
from keepbus_checker.effects import (
    AbortProbe,
    Confine,
    EndScript,
    ForgetCheck,
    RunScript,
    StartProbe,
    StartProbes,
    WatchFile,
    WatchProcesses,
)
from keepbus_checker.events import CertificateSeen, Outcome, ProbeEnded
from keepbus_checker.files import Files
from keepbus_checker.http import READ_OCTETS, HttpProbes, Page
from keepbus_checker.plugin_probe import PluginProbe
from keepbus_checker.process_watch import ProcessWatch
from keepbus_checker.runner import Runner
from keepbus_checker.scripts import MOST_AT_ONCE, Scripts
from keepbus_checker.smtp_probe import SmtpProbe
from keepbus_checker.tcp import Route, outcome_of, words_of
from keepbus_checker.tls import Secured, TlsProbes
from keepbus_checker.wording import bracketed

_RESERVED_DESCRIPTORS = 128 + MOST_AT_ONCE
"""For the bus, the log and the loop: ZeroMQ must never find none left. And each script has two."""
_MOST_OPEN = 8192
_TCP_CHECK = CheckKind.TCP_CHECK
_HTTP_GET = CheckKind.HTTP_GET
_SSL_GET = CheckKind.SSL_GET
_DATAGRAMS = (CheckKind.UDP_CHECK, CheckKind.DNS_CHECK, CheckKind.PING_CHECK)
_RANDOM = random.SystemRandom()


class Shell:
    """Owns the descriptors of all probes under way."""

    def __init__(
        self,
        loop: Loop,
        *,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        wall_ns: Callable[[], int] = time.time_ns,
        number16: Callable[[], int] = lambda: _RANDOM.getrandbits(16),
        runner: socket.socket | None = None,
        confine: Callable[[bool], bool] = can_mark,
    ) -> None:
        """number16 draws the ids of DNS queries and the sequence numbers of echo requests.

        runner: who runs the scripts (keepbus_checker.runner); None: this process. confine is called once
        with whether packets are to be marked, and says whether they can be.
        """
        self._loop = loop
        self._clock_ns = clock_ns
        self._wall_ns = wall_ns
        self._targets: dict[str, _Target] = {}
        self._buffer = memoryview(bytearray(READ_OCTETS))
        self._connections = TcpProbes(loop, clock_ns, wall_ns)
        self._gets = HttpProbes(loop, clock_ns, wall_ns, self._buffer)
        self._secured = TlsProbes(loop, clock_ns, wall_ns, self._buffer)
        self._exchanges: dict[int, tuple[SmtpProbe | DatagramProbe | PluginProbe, int]] = {}
        """All others under way, and the moments of their starts."""
        self._confine = confine
        self._marks = False
        self._number16 = number16
        self._scripts = Scripts(loop, wall_ns) if runner is None else Runner(runner, loop, wall_ns)
        self._files = Files(loop, wall_ns)
        self._processes = ProcessWatch(loop, wall_ns)

    def perform(self, effect: Any, _now_ns: int) -> Iterable[Event] | None:
        """Carry out one of the service's own effects."""
        kind = type(effect)
        if kind is StartProbes:
            return self._start_all(effect.probes)
        if kind is AbortProbe:
            self._abort(effect.probe)
        elif kind is RunScript:
            return self._scripts.start(
                effect.probe, effect.command, effect.default_user, secure=effect.secure
            )
        elif kind is EndScript:
            self._scripts.signal(effect.probe, forced=effect.forced)
        elif kind is WatchFile:
            return self._files.watch(effect.watcher, effect.file)
        elif kind is WatchProcesses:
            return self._processes.watch(effect.processes)
        elif kind is Confine:
            self._marks = self._confine(effect.marks)
        elif kind is ForgetCheck:
            self._targets.pop(effect.check, None)
            self._files.forget(effect.check)
        return None

    def _abort(self, number: int) -> None:
        # When it is nowhere, its end is already on its way to the machine.
        batches = (self._connections, self._gets, self._secured)
        if not any(batch.abort(number) for batch in batches) and number in self._exchanges:
            self._close(number)

    def _start_all(self, probes: Iterable[StartProbe]) -> Iterable[Event]:
        news: list[Event] = []
        connections: list[tuple[int, Route, None]] = []
        gets: list[tuple[int, Route, Page]] = []
        secured: list[tuple[int, Route, Secured]] = []
        for number, check, url in probes:
            target = self._targets.get(check.id)
            if target is None:
                target = self._targets[check.id] = _Target(check, self._wall_ns)
            if check.fwmark and not self._marks:
                news.append(ProbeEnded(number, Outcome.LOCAL, UNMARKED, 0, self._wall_ns()))
            elif check.kind is _TCP_CHECK:
                connections.append((number, target.route, None))
            elif check.kind is _HTTP_GET:
                gets.append((number, target.route, target.pages[url]))
            elif check.kind is _SSL_GET:
                secured.append((number, target.route, target.secured[url]))
            else:
                news += self._start(number, check, target)
        if connections:
            news += self._connections.start(connections)
        if gets:
            news += self._gets.start(gets)
        if secured:
            news += self._secured.start(secured)
        return news

    def _start(self, number: int, check: Check, target: _Target) -> Iterable[Event]:
        started_ns = self._clock_ns()
        if check.kind in _DATAGRAMS:
            return self._send(number, check, target, started_ns)
        sock = target.route.connect()
        if isinstance(sock, int):
            return self._not_started(number, sock)
        if check.kind is CheckKind.SMTP_CHECK:
            smtp = SmtpProbe(
                number, sock, self._loop, self._end, helo_name=check.helo_name, buffer=self._buffer
            )
            self._exchanges[number] = smtp, started_ns
            return ()
        plugin = check.plugin
        assert plugin is not None
        try:
            spoken = PluginProbe(number, sock, self._loop, self._end, plugin=plugin, buffer=self._buffer)
        except Exception as fault:  # whatever somebody else's code does
            sock.close()
            words = f"the plug-in of {plugin.keyword} is at fault, {type(fault).__name__}: {fault}"
            return (ProbeEnded(number, Outcome.LOCAL, words, 0, self._wall_ns()),)
        self._exchanges[number] = spoken, started_ns
        return ()

    def _send(self, number: int, check: Check, target: _Target, started_ns: int) -> Iterable[Event]:
        octets, judge = _question(check, target.reply, self._number16())
        try:
            sock = exchange(check, octets, icmp=check.kind is CheckKind.PING_CHECK)
        except PermissionError as failure:
            return (ProbeEnded(number, Outcome.LOCAL, str(failure.strerror), 0, self._wall_ns()),)
        except OSError as failure:
            return self._not_started(number, failure.errno or 0)
        probe = DatagramProbe(number, sock, self._end, judge=judge, buffer=self._buffer)
        self._exchanges[number] = probe, started_ns
        self._loop.watch(sock.fileno(), probe.ready)
        return ()

    def _not_started(self, number: int, error: int) -> Iterable[Event]:
        return (ProbeEnded(number, outcome_of(error), words_of(error), 0, self._wall_ns()),)

    def _end(self, number: int, outcome: Outcome, received: str) -> Iterable[Event]:
        """Close an exchange and make its event."""
        started_ns = self._close(number)
        took_us = (self._clock_ns() - started_ns) // 1000
        return (ProbeEnded(number, outcome, received, took_us, self._wall_ns()),)

    def _close(self, number: int) -> int:
        probe, started_ns = self._exchanges.pop(number)
        sock = probe.sock
        self._loop.forget(sock.fileno())
        sock.close()
        return started_ns


class _Target:
    """What is worked out once per check."""

    __slots__ = ("_certificate", "_check", "_wall_ns", "pages", "reply", "route", "secured")

    def __init__(self, check: Check, wall_ns: Callable[[], int]) -> None:
        self.route = Route(check)
        self.reply = udp.Reply(check.udp) if check.udp is not None else None
        here = f"{bracketed(check.address)}:{check.port}"
        self.pages = tuple(
            Page(request(url.path, url.virtualhost or check.virtualhost or here, check.http_protocol), url)
            for url in check.urls
        )
        self.secured = tuple(Secured(page, check, self._shown) for page in self.pages)
        self._check = check.id
        self._wall_ns = wall_ns
        self._certificate = b""
        """That the server showed last."""

    def _shown(self, certificate: bytes) -> Iterable[Event]:
        if certificate == self._certificate:
            return ()
        self._certificate = certificate
        return (CertificateSeen(self._check, certificate, self._wall_ns()),)


def _question(check: Check, reply: udp.Reply | None, number16: int) -> tuple[bytes, Judge]:
    """What a datagram probe sends, and what judges what comes back."""
    if check.dns is not None:
        octets = dns.query(check.dns.name, check.dns.type, number16)
        return octets, lambda got, length: dns.judge(bytes(got), length, number16)
    if reply is not None:
        assert check.udp is not None
        return udp.payload(check.udp), reply.judge
    ipv6 = ":" in check.address

    def is_echo(got: memoryview, length: int) -> tuple[bool, str] | None:
        return (True, f"echo reply, {length} octets") if echo.is_reply(got, number16, ipv6=ipv6) else None

    return echo.request(number16, ipv6=ipv6), is_echo


def most_open() -> int:
    """Raise the soft limit on descriptors to the hard one; how many probes may be under way."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard == resource.RLIM_INFINITY:
        return _MOST_OPEN
    return max(1, min(_MOST_OPEN, hard - _RESERVED_DESCRIPTORS))
