"""One URL of an HTTP_GET under way: connect, send the request, read until the server closes."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Iterable
from typing import NamedTuple

from keepbus.config.model import TlsClient
from keepbus.runtime.loop import READABLE, WRITABLE, Loop
from keepbus.runtime.machine import Event
from keepbus_checker.answer import Answer
from keepbus_checker.events import Outcome, ProbeAdvanced
from keepbus_checker.tcp import FAILED_MASK, End, Socket, outcome_of, words_of

READ_OCTETS = 16 * 1024
READS_PER_TURN = 4
"""A server that sends without end gets so many reads a turn; then everybody else has his."""

_READ_MASK = READABLE | select.EPOLLRDHUP

CONNECTING, HANDSHAKE, SENDING, READING = range(4)
"""What a probe waits for."""


class Session(NamedTuple):
    """What a TlsProbe has beyond a GET."""

    server_name: str
    """Sent in the handshake, unless it is empty."""
    settings: TlsClient | None
    compliant: bool
    """The connection ends with TLS's farewell, from both sides."""
    shown: Callable[[bytes], Iterable[Event]]
    """Gets the server's certificate, DER."""


class HttpProbe:
    """A GET on its own connection. `TlsProbe` puts TLS between the steps."""

    __slots__ = ("_answer", "_buffer", "_end", "_loop", "_number", "_session", "_step", "_unsent", "sock")

    def __init__(
        self,
        number: int,
        sock: Socket,
        loop: Loop,
        end: End,
        *,
        request: bytes,
        answer: Answer,
        buffer: memoryview,
        session: Session | None = None,
    ) -> None:
        """buffer is where octets are read to; all probes share it, none keeps anything there.

        session is for TlsProbe.
        """
        self._number = number
        self.sock = sock
        self._loop = loop
        self._end = end
        self._unsent = request
        self._answer = answer
        self._buffer = buffer
        self._session = session
        self._step = CONNECTING

    def ready(self, mask: int) -> Iterable[Event]:
        """Reader of the loop: do what the connection is ready for."""
        if self._step == READING:
            return self._read(mask)
        if self._step == SENDING:
            return self._send()
        if self._step == HANDSHAKE:
            return self._handshake()
        if mask & FAILED_MASK:
            error = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                return self._failed(error)
        return self._connected()

    def _connected(self) -> Iterable[Event]:
        return self._send()

    def _handshake(self) -> Iterable[Event]:
        raise NotImplementedError  # only TlsProbe enters that step

    def _send(self) -> Iterable[Event]:
        try:
            sent = self.sock.send(self._unsent)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            return self._failed(error.errno)
        if sent < len(self._unsent):
            self._unsent = self._unsent[sent:]
            self._step = SENDING
            self._loop.watch(self.sock.fileno(), self.ready, WRITABLE)
        else:
            self._step = READING
            self._loop.watch(self.sock.fileno(), self.ready, _READ_MASK)
        return (ProbeAdvanced(self._number, "answer"),)

    def _read(self, mask: int) -> Iterable[Event]:
        buffer = self._buffer
        closing = mask & select.EPOLLRDHUP
        for _ in range(READS_PER_TURN):
            try:
                count = self.sock.recv_into(buffer)
            except BlockingIOError:
                return ()
            except OSError as error:
                return self._failed(error.errno)
            if not count:
                return self._closed()
            if refusal := self._answer.feed(buffer[:count]):
                return self._end(self._number, Outcome.FAILED, refusal)
            if count < READ_OCTETS and not closing:
                break  # nothing more is there now; asking would only say so
        return (ProbeAdvanced(self._number, "more"),)

    def _closed(self) -> Iterable[Event]:
        passed, received = self._answer.end()
        return self._end(self._number, Outcome.PASSED if passed else Outcome.FAILED, received)

    def _failed(self, error: int | None) -> Iterable[Event]:
        number = error or 0
        return self._end(self._number, outcome_of(number), words_of(number))
