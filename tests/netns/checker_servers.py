"""Real servers on loopback for the checker's tests, good ones and bad ones, and a checker in this process."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import keepbus_checker.machine
from keepbus_checker.machine import Machine
from keepbus_checker.shell import Shell

from keepbus.config.model.checker import Check, CheckerSection, CheckKind, StatusRange, Url
from keepbus.contracts.checker import CheckVerdict, ProbeFailed
from keepbus.runtime.loop import Loop
from keepbus.runtime.machine import Configured, Publish

FIRST_RUN_NS = 20_000_000
"""Instead of keepalived's pause of a second, which tests/unit holds the checker to."""
HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
HELLO_MD5 = "5d41402abc4b2a76b9719d911017c592"

Behaviour = Callable[[socket.socket, bytes], None]
"""Gets the connection and the request's octets; the connection is closed when it returns."""


def answer(octets: bytes) -> Behaviour:
    """Send these octets and close."""
    return lambda connection, _request: connection.sendall(octets)


def reset(connection: socket.socket) -> None:
    """Make the coming close a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Server:
    """Listens on a port of its own and treats every connection in a thread of its own."""

    def __init__(
        self,
        behaviour: Behaviour,
        *,
        tls: ssl.SSLContext | None = None,
        reads: bool = True,
        address: str = "127.0.0.1",
    ) -> None:
        self.behaviour = behaviour
        self.requests: list[bytes] = []
        self.peers: list[tuple[str, int]] = []
        self._tls = tls
        self._reads = reads
        self._listener = socket.create_server((address, 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Refuse from now on."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, peer = self._listener.accept()
            except OSError:
                return
            self.peers.append(peer)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            request = b""
            while self._reads and b"\r\n\r\n" not in request:
                octets = connection.recv(4096)
                if not octets:
                    break
                request += octets
            self.requests.append(request)
            self.behaviour(connection, request)
        connection.close()


def tls_context(folder: Path) -> ssl.SSLContext:
    """A server's settings with a fresh self-signed certificate."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    if not certificate.exists():
        command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test"
        subprocess.run(
            [*command.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def check(kind: CheckKind, port: int, *, name: str = "", url: Url | None = None, **settings: Any) -> Check:
    """A check of a server on loopback that is quick about everything."""
    urls = () if kind is CheckKind.TCP_CHECK else (url or page("/"),)
    defaults: dict[str, Any] = {
        "id": name or f"{kind.value}:127.0.0.1:{port}",
        "address": "127.0.0.1",
        "connect_timeout_us": 1_000_000,
        "delay_loop_us": 300_000,
        "delay_before_retry_us": 100_000,
        "warmup_us": 0,
        "retry": 0,
        "urls": urls,
    }
    return Check(kind=kind, port=port, **(defaults | settings))


def page(path: str, **settings: Any) -> Url:
    """A URL with the status codes that the compiler fills in."""
    return Url(path=path, **({"status_codes": (StatusRange(low=200, high=299),)} | settings))


class Checker:
    """The checker's own machine, shell and loop in this process, without a bus."""

    def __init__(
        self,
        checks: Sequence[Check] = (),
        *,
        section: CheckerSection | None = None,
        most_open: int = 1000,
        seed: int = 1,
    ) -> None:
        self.verdicts: dict[str, list[CheckVerdict]] = {}
        self.failures: dict[str, list[ProbeFailed]] = {}
        self.told: list[Any] = []
        """Everything, in order."""
        self.effects: list[Any] = []
        self._section = section or CheckerSection(checks=tuple(checks))
        self.loop = Loop()
        self.shell = Shell(self.loop)
        self.machine = Machine(seed=seed, most_open=most_open)
        self._until: Callable[[Checker], bool] = lambda _checker: False
        self._end = 0.0
        self.loop.every(10_000_000, self._look)

    def run(self, *, seconds: float, until: Callable[[Checker], bool] = lambda _checker: False) -> Checker:
        """Run until the condition holds, at most so long; may be called again to go on."""
        self._until, self._end = until, time.monotonic() + seconds
        with mock.patch.object(keepbus_checker.machine, "FIRST_RUN_NS", FIRST_RUN_NS):
            self.loop.run(self.machine, self._perform, [Configured(1, self._section, time.time_ns())])
        return self

    def _look(self, _now_ns: int) -> None:
        if self._until(self) or time.monotonic() > self._end:
            self.loop.stop()

    def last(self, name: str) -> CheckVerdict:
        """The last verdict told of a check."""
        return self.verdicts[name][-1]

    def received(self, name: str) -> str:
        """What the last told probe of a check got."""
        evidence = self.last(name).evidence
        return evidence.received if evidence else ""

    def decided(self, *names: str) -> bool:
        """True when each of these checks has a verdict from a probe."""
        return all(any(told.probes for told in self.verdicts.get(name, ())) for name in names)

    def _perform(self, effect: Any, now_ns: int) -> Iterable[Any] | None:
        if isinstance(effect, Publish):
            self.told.append(effect.body)
            if isinstance(effect.body, CheckVerdict):
                self.verdicts.setdefault(effect.body.check, []).append(effect.body)
            elif isinstance(effect.body, ProbeFailed):
                self.failures.setdefault(effect.body.check, []).append(effect.body)
            return None
        self.effects.append(effect)
        return self.shell.perform(effect, now_ns)
