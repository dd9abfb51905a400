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

DATAGRAMS_PER_CALL = 64
LONGEST_DATAGRAM = 2048
_DONTWAIT = int(socket.MSG_DONTWAIT)
# Places that are a power of two apart would share few sets of the processor's first cache.
_STRIDE = LONGEST_DATAGRAM + 64
_PLACES = range(0, DATAGRAMS_PER_CALL * _STRIDE, _STRIDE)
_TIMESPEC_OCTETS = 2 * ctypes.sizeof(ctypes.c_long)
_CONTROL_OCTETS = socket.CMSG_SPACE(_TIMESPEC_OCTETS)
_STAMP = struct.Struct(f"@{socket.CMSG_LEN(0)}xll")
_NS_PER_S = 1_000_000_000


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


class Buffers:
    """Room for the datagrams of one call. Any number of sockets may use it in turn."""

    def __init__(self) -> None:
        # Memory whose slices are bytes, unlike those of a bytearray.
        self._octets = mmap.mmap(-1, DATAGRAMS_PER_CALL * _STRIDE)
        octets_at = ctypes.addressof(ctypes.c_char.from_buffer(self._octets))
        vectors = self._vectors = (_Vector * DATAGRAMS_PER_CALL)()
        control = (ctypes.c_char * (DATAGRAMS_PER_CALL * _CONTROL_OCTETS))()
        messages = (_Message * DATAGRAMS_PER_CALL)()
        for number, message in enumerate(messages):
            vector = vectors[number]
            vector.base = octets_at + _PLACES[number]
            vector.length = LONGEST_DATAGRAM
            header = message.header
            header.vectors = ctypes.addressof(vector)
            header.vector_count = 1
            header.control = ctypes.addressof(control) + number * _CONTROL_OCTETS
            header.control_length = _CONTROL_OCTETS
        self._at = ctypes.addressof(messages)
        self._messages = memoryview(messages).cast("B")
        self._control = memoryview(control).cast("B")
        self._fresh_messages = bytes(self._messages)
        self._fresh_control = bytes(self._control)

    def receive(
        self, fd: int, *, offset_ns: int, earliest_ns: int, latest_ns: int
    ) -> list[tuple[bytes, int]]:
        """What waits in a socket with SO_TIMESTAMPNS, at most DATAGRAMS_PER_CALL, in the order of arrival.

        Each datagram comes with the moment when the kernel received it: its stamp and offset_ns, kept between
        earliest_ns and latest_ns. Never waits. Raises OSError for what the kernel tells but EAGAIN.
        """
        # The kernel writes into the lengths what it used of them.
        self._messages[:] = self._fresh_messages
        self._control[:] = self._fresh_control
        count = _recvmmsg(fd, self._at, DATAGRAMS_PER_CALL, _DONTWAIT, None)
        if count < 0:
            number = ctypes.get_errno()
            if number == errno.EAGAIN:
                return []
            raise OSError(number, os.strerror(number))
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
