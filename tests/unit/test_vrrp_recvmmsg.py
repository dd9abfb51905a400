"""recvmmsg by ctypes: every datagram once, whole, in order, with the kernel's stamp."""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Iterator

import pytest
from keepbus_vrrp.recvmmsg import DATAGRAMS_PER_CALL, LONGEST_DATAGRAM, LONGEST_DATAGRAM6, Buffers, Buffers6

SO_TIMESTAMPNS = 35
FOREVER_NS = 1 << 62


class Line:
    """Two UDP sockets on loopback."""

    def __init__(self, *, stamped: bool = True) -> None:
        self.receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.receiver.bind(("127.0.0.1", 0))
        if stamped:
            self.receiver.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sender.connect(self.receiver.getsockname())
        self.buffers = Buffers()

    def receive(
        self, *, offset_ns: int = 0, earliest_ns: int = 0, latest_ns: int = FOREVER_NS
    ) -> list[tuple[bytes, int]]:
        return self.buffers.receive(
            self.receiver.fileno(), offset_ns=offset_ns, earliest_ns=earliest_ns, latest_ns=latest_ns
        )

    def close(self) -> None:
        self.receiver.close()
        self.sender.close()


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line()
    yield line
    line.close()


def test_datagrams_of_all_lengths_come_whole_and_in_order(line: Line) -> None:
    sent = [os.urandom(length) for length in (32, 0, 1, 1500, LONGEST_DATAGRAM, 40)]
    for octets in sent:
        line.sender.send(octets)
    assert [octets for octets, _ in line.receive()] == sent
    assert line.receive() == []


def test_a_longer_datagram_is_cut_and_its_neighbours_are_not_touched(line: Line) -> None:
    before, long, after = os.urandom(100), os.urandom(LONGEST_DATAGRAM + 64), os.urandom(100)
    for octets in (before, long, after):
        line.sender.send(octets)
    assert [octets for octets, _ in line.receive()] == [before, long[:LONGEST_DATAGRAM], after]


def test_what_does_not_fit_into_one_call_waits_for_the_next(line: Line) -> None:
    sent = [number.to_bytes(2, "big") for number in range(DATAGRAMS_PER_CALL + 3)]
    for octets in sent:
        line.sender.send(octets)
    first = line.receive()
    assert [octets for octets, _ in first] == sent[:DATAGRAMS_PER_CALL]
    assert [octets for octets, _ in line.receive()] == sent[DATAGRAMS_PER_CALL:]
    # What was handed out is a copy: the second call did not change it.
    assert [octets for octets, _ in first] == sent[:DATAGRAMS_PER_CALL]


def test_each_has_the_moment_when_it_was_received_not_when_it_was_read(line: Line) -> None:
    give_up_at_s = time.monotonic() + 5
    while True:
        begin_ns = time.time_ns()
        line.sender.send(b"one")
        line.sender.send(b"two")
        end_ns = time.time_ns()
        (_, one_ns), (_, two_ns) = line.receive(offset_ns=7)
        # The kernel begins to stamp what comes a moment after the first socket of the host asked for it.
        if one_ns - 7 <= end_ns or time.monotonic() > give_up_at_s:
            break
    assert begin_ns <= one_ns - 7 <= two_ns - 7 <= end_ns


def test_a_moment_is_kept_between_its_bounds(line: Line) -> None:
    line.sender.send(b"one")
    assert line.receive(latest_ns=5) == [(b"one", 5)]
    line.sender.send(b"two")
    assert line.receive(earliest_ns=FOREVER_NS - 1) == [(b"two", FOREVER_NS - 1)]


def test_a_socket_without_stamps_gives_the_latest_moment() -> None:
    """Also after stamped ones: nothing of an earlier call is taken for a stamp."""
    plain, stamped = Line(stamped=False), Line()
    plain.buffers = stamped.buffers
    stamped.sender.send(b"stamped")
    assert stamped.receive()[0][1] < FOREVER_NS
    plain.sender.send(b"plain")
    assert plain.receive() == [(b"plain", FOREVER_NS)]
    plain.close()
    stamped.close()


def test_an_error_names_its_number(line: Line) -> None:
    reader, writer = os.pipe()
    with pytest.raises(OSError, match=os.strerror(errno.ENOTSOCK)):
        line.buffers.receive(reader, offset_ns=0, earliest_ns=0, latest_ns=0)
    os.close(reader)
    os.close(writer)


def line6() -> tuple[socket.socket, socket.socket]:
    """A receiver and a sender on loopback; the receiver tells what a raw socket of VRRP tells."""
    receiver = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    receiver.bind(("::1", 0))
    receiver.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    receiver.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    receiver.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
    sender = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 77)
    sender.connect(receiver.getsockname())
    return receiver, sender


def test_ipv6_datagrams_get_the_header_that_the_kernel_keeps() -> None:
    """Source, destination and hop limit of each, whatever its length, and the moment of its arrival."""
    receiver, sender = line6()
    buffers = Buffers6()
    begin_ns = time.time_ns()
    sent = [os.urandom(length) for length in (40, 0, 1, 1500, LONGEST_DATAGRAM6 - 40)] * 14
    for octets in sent:
        sender.send(octets)
    end_ns = time.time_ns()
    found: list[tuple[bytes, int]] = []
    for _ in range(2):
        found += buffers.receive(receiver.fileno(), offset_ns=7, earliest_ns=0, latest_ns=FOREVER_NS)
    loopback = bytes(15) + b"\1"
    for (octets, at_ns), payload in zip(found, sent, strict=True):
        head = bytes.fromhex("6c000000") + len(payload).to_bytes(2, "big") + bytes((112, 77))
        assert octets == head + loopback + loopback + payload
        assert begin_ns <= at_ns - 7 <= end_ns
    receiver.close()
    sender.close()
