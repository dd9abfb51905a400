"""TCP connections without waiting: opening one, and the whole of a TCP_CHECK."""

from __future__ import annotations

import errno
import os
import select
import socket
from collections.abc import Callable, Iterable

from keepbus.config.model import Check
from keepbus.runtime.machine import Event
from keepbus_checker.events import Outcome

_IP_BIND_ADDRESS_NO_PORT = 24
"""linux/in.h: choose the port at connect, when the whole four-tuple is known."""

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

    def connect(self) -> tuple[socket.socket, int]:
        """A non-blocking socket and the errno of its connect, 0 or EINPROGRESS when it is on its way.

        Raises OSError when there is no socket to be had or it cannot be bound; nothing stays open then.
        """
        sock = socket.socket(self._family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
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


class TcpProbe:
    """One TCP_CHECK under way: success is the established connection, closed at once."""

    __slots__ = ("_end", "_number", "sock")

    def __init__(self, number: int, sock: socket.socket, end: End) -> None:
        self._number = number
        self.sock = sock
        self._end = end

    def ready(self, mask: int) -> Iterable[Event]:
        """Reader of the loop: the connection is there, or it failed."""
        if mask & FAILED_MASK:
            # An error that is gone again is none: the kernel reports it once.
            number = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if number:
                return self._end(self._number, outcome_of(number), words_of(number))
        return self._end(self._number, Outcome.PASSED, "connected")
