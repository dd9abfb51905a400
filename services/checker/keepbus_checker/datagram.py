"""One datagram out, judged by what comes back: UDP_CHECK, DNS_CHECK, PING_CHECK."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from pathlib import Path

from keepbus.config.model.checker import Check
from keepbus.runtime.machine import Event
from keepbus_checker.events import Outcome
from keepbus_checker.tcp import FAILED_MASK, End, Socket, options_of, outcome_of, set_options, words_of

_READS_PER_TURN = 16
"""Datagrams that a sender without end gets a turn; then everybody else has his."""
# linux/in.h, linux/in6.h: hand over every ICMP error, not only the few that a connected socket gets anyway.
_IP_RECVERR, _IPV6_RECVERR = 11, 25
_FLAGS = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
_RANGE = Path("/proc/sys/net/ipv4/ping_group_range")

Judge = Callable[[memoryview, int], tuple[bool, str] | None]
"""Gets what was read and the datagram's length; passed and what came, None to go on waiting."""


class DatagramProbe:
    """An exchange on a connected socket of its own; who gives it up in the end is the machine's deadline."""

    __slots__ = ("_buffer", "_end", "_judge", "_number", "sock")

    def __init__(self, number: int, sock: Socket, end: End, *, judge: Judge, buffer: memoryview) -> None:
        """buffer is where octets are read to; all probes share it, none keeps anything there."""
        self._number = number
        self.sock = sock
        self._end = end
        self._judge = judge
        self._buffer = buffer

    def ready(self, mask: int) -> Iterable[Event]:
        """Reader of the loop: an ICMP error ends the probe, a datagram is judged."""
        if mask & FAILED_MASK:
            error = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                return self._end(self._number, outcome_of(error), words_of(error))
        for _ in range(_READS_PER_TURN):
            try:
                # With this flag the kernel tells the datagram's length, however much of it fits.
                length = self.sock.recv_into(self._buffer, 0, socket.MSG_TRUNC)
            except BlockingIOError:
                break
            except OSError as error:
                number = error.errno or 0
                return self._end(self._number, outcome_of(number), words_of(number))
            judgement = self._judge(self._buffer[: min(length, len(self._buffer))], length)
            if judgement is not None:
                passed, received = judgement
                return self._end(self._number, Outcome.PASSED if passed else Outcome.FAILED, received)
        return ()


def exchange(check: Check, octets: bytes, *, icmp: bool = False) -> Socket:
    """Send octets to the check's target from a connected socket.

    Raises OSError for what the kernel says at once, and leaves nothing open then. A PermissionError says what
    forbids it and how to allow it.
    """
    ipv6 = ":" in check.address
    family = socket.AF_INET6 if ipv6 else socket.AF_INET
    protocol = (socket.IPPROTO_ICMPV6 if ipv6 else socket.IPPROTO_ICMP) if icmp else 0
    try:
        sock = Socket(family, _FLAGS, protocol)
    except PermissionError as error:
        if icmp:
            raise PermissionError(error.errno, pings_forbidden()) from None
        raise
    try:
        if ipv6:
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
        set_options(sock, options_of(check))
        if check.bind_address or check.bind_port:
            # A ping socket's port is its identifier, which the kernel chooses.
            sock.bind((check.bind_address or ("::" if ipv6 else "0.0.0.0"), 0 if icmp else check.bind_port))
        sock.connect((check.address, 0 if icmp else check.port))
        sock.send(octets)
    except OSError:
        sock.close()
        raise
    return sock


def pings_forbidden() -> str:
    """Why there is no ICMP datagram socket for this process, and what to do."""
    try:
        held = " ".join(_RANGE.read_text(encoding="ascii").split())
    except OSError:
        held = "unknown"
    return (
        f"the kernel's net.ipv4.ping_group_range ({held}) lets no group of this process ping; "
        'widen it with `sysctl net.ipv4.ping_group_range="0 2147483647"`'
    )
