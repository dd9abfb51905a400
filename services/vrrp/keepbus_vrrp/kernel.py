"""rtnetlink sockets: one that asks, one that listens.

The kernel carries out a request within the send and has the answer ready when it returns, so asking never
waits for anything but the kernel's own lock.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
from collections.abc import Iterable, Sequence

from keepbus.runtime.machine import Event
from keepbus_vrrp import netlink
from keepbus_vrrp.effects import Request
from keepbus_vrrp.events import AddressChanged, ForwardingChanged, KernelRead, LinkChanged
from keepbus_vrrp.netlink import Address, AddressMessage, Answer, ForwardingMessage, LinkMessage, Message

_SO_ATTACH_FILTER, _SO_RCVBUFFORCE = 26, 33
_SOL_NETLINK, _NETLINK_CAP_ACK = 270, 10
_BUFFER_OCTETS, _MOST_BUFFER_OCTETS = 1 << 20, 1 << 23
_RECV_OCTETS = 1 << 16
_GONE = (errno.EADDRNOTAVAIL, errno.ENODEV)
_MOST_TRIES = 5
_MOST_REQUESTS = 64
"""In one send: their errors must find room in the receive buffer, and they themselves in the send buffer."""
_PASSING = (errno.EINTR, errno.EAGAIN, errno.EBUSY, errno.ENOMEM)
_IPV6_OCTETS = 16
_GROUPS = (
    netlink.RTMGRP_LINK
    | netlink.RTMGRP_IPV4_IFADDR
    | netlink.RTMGRP_IPV6_IFADDR
    | netlink.RTMGRP_IPV6_NETCONF
)


class Kernel:
    """The node's interfaces and addresses."""

    def __init__(self) -> None:
        """Raises OSError."""
        self._requests = _open(0)
        # A dump answers at once; the limit is for a kernel that is broken.
        self._requests.settimeout(5.0)
        self._news = _open(_GROUPS)
        self._news.setblocking(False)
        self._news.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_OCTETS)
        attach_filter(self._news, netlink.ignore_own(self.port))
        self._sequence = 0
        self._removed: set[tuple[int, bytes]] = set()
        """IPv6 addresses that this process took off: the kernel tells that as if somebody else had."""

    def fileno(self) -> int:
        """Readable when there is news."""
        return self._news.fileno()

    def news(self, _mask: int) -> list[Event]:
        """What changed; everything anew when the kernel had more to tell than the buffer holds (R-F45)."""
        events: list[Event] = []
        while True:
            try:
                octets, (port, _) = self._news.recvfrom(_RECV_OCTETS)
            except BlockingIOError:
                return events
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self._news.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _MOST_BUFFER_OCTETS)
                self._removed.clear()
                return [*events, self.read()]
            if port:
                continue  # another process, not the kernel
            for message in netlink.parse(octets):
                if isinstance(message, LinkMessage):
                    events.append(LinkChanged(message))
                elif isinstance(message, AddressMessage):
                    if not message.gone or not self._is_own_removal(message):
                        events.append(AddressChanged(message))
                elif isinstance(message, ForwardingMessage):
                    events.append(ForwardingChanged(message))

    def read(self) -> KernelRead:
        """All interfaces and addresses; news from before are forgotten."""
        drain(self._news)
        links = self._dump(netlink.dump_links(self._next()))
        addresses = self._dump(netlink.dump_addresses(self._next()))
        return KernelRead(
            tuple(link for link in links if isinstance(link, LinkMessage)),
            tuple(address for address in addresses if isinstance(address, AddressMessage)),
        )

    def install(self, addresses: Sequence[Address], valid_s: int) -> list[tuple[Address, str]]:
        """Create or renew addresses; those that the kernel refused, with its reason."""
        return [
            (addresses[index], os.strerror(number))
            for index, number in self._ask([netlink.install(address, valid_s) for address in addresses])
        ]

    def remove(self, addresses: Sequence[Address]) -> list[tuple[Address, str]]:
        """Delete addresses; those that are there and could not be deleted, with the kernel's reason."""
        failed = self._ask([netlink.remove(address) for address in addresses])
        gone = {
            (each.interface_index, each.address) for each in addresses if len(each.address) == _IPV6_OCTETS
        }
        self._removed |= gone - {(addresses[at].interface_index, addresses[at].address) for at, _ in failed}
        return [(addresses[index], os.strerror(number)) for index, number in failed if number not in _GONE]

    def ask(self, requests: Sequence[Request]) -> list[tuple[Request, str]]:
        """Carry out requests; those that the kernel refused, with its reason."""
        return [
            (requests[index], os.strerror(number))
            for index, number in self._ask([request.octets for request in requests])
            if number not in requests[index].done
        ]

    @property
    def port(self) -> int:
        """The netlink port that requests come from."""
        return int(self._requests.getsockname()[0])

    def close(self) -> None:
        """Close both sockets."""
        self._requests.close()
        self._news.close()

    def _is_own_removal(self, message: AddressMessage) -> bool:
        key = message.interface_index, message.address
        if key not in self._removed:
            return False
        self._removed.discard(key)
        return True

    def _next(self) -> int:
        self._sequence = self._sequence % 0x7FFFFFFF + 1
        return self._sequence

    def _ask(self, requests: list[bytes]) -> list[tuple[int, int]]:
        """Carry out requests; index and errno of those that failed. What failed for a passing reason is asked
        again (R-F46): a request that is repeated does nothing twice."""
        failed: list[tuple[int, int]] = []
        for start in range(0, len(requests), _MOST_REQUESTS):
            left = list(range(start, min(start + _MOST_REQUESTS, len(requests))))
            for last_try in (False, False, True):
                answers = self._ask_some([requests[index] for index in left])
                passing = [left[at] for at, number in answers if number in _PASSING and not last_try]
                failed += [(left[at], number) for at, number in answers if number not in _PASSING or last_try]
                left = passing
                if not left:
                    break
        return failed

    def _ask_some(self, requests: list[bytes]) -> list[tuple[int, int]]:
        """Send requests in one go. Only the last is acknowledged: an error is always told. Answers that were
        lost are had by asking again."""
        for _ in range(_MOST_TRIES):
            first = self._next()
            last = self._sequence = first + len(requests) - 1
            self._requests.send(netlink.batch(requests, first))
            try:
                return self._answers(first, last)
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
        raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))

    def _answers(self, first: int, last: int) -> list[tuple[int, int]]:
        failed = []
        while True:
            for answer in self._receive():
                if not isinstance(answer, Answer) or not first <= answer.sequence <= last:
                    continue
                if answer.errno:
                    failed.append((answer.sequence - first, answer.errno))
                if answer.sequence == last:
                    return failed

    def _receive(self) -> Iterable[Message]:
        """What the kernel answers; another process that writes to this socket is not heard."""
        while True:
            octets, (port, _) = self._requests.recvfrom(_RECV_OCTETS)
            if not port:
                return netlink.parse(octets)

    def _dump(self, request: bytes) -> list[Message]:
        for _ in range(_MOST_TRIES):
            self._requests.send(request)
            found: list[Message] = []
            done: Answer | None = None
            while done is None:
                for message in self._receive():
                    if isinstance(message, Answer):
                        done = message
                    else:
                        found.append(message)
            if done.errno:
                raise OSError(done.errno, os.strerror(done.errno))
            if not done.interrupted:
                break
        return found


def attach_filter(news: socket.socket, program: bytes) -> None:
    """Let the kernel hand on only what a classic BPF program keeps. Raises OSError."""
    instructions = ctypes.create_string_buffer(program, len(program))
    described = _FilterProgram(len(program) // 8, ctypes.addressof(instructions))
    news.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, bytes(described))


def drain(news: socket.socket) -> None:
    """Throw away what is older than a dump to come, for it would be taken for newer."""
    while True:
        try:
            news.recv(_RECV_OCTETS)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise


class _FilterProgram(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def _open(groups: int) -> socket.socket:
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    opened.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)
    opened.bind((0, groups))
    return opened
