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
from keepbus_checker.events import Outcome, ProbeEnded, ProbesConnected

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

    __slots__ = ("_address", "_bind", "_family", "_options")

    def __init__(self, check: Check) -> None:
        self._family = socket.AF_INET6 if ":" in check.address else socket.AF_INET
        self._address = (check.address, check.port)
        self._options = options_of(check)
        self._bind: tuple[str, int] | None = None
        if check.bind_address or check.bind_port:
            anywhere = "::" if self._family == socket.AF_INET6 else "0.0.0.0"
            self._bind = (check.bind_address or anywhere, check.bind_port)

    def connect(self) -> tuple[Socket | None, int]:
        """A non-blocking socket whose connection is on its way; without one, the errno of why."""
        try:
            sock = Socket(self._family, _STREAM)
        except OSError as failure:
            return None, failure.errno or 0
        prepared = self._bind is not None or self._options
        error = (prepared and self._prepared(sock)) or sock.connect_ex(self._address)
        if error and error != errno.EINPROGRESS:
            sock.close()
            return None, error
        return sock, 0

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


_Connecting = dict[int, tuple[int, Socket, int]]
"""Probe, socket and the moment of its start, by descriptor."""


class TcpProbes:
    """All TCP_CHECKs under way: success is the established connection, closed at once.

    These probes are many and short, and what is done for each is done thousands of times a second. So one
    call serves all that are ready, and most never see an epoll: those that were started together are asked
    together, with one poll, in the loop's next look. By then a target nearby has answered.
    """

    def __init__(self, loop: Loop, clock_ns: Callable[[], int], wall_ns: Callable[[], int]) -> None:
        self._clock_ns = clock_ns
        self._wall_ns = wall_ns
        self._fds: dict[int, int] = {}
        """Descriptor by probe."""
        self._young: _Connecting = {}
        """Not asked yet."""
        self._has_young = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._slow: _Connecting = {}
        """Asked once, now on the epoll."""
        self._epoll = select.epoll()
        loop.watch(self._has_young, self._ask_young)
        loop.watch(self._epoll.fileno(), self._ask_slow)

    def start(self, connections: Iterable[tuple[int, Route]]) -> Iterable[Event]:
        """Begin these; probes that could not begin end at once."""
        # The kernel's part of a connection empties the caches: what can be done for all comes after it.
        clock_ns = self._clock_ns
        opened = [(number, clock_ns(), *route.connect()) for number, route in connections]
        os.eventfd_write(self._has_young, 1)
        ended: list[Event] = []
        for number, started_ns, sock, error in opened:
            if sock is None:
                ended.append(ProbeEnded(number, outcome_of(error), words_of(error), 0, self._wall_ns()))
            else:
                fd = self._fds[number] = sock.fileno()
                self._young[fd] = number, sock, started_ns
        return ended

    def abort(self, number: int) -> bool:
        """Close the probe's socket; False when it is none of these."""
        fd = self._fds.pop(number, None)
        if fd is None:
            return False
        _number, sock, _started_ns = (self._young if fd in self._young else self._slow).pop(fd)
        sock.close()
        return True

    def _ask_young(self, _mask: int) -> Iterable[Event]:
        os.eventfd_read(self._has_young)
        connecting, self._young = self._young, {}
        poll = select.poll()
        for fd in connecting:
            poll.register(fd, select.POLLOUT)
        events = self._end(poll.poll(0), connecting)
        for fd in connecting:
            self._epoll.register(fd, WRITABLE)
        self._slow |= connecting
        return events

    def _ask_slow(self, _mask: int) -> Iterable[Event]:
        return self._end(self._epoll.poll(0, _MOST_PER_TURN), self._slow)

    def _end(self, ready: Iterable[tuple[int, int]], connecting: _Connecting) -> Iterable[Event]:
        """Close those that are ready, take them out, and say how they ended."""
        events: list[Event] = []
        took_us: dict[int, int] = {}
        socks: list[Socket] = []
        now_ns, wall_ns = self._clock_ns(), self._wall_ns()
        for fd, mask in ready:
            number, sock, started_ns = connecting.pop(fd)
            del self._fds[number]
            # An error that is gone again is none: the kernel reports it once.
            error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if mask & FAILED_MASK else 0
            socks.append(sock)
            took = (now_ns - started_ns) // 1000
            if error:
                events.append(ProbeEnded(number, outcome_of(error), words_of(error), took, wall_ns))
            else:
                took_us[number] = took
        for sock in socks:
            sock.close()  # which also takes it out of the epoll
        if took_us:
            events.append(ProbesConnected(took_us, wall_ns))
        return events
