"""One SMTP_CHECK under way: a dialogue on a TCP connection."""

from __future__ import annotations

import socket
from collections.abc import Iterable

from keepbus.runtime.loop import READABLE, WRITABLE, Loop
from keepbus.runtime.machine import Event
from keepbus_checker.events import Outcome, ProbesAdvanced
from keepbus_checker.smtp import Dialogue
from keepbus_checker.tcp import FAILED_MASK, End, Socket, outcome_of, words_of


class SmtpProbe:
    """Speaks what the dialogue says; what it says fits into any socket's buffer."""

    __slots__ = ("_buffer", "_connected", "_dialogue", "_end", "_loop", "_number", "sock")

    def __init__(
        self, number: int, sock: Socket, loop: Loop, end: End, *, helo_name: str, buffer: memoryview
    ) -> None:
        """buffer is where octets are read to; all probes share it, none keeps anything there."""
        self._number = number
        self.sock = sock
        self._loop = loop
        self._end = end
        self._dialogue = Dialogue(helo_name)
        self._buffer = buffer
        self._connected = False
        loop.watch(sock.fileno(), self.ready, WRITABLE)

    def ready(self, mask: int) -> Iterable[Event]:
        """Reader of the loop."""
        if not self._connected:
            error = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if mask & FAILED_MASK else 0
            if error:
                return self._failed(error)
            self._connected = True
            self._loop.watch(self.sock.fileno(), self.ready, READABLE)
            return (ProbesAdvanced((self._number,), "answer"),)
        try:
            count = self.sock.recv_into(self._buffer)
            if not count:
                return self._end(self._number, Outcome.FAILED, self._dialogue.closed())
            move = self._dialogue.feed(self._buffer[:count])
            if move.say:
                self.sock.send(move.say)
        except BlockingIOError:
            return ()
        except OSError as error:
            return self._failed(error.errno or 0)
        if move.passed is None:
            # Only a reply wins time: a server that sends octet by octet doesn't.
            return (ProbesAdvanced((self._number,), "answer"),) if move.say else ()
        return self._end(self._number, Outcome.PASSED if move.passed else Outcome.FAILED, move.received)

    def _failed(self, number: int) -> Iterable[Event]:
        return self._end(self._number, outcome_of(number), words_of(number))
