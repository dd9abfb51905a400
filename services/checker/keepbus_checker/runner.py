"""The process that runs the scripts of MISC_CHECKs, so that the one that talks to the network need not.

It is forked before checker gives up its privileges, keeps SETUID, SETGID and KILL of them, and does what it
is told over a pair of sockets. When checker ends, however it ends, the pair closes: the runner kills what
runs and ends, too. When the runner ends, so does checker, and its supervisor starts both anew.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

from keepbus.config.model.checker import MiscCommand
from keepbus.contracts.schema import from_plain, to_plain
from keepbus.runtime import privileges
from keepbus.runtime.loop import Loop
from keepbus.runtime.machine import Event
from keepbus.runtime.scripts.identity import NEEDS
from keepbus_checker.events import Outcome, ProbeEnded
from keepbus_checker.scripts import Scripts

_MOST_OCTETS = 1 << 18
_MESSAGES_PER_TURN = 64


def fork() -> socket.socket:
    """Start the runner; the socket on which it is told what to do. Raises OSError."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    # What is there already belongs to both: the collector would write to every page of it.
    gc.freeze()
    if os.fork() == 0:
        try:
            ours.close()
            _run(its)
        finally:
            os._exit(1)
    its.close()
    ours.setblocking(False)
    return ours


class Runner:
    """checker's side; in place of keepbus_checker.scripts.Scripts."""

    def __init__(self, sock: socket.socket, loop: Loop, wall_ns: Callable[[], int]) -> None:
        self._sock = sock
        self._wall_ns = wall_ns
        loop.watch(sock.fileno(), self._read)

    def start(
        self, number: int, command: MiscCommand, default_user: str, *, secure: bool
    ) -> Iterable[Event] | None:
        """See Scripts.start."""
        if self._send(["start", number, to_plain(command), default_user, secure]):
            return None
        refusal = "the runner of scripts does not keep up with what it is told"
        return (ProbeEnded(number, Outcome.LOCAL, refusal, 0, self._wall_ns()),)

    def signal(self, number: int, *, forced: bool) -> None:
        """See Scripts.signal. One that cannot be sent now is sent by the next step of the time limit."""
        self._send(["signal", number, forced])

    def _send(self, message: list[Any]) -> bool:
        try:
            self._sock.send(json.dumps(message).encode())
        except BlockingIOError:
            return False
        return True

    def _read(self, _mask: int) -> Iterable[Event]:
        ended = []
        for _ in range(_MESSAGES_PER_TURN):
            try:
                octets = self._sock.recv(_MOST_OCTETS)
            except BlockingIOError:
                break
            if not octets:
                raise RuntimeError("the runner of scripts has ended")
            number, outcome, *rest = json.loads(octets)
            ended.append(ProbeEnded(number, Outcome(outcome), *rest))
        return ended


def _run(sock: socket.socket) -> NoReturn:
    # Signals are for checker. A group of its own, so that it can clean up when checker's is killed.
    os.setpgid(0, 0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    privileges.reduce_to(frozenset(NEEDS))
    loop = Loop()
    scripts = Scripts(loop, time.time_ns)

    def told(_mask: int) -> Iterable[Event]:
        octets = sock.recv(_MOST_OCTETS)
        if not octets:
            scripts.kill_all()
            os._exit(0)
        what, number, *rest = json.loads(octets)
        if what == "signal":
            scripts.signal(number, forced=rest[0])
            return ()
        command, default_user, secure = rest
        return scripts.start(number, from_plain(MiscCommand, command), default_user, secure=secure) or ()

    loop.watch(sock.fileno(), told)
    loop.run(_Relay(), lambda effect, _now_ns: _answer(sock, effect))
    os._exit(0)


def _answer(sock: socket.socket, ended: ProbeEnded) -> None:
    try:
        sock.send(json.dumps(ended).encode())
    except BrokenPipeError:
        return  # the end of the pair is read next


class _Relay:
    """The runner's machine: what happened is what is to be told."""

    def turn(self, _now_ns: int, events: Sequence[Event]) -> Iterable[Event]:
        return events

    def wake_at_ns(self) -> int | None:
        return None
