"""Raw sockets for adverts, one per interface, and a packet socket for announcements.

Law of this file: a socket hears its own interface and the groups that it joined, nothing else (S7), and its
own adverts never (S5).
"""

from __future__ import annotations

import errno
import socket
import struct
import time

from keepbus.runtime.loop import boottime_ns
from keepbus.runtime.machine import Event
from keepbus_vrrp.events import Received
from keepbus_vrrp.ipv4 import PROTOCOL_VRRP
from keepbus_vrrp.recvmmsg import DATAGRAMS_PER_CALL, Buffers

_IP_HDRINCL, _IP_MULTICAST_ALL = 3, 49
_SO_BINDTODEVICE, _SO_TIMESTAMPNS = 25, 35
_NETWORK_CONTROL = 7
_MREQN = struct.Struct("=4s4si")
_ANY = bytes(4)
_MOST_CALLS_PER_READ = 32
_BUFFER_OCTETS = 1 << 20
_NO_DEVICE = (errno.ENETDOWN, errno.ENODEV, errno.ENXIO)
_buffers = Buffers()


class AdvertSocket:
    """Sends and receives the adverts of one interface."""

    def __init__(self, interface_index: int, interface: str) -> None:
        """Raises OSError."""
        self._index = interface_index
        self._groups: set[bytes] = set()
        self._socket = socket.socket(
            socket.AF_INET, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, PROTOCOL_VRRP
        )
        try:
            options = self._socket.setsockopt
            options(socket.SOL_SOCKET, _SO_BINDTODEVICE, interface.encode() + b"\0")
            options(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
            options(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
            options(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, _MREQN.pack(_ANY, _ANY, interface_index))
            options(socket.IPPROTO_IP, _IP_HDRINCL, 1)
            options(socket.SOL_SOCKET, socket.SO_PRIORITY, _NETWORK_CONTROL)
            options(socket.SOL_SOCKET, socket.SO_DONTROUTE, 1)
            options(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_OCTETS)
            options(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        except OSError:
            self._socket.close()
            raise
        self._empty_at_ns = boottime_ns()
        self._fd = self._socket.fileno()

    def fileno(self) -> int:
        """Readable when an advert came."""
        return self._socket.fileno()

    def join(self, groups: set[bytes]) -> None:
        """Be in these groups. Raises OSError."""
        for group in groups - self._groups:
            request = _MREQN.pack(group, _ANY, self._index)
            self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
            self._groups.add(group)
        for group in self._groups - groups:
            request = _MREQN.pack(group, _ANY, self._index)
            self._groups.discard(group)
            self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_DROP_MEMBERSHIP, request)

    def send(self, datagram: bytes, group: str) -> None:
        """Send a whole datagram. Raises OSError."""
        self._socket.sendto(datagram, (group, 0))

    def read(self, _mask: int) -> list[Event]:
        """All datagrams that wait, with the moment when the kernel received them.

        The kernel stamps with the wall clock. The age of a stamp is taken off the present; it is kept
        between none and the time since this socket was last seen empty, so that a step of the wall clock
        cannot make an advert older than it can be.
        """
        now_ns = boottime_ns()
        offset_ns = now_ns - time.time_ns()
        datagrams: list[tuple[bytes, int]] = []
        for _ in range(_MOST_CALLS_PER_READ):
            try:
                batch = _buffers.receive(
                    self._fd, offset_ns=offset_ns, earliest_ns=self._empty_at_ns, latest_ns=now_ns
                )
            except OSError as error:
                if error.errno in _NO_DEVICE:
                    break
                raise
            datagrams.extend(batch)
            if len(batch) < DATAGRAMS_PER_CALL:
                self._empty_at_ns = now_ns
                break
        return [Received(self._index, datagrams)] if datagrams else []

    def close(self) -> None:
        """Close."""
        self._socket.close()


class AnnounceSocket:
    """Sends whole Ethernet frames."""

    def __init__(self) -> None:
        """Raises OSError."""
        self._socket = socket.socket(
            socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0
        )

    def send(self, interface: str, frame: bytes) -> None:
        """Send one frame. Raises OSError."""
        self._socket.sendto(frame, (interface, 0))

    def close(self) -> None:
        """Close."""
        self._socket.close()
