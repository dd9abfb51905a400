"""Servers of every character, for each kind of check one: good, slow, silent, and those that mean harm.

Each maker starts one and gives what a check needs to reach it. They run where nobody else does (the kernel of
that namespace answers no pings), and end with their process.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from checker_peers import UdpServer
from checker_servers import Behaviour, Server

TEN_MEGABYTES = 10_000_000
GARBAGE = bytes(range(255, 127, -1)) * 8
SLOW_S, AGES_S = 0.15, 30.0
_DATAGRAM = 60_000
_ECHO = struct.Struct("!BBHHH")
_ECHO_REQUEST = 8
_IP_HEADER_OCTETS = 20

Made = dict[str, Any]
"""Fields of a Check."""


# Servers of streams


def stream(
    behaviour: Behaviour, *, reads: bool = False, tls: ssl.SSLContext | None = None
) -> Callable[[], Made]:
    """A server that does this with each connection; reads: once it has read a request."""
    return lambda: {"port": Server(behaviour, reads=reads, tls=tls).port}


def nobody() -> Made:
    """A port where nobody listens, for TCP and UDP."""
    return {"port": 9}


def deaf() -> Made:
    """A listener whose queue is full: the kernel answers no more."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    kept = [socket.socket() for _ in range(3)]
    for connection in kept:
        connection.setblocking(False)
        connection.connect_ex(listener.getsockname())
    _KEPT.extend((listener, *kept))
    return {"port": listener.getsockname()[1]}


def silent(_connection: socket.socket, _request: bytes) -> None:
    time.sleep(AGES_S)


def pieces(*octets: bytes) -> Behaviour:
    """One after the other, with pauses."""

    def behave(connection: socket.socket, _request: bytes) -> None:
        for piece in octets:
            time.sleep(SLOW_S)
            connection.sendall(piece)

    return behave


def dribble(head: bytes, octet: bytes) -> Behaviour:
    """The head, then octets without end, each in time."""

    def behave(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(octet)
            time.sleep(0.1)

    return behave


def half(octets: bytes = b"") -> Behaviour:
    """These, then the end of what it sends; it goes on listening."""

    def behave(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(octets)
        # Of the connection, not of TLS, which would say so.
        socket.socket.shutdown(connection, socket.SHUT_WR)
        time.sleep(AGES_S)

    return behave


def much(head: bytes = b"", filling: bytes = b"\xff", octets: int = TEN_MEGABYTES) -> Behaviour:
    """The head, and so many octets more."""

    def behave(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(head)
        chunk = memoryview(filling * (65_536 // len(filling)))
        left = octets
        while left:
            left -= connection.send(chunk[:left])

    return behave


# Servers of datagrams


def datagrams(answers: Callable[[bytes], Iterable[bytes]]) -> Callable[[], Made]:
    """A server that sends these for each request."""
    return lambda: {"port": UdpServer(answers).port}


def late(answers: Callable[[bytes], Iterable[bytes]]) -> Callable[[bytes], Iterator[bytes]]:
    """The same, after a pause."""

    def after_a_pause(request: bytes) -> Iterator[bytes]:
        time.sleep(SLOW_S)
        yield from answers(request)

    return after_a_pause


def flood(head: Callable[[bytes], bytes]) -> Callable[[bytes], Iterator[bytes]]:
    """Ten megabytes that begin with what `head` makes of the request."""

    def without_end(request: bytes) -> Iterator[bytes]:
        datagram = head(request) + b"\xff" * _DATAGRAM
        return (datagram for _ in range(TEN_MEGABYTES // _DATAGRAM))

    return without_end


# What answers pings


def pinged(answers: Callable[[int, int, bytes], Iterable[bytes]]) -> Callable[[], Made]:
    """An address whose echo requests are answered by this: it gets identifier, sequence number and data."""

    def make() -> Made:
        address = f"127.7.0.{len(_PINGED) + 1}"
        _PINGED[address] = answers
        if len(_PINGED) == 1:
            threading.Thread(target=_answer_pings, daemon=True).start()
        return {"port": 0, "address": address}

    return make


def echo(identifier: int, sequence: int, data: bytes) -> bytes:
    """An echo reply (RFC 792), with its checksum."""
    message = _ECHO.pack(0, 0, 0, identifier, sequence) + data + bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(message) // 2}H", message))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return message[:2] + struct.pack("!H", ~total & 0xFFFF) + message[4:]


def _answer_pings() -> None:
    wire = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    while True:
        packet = wire.recv(65_536)
        kind, _code, _checksum, identifier, sequence = _ECHO.unpack_from(packet, _IP_HEADER_OCTETS)
        answers = _PINGED.get(socket.inet_ntoa(packet[16:20]))
        if kind != _ECHO_REQUEST or answers is None:
            continue
        asked = packet[16:20], packet[12:16]
        threading.Thread(
            target=_reply, args=(*asked, answers(identifier, sequence, packet[28:])), daemon=True
        ).start()


def _reply(source: bytes, target: bytes, messages: Iterable[bytes]) -> None:
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)) as wire:
        wire.bind((socket.inet_ntoa(source), 0))
        for message in messages:
            wire.sendto(message, (socket.inet_ntoa(target), 0))


_KEPT: list[socket.socket] = []
_PINGED: dict[str, Callable[[int, int, bytes], Iterable[bytes]]] = {}
