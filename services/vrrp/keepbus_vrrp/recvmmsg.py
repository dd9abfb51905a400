"""recvmmsg(2): many datagrams by one system call, into buffers that are made once.

Law of this file: what it hands out is a copy, so nothing of it is overwritten by the next call. The kernel's
structures are those of <sys/socket.h>, laid out by ctypes as the C compiler of this platform does it.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import socket
import struct

from keepbus_vrrp import ipv6

DATAGRAMS_PER_CALL = 64
LONGEST_DATAGRAM = 2048
_DONTWAIT = int(socket.MSG_DONTWAIT)
# Places that are a power of two apart would share few sets of the processor's first cache.
_STRIDE = LONGEST_DATAGRAM + 64
_PLACES = range(0, DATAGRAMS_PER_CALL * _STRIDE, _STRIDE)
LONGEST_DATAGRAM6 = 4224
"""255 addresses and an authentication trailer, where the link has room for them."""
_STRIDE6 = LONGEST_DATAGRAM6 + 64
_PLACES6 = range(0, DATAGRAMS_PER_CALL * _STRIDE6, _STRIDE6)
_NAME = struct.Struct("@HHI16sI")
"""struct sockaddr_in6."""
_TIMESPEC_OCTETS = 2 * ctypes.sizeof(ctypes.c_long)
_CONTROL_OCTETS = socket.CMSG_SPACE(_TIMESPEC_OCTETS)
_STAMP = struct.Struct(f"@{socket.CMSG_LEN(0)}xll")
_CONTROL_OCTETS6 = _CONTROL_OCTETS + socket.CMSG_SPACE(20) + socket.CMSG_SPACE(4)
_STAMP6 = struct.Struct(f"@{_STAMP.format}{_CONTROL_OCTETS6 - _STAMP.size}x".replace("@@", "@"))
_ARRIVAL = struct.Struct(
    f"@{_CONTROL_OCTETS + socket.CMSG_LEN(0)}x16s{socket.CMSG_SPACE(20) - socket.CMSG_LEN(0) - 16}x"
    f"{socket.CMSG_LEN(0)}xi{socket.CMSG_SPACE(4) - socket.CMSG_LEN(4)}x"
)
"""Destination and hop limit: the kernel writes IPV6_PKTINFO and IPV6_HOPLIMIT after the stamp."""
_NS_PER_S = 1_000_000_000
_put_header = ipv6.HEADER.pack_into


class _Vector(ctypes.Structure):
    """struct iovec."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Header(ctypes.Structure):
    """struct msghdr."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint),
        ("vectors", ctypes.c_void_p),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Message(ctypes.Structure):
    """struct mmsghdr: a header, and the length of what was received."""

    _fields_ = (("header", _Header), ("length", ctypes.c_uint))


_LENGTH = struct.Struct(f"@{_Message.length.offset}xI{ctypes.sizeof(_Message) - _Message.length.offset - 4}x")
_recvmmsg = ctypes.CDLL(None, use_errno=True).recvmmsg
_recvmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)
_recvmmsg.restype = ctypes.c_int


class _Room:
    """Room for the datagrams of one call."""

    def __init__(
        self, places: range, longest: int, control_octets: int, *, head_octets: int = 0, name_octets: int = 0
    ) -> None:
        """head_octets are left free before each datagram, for a header that the kernel does not deliver."""
        # Memory whose slices are bytes, unlike those of a bytearray.
        self._octets = mmap.mmap(-1, DATAGRAMS_PER_CALL * places.step)
        octets_at = ctypes.addressof(ctypes.c_char.from_buffer(self._octets))
        vectors = self._vectors = (_Vector * DATAGRAMS_PER_CALL)()
        control = (ctypes.c_char * (DATAGRAMS_PER_CALL * control_octets))()
        names = (ctypes.c_char * (DATAGRAMS_PER_CALL * name_octets))()
        messages = (_Message * DATAGRAMS_PER_CALL)()
        for number, message in enumerate(messages):
            vector = vectors[number]
            vector.base = octets_at + places[number] + head_octets
            vector.length = longest - head_octets
            header = message.header
            header.vectors = ctypes.addressof(vector)
            header.vector_count = 1
            header.control = ctypes.addressof(control) + number * control_octets
            header.control_length = control_octets
            if name_octets:
                header.name = ctypes.addressof(names) + number * name_octets
                header.name_length = name_octets
        self._at = ctypes.addressof(messages)
        self._messages = memoryview(messages).cast("B")
        self._control = memoryview(control).cast("B")
        self._names = memoryview(names).cast("B")
        self._fresh_messages = bytes(self._messages)
        self._fresh_control = bytes(self._control)

    def _fill(self, fd: int) -> int:
        """Receive what waits; how many. Raises OSError for what the kernel tells but EAGAIN."""
        # The kernel writes into the lengths what it used of them.
        self._messages[:] = self._fresh_messages
        self._control[:] = self._fresh_control
        count: int = _recvmmsg(fd, self._at, DATAGRAMS_PER_CALL, _DONTWAIT, None)
        if count >= 0:
            return count
        number = ctypes.get_errno()
        if number == errno.EAGAIN:
            return 0
        raise OSError(number, os.strerror(number))


class Buffers(_Room):
    """For sockets that deliver whole datagrams, as IPv4's raw ones do. Any number may use it in turn."""

    def __init__(self) -> None:
        super().__init__(_PLACES, LONGEST_DATAGRAM, _CONTROL_OCTETS)

    def receive(
        self, fd: int, *, offset_ns: int, earliest_ns: int, latest_ns: int
    ) -> list[tuple[bytes, int]]:
        """What waits in a socket with SO_TIMESTAMPNS, at most DATAGRAMS_PER_CALL, in the order of arrival.

        Each datagram comes with the moment when the kernel received it: its stamp and offset_ns, kept between
        earliest_ns and latest_ns. Never waits. Raises OSError for what the kernel tells but EAGAIN.
        """
        count = self._fill(fd)
        octets = self._octets
        lengths = _LENGTH.iter_unpack(self._messages[: count * ctypes.sizeof(_Message)])
        stamps = _STAMP.iter_unpack(self._control[: count * _CONTROL_OCTETS])
        second, second_at_ns = 0, latest_ns  # for what has no stamp
        datagrams: list[tuple[bytes, int]] = []
        for at, (length,), (seconds, nanoseconds) in zip(_PLACES, lengths, stamps, strict=False):
            if seconds != second:
                second = seconds
                second_at_ns = seconds * _NS_PER_S + offset_ns
            at_ns = second_at_ns + nanoseconds
            if not earliest_ns <= at_ns <= latest_ns:
                at_ns = latest_ns if not seconds or at_ns > latest_ns else earliest_ns
            datagrams.append((octets[at : at + length], at_ns))
        return datagrams


class Buffers6(_Room):
    """For raw IPv6 sockets with SO_TIMESTAMPNS, IPV6_RECVPKTINFO and IPV6_RECVHOPLIMIT. They deliver no
    header; each datagram gets one of what the kernel tells beside it. Any number may use it in turn."""

    def __init__(self) -> None:
        super().__init__(
            _PLACES6,
            LONGEST_DATAGRAM6,
            _CONTROL_OCTETS6,
            head_octets=ipv6.HEADER_LENGTH,
            name_octets=_NAME.size,
        )

    def receive(
        self, fd: int, *, offset_ns: int, earliest_ns: int, latest_ns: int
    ) -> list[tuple[bytes, int]]:
        """As Buffers.receive."""
        count = self._fill(fd)
        if not count:
            return []
        octets = self._octets
        control = self._control[: count * _CONTROL_OCTETS6]
        lengths = _LENGTH.iter_unpack(self._messages[: count * ctypes.sizeof(_Message)])
        names = _NAME.iter_unpack(self._names[: count * _NAME.size])
        datagrams: list[tuple[bytes, int]] = []
        for at, (length,), (_, _, _, source, _), (seconds, nanoseconds), (destination, hop_limit) in zip(
            _PLACES6,
            lengths,
            names,
            _STAMP6.iter_unpack(control),
            _ARRIVAL.iter_unpack(control),
            strict=False,
        ):
            _put_header(
                octets, at, ipv6.VERSION_AND_CLASS, length, ipv6.PROTOCOL_VRRP, hop_limit, source, destination
            )
            at_ns = seconds * _NS_PER_S + nanoseconds + offset_ns
            if not earliest_ns <= at_ns <= latest_ns:
                at_ns = latest_ns if not seconds or at_ns > latest_ns else earliest_ns
            datagrams.append((octets[at : at + ipv6.HEADER_LENGTH + length], at_ns))
        return datagrams
