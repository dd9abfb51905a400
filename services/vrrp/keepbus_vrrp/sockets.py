"""Raw sockets for adverts, one per interface and family, and a packet socket for announcements.

Law of this file: a socket hears its own interface and the groups that it joined, nothing else (S7), and its
own adverts never (S5). It sends whole datagrams and hands out whole datagrams in both families; the
checksums of VRRP are nobody's business here (C7).
"""

from __future__ import annotations

import errno
import socket
import struct
import time
from abc import ABC, abstractmethod

from keepbus.config.model.vrrp import AddressFamily
from keepbus.runtime.loop import boottime_ns
from keepbus.runtime.machine import Event
from keepbus_vrrp import ipv4, ipv6
from keepbus_vrrp.ah import PROTOCOL_AH
from keepbus_vrrp.effects import Endpoint
from keepbus_vrrp.events import Received
from keepbus_vrrp.ipv4 import PROTOCOL_VRRP
from keepbus_vrrp.recvmmsg import DATAGRAMS_PER_CALL, Buffers, Buffers6

_IP_HDRINCL, _IP_MULTICAST_ALL = 3, 49
_IPV6_MULTICAST_ALL, _IPV6_HDRINCL, _IPV6_RECVPKTINFO, _IPV6_RECVHOPLIMIT = 29, 36, 49, 51
_IPV6_PKTINFO, _IPV6_FREEBIND = 50, 78
_SO_BINDTODEVICE, _SO_TIMESTAMPNS = 25, 35
_NETWORK_CONTROL = 7
_MREQN = struct.Struct("=4s4si")
_MREQ6 = struct.Struct("=16si")
_ANY = bytes(4)
_MOST_CALLS_PER_READ = 32
_BUFFER_OCTETS = 1 << 20
_NO_DEVICE = (errno.ENETDOWN, errno.ENODEV, errno.ENXIO)
_buffers = Buffers()
_buffers6: list[Buffers6] = []


class AdvertSocket(ABC):
    """Sends and receives the adverts of one interface in one family."""

    def __init__(
        self,
        endpoint: Endpoint,
        interface: str,
        family: socket.AddressFamily,
        protocol: int = PROTOCOL_VRRP,
    ) -> None:
        """Raises OSError."""
        self._endpoint = endpoint
        self._groups: set[bytes] = set()
        self._socket = socket.socket(
            family, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, protocol
        )
        try:
            options = self._socket.setsockopt
            options(socket.SOL_SOCKET, _SO_BINDTODEVICE, interface.encode() + b"\0")
            options(socket.SOL_SOCKET, socket.SO_PRIORITY, _NETWORK_CONTROL)
            options(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_OCTETS)
            options(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            self._prepare()
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
            self._change_membership(group, join=True)
            self._groups.add(group)
        for group in self._groups - groups:
            self._groups.discard(group)
            self._change_membership(group, join=False)

    def send(self, copies: tuple[tuple[str, bytes], ...]) -> None:
        """Send whole datagrams. Raises OSError when none of them left."""
        if len(copies) == 1:
            destination, datagram = copies[0]
            self._send(datagram, destination)
            return
        failure: OSError | None = None
        failed = 0
        for destination, datagram in copies:
            try:
                self._send(datagram, destination)
            except OSError as error:
                failure = error
                failed += 1
        if failure is not None and failed == len(copies):
            raise failure

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
                batch = self._receive(offset_ns, now_ns)
            except OSError as error:
                if error.errno in _NO_DEVICE:
                    break
                raise
            datagrams.extend(batch)
            if len(batch) < DATAGRAMS_PER_CALL:
                self._empty_at_ns = now_ns
                break
        return [Received(self._endpoint, datagrams)] if datagrams else []

    def close(self) -> None:
        """Close."""
        self._socket.close()

    @abstractmethod
    def _prepare(self) -> None: ...

    @abstractmethod
    def _change_membership(self, group: bytes, *, join: bool) -> None: ...

    @abstractmethod
    def _send(self, datagram: bytes, destination: str) -> None: ...

    @abstractmethod
    def _receive(self, offset_ns: int, now_ns: int) -> list[tuple[bytes, int]]: ...


class _Socket4(AdvertSocket):
    def _prepare(self) -> None:
        options = self._socket.setsockopt
        index = self._endpoint.interface_index
        options(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
        options(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
        options(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, _MREQN.pack(_ANY, _ANY, index))
        options(socket.IPPROTO_IP, _IP_HDRINCL, 1)

    def _change_membership(self, group: bytes, *, join: bool) -> None:
        option = socket.IP_ADD_MEMBERSHIP if join else socket.IP_DROP_MEMBERSHIP
        request = _MREQN.pack(group, _ANY, self._endpoint.interface_index)
        self._socket.setsockopt(socket.IPPROTO_IP, option, request)

    def _send(self, datagram: bytes, destination: str) -> None:
        # Unicast ones may be routed, those to a group never (S9).
        multicast = ipv4.is_multicast(datagram[16:20])
        self._socket.sendto(datagram, socket.MSG_DONTROUTE if multicast else 0, (destination, 0))

    def _receive(self, offset_ns: int, now_ns: int) -> list[tuple[bytes, int]]:
        return _buffers.receive(
            self._fd, offset_ns=offset_ns, earliest_ns=self._empty_at_ns, latest_ns=now_ns
        )


class _Socket6(AdvertSocket):
    """The kernel takes a header that comes with the datagram, and delivers none: it tells source, destination
    and hop limit beside the message, and recvmmsg.py makes a header of them."""

    def _prepare(self) -> None:
        options = self._socket.setsockopt
        index = self._endpoint.interface_index
        options(socket.IPPROTO_IPV6, _IPV6_MULTICAST_ALL, 0)
        options(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
        options(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        options(socket.IPPROTO_IPV6, _IPV6_HDRINCL, 1)
        options(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
        # Off, which is the kernel's own choice for this protocol too: a wrong checksum must be counted (C7).
        options(socket.IPPROTO_IPV6, socket.IPV6_CHECKSUM, -1)
        options(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
        options(socket.IPPROTO_IPV6, _IPV6_RECVHOPLIMIT, 1)
        if not _buffers6:
            _buffers6.append(Buffers6())

    def _change_membership(self, group: bytes, *, join: bool) -> None:
        option = socket.IPV6_JOIN_GROUP if join else socket.IPV6_LEAVE_GROUP
        request = _MREQ6.pack(group, self._endpoint.interface_index)
        self._socket.setsockopt(socket.IPPROTO_IPV6, option, request)

    def _send(self, datagram: bytes, destination: str) -> None:
        index = self._endpoint.interface_index
        to = (destination, 0, 0, index)
        try:
            self._socket.sendto(datagram, to)
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise
            # An interface with a virtual MAC has no address yet when its first advert leaves.
            source = ipv6.HEADER.unpack_from(datagram)[4]
            told = (socket.IPPROTO_IPV6, _IPV6_PKTINFO, _MREQ6.pack(source, index))
            self._socket.sendmsg([datagram], [told], 0, to)

    def _receive(self, offset_ns: int, now_ns: int) -> list[tuple[bytes, int]]:
        return _buffers6[0].receive(
            self._fd, offset_ns=offset_ns, earliest_ns=self._empty_at_ns, latest_ns=now_ns
        )


def open_socket(endpoint: Endpoint, interface: str) -> AdvertSocket:
    """Raises OSError."""
    if endpoint.family is AddressFamily.IPV4:
        return _Socket4(endpoint, interface, socket.AF_INET)
    return _Socket6(endpoint, interface, socket.AF_INET6)


def open_ah_socket(endpoint: Endpoint, interface: str) -> AdvertSocket:
    """Only for hearing: the other socket sends whole datagrams of either protocol. Raises OSError."""
    return _Socket4(endpoint, interface, socket.AF_INET, PROTOCOL_AH)


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
