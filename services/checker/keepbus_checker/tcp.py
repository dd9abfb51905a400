"""TCP connections without waiting: opening one, and the whole of a TCP_CHECK."""

from __future__ import annotations

import errno
import os
import select
import socket
from collections.abc import Callable, Iterable

from keepbus.config.model import Check
from keepbus.runtime.loop import WRITABLE, Loop
from keepbus.runtime.machine import Event
from keepbus_checker.events import Outcome, ProbeEnded

_IP_BIND_ADDRESS_NO_PORT = 24
"""linux/in.h: choose the port at connect, when the whole four-tuple is known."""

Socket = socket.SocketType
"""The type below socket.socket: the same without its layer of Python, which every probe would pay for."""

_STREAM = socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC

_MOST_PER_TURN = 256

FAILED_MASK = select.EPOLLERR | select.EPOLLHUP
"""Bits of epoll without which there is no error to ask for."""

_OF_THE_TARGET = frozenset(
    {
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.ECONNABORTED,
        errno.ETIMEDOUT,
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
        errno.EHOSTDOWN,
        errno.ENETDOWN,
        errno.ENETRESET,
        errno.ENOTCONN,
        errno.EPIPE,
        errno.EPROTO,
        errno.ENOPROTOOPT,
        errno.EOPNOTSUPP,
    }
)
"""What the network or the target answered; every other error is of this host's own making."""


def outcome_of(number: int) -> Outcome:
    """Whether an errno speaks of the target or of this host."""
    return Outcome.FAILED if number in _OF_THE_TARGET else Outcome.LOCAL


def words_of(number: int) -> str:
    """An errno as an operator reads it: `connection refused`."""
    text = os.strerror(number)
    return text[:1].lower() + text[1:]


End = Callable[[int, Outcome, str], Iterable[Event]]
"""Closes the probe of this number and makes its event."""


class Route:
    """How to reach a check's target, worked out once per check."""

    __slots__ = ("_address", "_bind", "_family", "_reuse")

    def __init__(self, check: Check) -> None:
        self._family = socket.AF_INET6 if ":" in check.address else socket.AF_INET
        self._address = (check.address, check.port)
        self._bind: tuple[str, int] | None = None
        if check.bind_address or check.bind_port:
            anywhere = "::" if self._family == socket.AF_INET6 else "0.0.0.0"
            self._bind = (check.bind_address or anywhere, check.bind_port)

    def connect(self) -> tuple[Socket, int]:
        """A non-blocking socket and the errno of its connect, 0 or EINPROGRESS when it is on its way.

        Raises OSError when there is no socket to be had or it cannot be bound; nothing stays open then.
        """
        sock = Socket(self._family, _STREAM)
        if self._bind is not None:
            try:
                if self._bind[1]:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                else:
                    sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
                sock.bind(self._bind)
            except OSError:
                sock.close()
                raise
        return sock, sock.connect_ex(self._address)


class TcpProbes:
    """All TCP_CHECKs under way: success is the established connection, closed at once.

    They are on an epoll of their own, so that one call of this reader serves all that are ready: these probes
    are many and short, and whatever is done for each of them is done thousands of times a second.
    """

    def __init__(self, loop: Loop, clock_ns: Callable[[], int], wall_ns: Callable[[], int]) -> None:
        self._epoll = select.epoll()
        self._clock_ns = clock_ns
        self._wall_ns = wall_ns
        self._sockets: dict[int, Socket] = {}
        """By probe."""
        self._by_fd: dict[int, tuple[int, int]] = {}
        """Probe and the moment of its start, by descriptor."""
        loop.watch(self._epoll.fileno(), self._ready)

    def add(self, number: int, sock: Socket, started_ns: int) -> None:
        """Wait for this socket's connection."""
        fd = sock.fileno()
        self._epoll.register(fd, WRITABLE)
        self._sockets[number] = sock
        self._by_fd[fd] = (number, started_ns)

    def abort(self, number: int) -> bool:
        """Close the probe's socket; False when it is none of these."""
        sock = self._sockets.pop(number, None)
        if sock is None:
            return False
        del self._by_fd[sock.fileno()]
        sock.close()
        return True

    def _ready(self, _mask: int) -> Iterable[Event]:
        ended: list[Event] = []
        now_ns, wall_ns = self._clock_ns(), self._wall_ns()
        for fd, mask in self._epoll.poll(0, _MOST_PER_TURN):
            number, started_ns = self._by_fd.pop(fd)
            sock = self._sockets.pop(number)
            outcome, received = Outcome.PASSED, "connected"
            if mask & FAILED_MASK:
                # An error that is gone again is none: the kernel reports it once.
                error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if error:
                    outcome, received = outcome_of(error), words_of(error)
            sock.close()  # which also takes it out of the epoll
            ended.append(ProbeEnded(number, outcome, received, (now_ns - started_ns) // 1000, wall_ns))
        return ended
