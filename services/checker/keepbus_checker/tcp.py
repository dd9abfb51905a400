"""TCP connections without waiting: how to open one, and what its errors mean."""

from __future__ import annotations

import errno
import os
import select
import socket
from collections.abc import Callable, Iterable

from keepbus.config.model.checker import Check
from keepbus.runtime.machine import Event
from keepbus_checker.events import Outcome

_IP_BIND_ADDRESS_NO_PORT = 24
"""linux/in.h: choose the port at connect, when the whole four-tuple is known."""

Socket = socket.SocketType
"""The type below socket.socket: the same without its layer of Python, which every probe would pay for."""

_EINPROGRESS = errno.EINPROGRESS
_STREAM = socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC

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


def error_of(sock: Socket, mask: int) -> int:
    """The errno of a connection that is ready, 0 when there is none; the kernel reports it once."""
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if mask & FAILED_MASK else 0


End = Callable[[int, Outcome, str], Iterable[Event]]
"""Closes the probe of this number and makes its event."""


Options = tuple[tuple[int, int | bytes], ...]
"""Names of SOL_SOCKET and their values."""


def options_of(check: Check) -> Options:
    """What `bind_if` and `fwmark` ask of a check's sockets."""
    interface = (socket.SO_BINDTODEVICE, os.fsencode(check.bind_interface) + b"\0")
    mark = (socket.SO_MARK, check.fwmark)
    return ((interface,) if check.bind_interface else ()) + ((mark,) if check.fwmark else ())


def set_options(sock: Socket, options: Options) -> None:
    """Set them; raises OSError."""
    for name, value in options:
        sock.setsockopt(socket.SOL_SOCKET, name, value)


class Route:
    """How to reach a check's target, worked out once per check."""

    __slots__ = ("_address", "_bind", "_family", "_options", "_special")

    def __init__(self, check: Check) -> None:
        self._family = socket.AF_INET6 if ":" in check.address else socket.AF_INET
        self._address = (check.address, check.port)
        self._options = options_of(check)
        self._bind: tuple[str, int] | None = None
        if check.bind_address or check.bind_port:
            anywhere = "::" if self._family == socket.AF_INET6 else "0.0.0.0"
            self._bind = (check.bind_address or anywhere, check.bind_port)
        self._special = bool(self._bind or self._options)

    def connect(self) -> Socket | int:
        """A non-blocking socket whose connection is on its way; without one, the errno of why."""
        try:
            sock = Socket(self._family, _STREAM)
        except OSError as failure:
            return failure.errno or 0
        error = (self._special and self._prepared(sock)) or sock.connect_ex(self._address)
        if error and error != _EINPROGRESS:
            sock.close()
            return error
        return sock

    def _prepared(self, sock: Socket) -> int:
        """Set what the check wants of its socket; 0 or an errno."""
        bind = self._bind
        try:
            # A link-local address can be bound to only where the interface is known.
            set_options(sock, self._options)
            if bind is None:
                return 0
            if bind[1]:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            else:
                sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind(bind)
        except OSError as failure:
            return failure.errno or errno.EINVAL
        return 0
