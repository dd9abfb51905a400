"""One probe of a plug-in's check under way: its conversation, on a TCP connection that is ours.

Law of this file: what a plug-in does wrong is an error of this host and no verdict, and no server makes it
hear more than MOST_OCTETS. It does no I/O of its own; its time is limited like everybody's, by the machine.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable

from keepbus.config import plugins
from keepbus.config.model.checker import PluginCheck
from keepbus.runtime.loop import READABLE, WRITABLE, Loop
from keepbus.runtime.machine import Event
from keepbus_checker.events import Outcome, ProbesAdvanced
from keepbus_checker.tcp import FAILED_MASK, End, Socket, outcome_of, words_of

MOST_OCTETS = 256 * 1024
_LONGEST_EVIDENCE = 200


class PluginProbe:
    """Sends what the conversation yields, gives it what comes, ends with what it returns."""

    __slots__ = (
        "_buffer",
        "_conversation",
        "_end",
        "_heard",
        "_keyword",
        "_loop",
        "_number",
        "_step",
        "_unsent",
        "sock",
    )

    def __init__(
        self, number: int, sock: Socket, loop: Loop, end: End, *, plugin: PluginCheck, buffer: memoryview
    ) -> None:
        """buffer is where octets are read to; all probes share it. Raises whatever the plug-in raises."""
        self._number = number
        self.sock = sock
        self._loop = loop
        self._end = end
        self._keyword = plugin.keyword
        self._buffer = buffer
        self._heard = 0
        self._unsent = b""
        make = plugins.installed()[plugin.keyword].make
        assert make is not None, "the compiler lets no check with one that can't be loaded pass"
        self._conversation = make().converse({one.word: one.argument for one in plugin.settings})
        self._step = "connect"
        loop.watch(sock.fileno(), self.ready, WRITABLE)

    def ready(self, mask: int) -> Iterable[Event]:
        """Reader of the loop."""
        try:
            if self._step == "connect":
                error = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if mask & FAILED_MASK else 0
                return self._failed(error) if error else self._go_on(None)
            if self._unsent:
                return self._send()
            count = self.sock.recv_into(self._buffer)
        except BlockingIOError:
            return ()
        except OSError as failure:
            return self._failed(failure.errno or 0)
        self._heard += count
        if self._heard > MOST_OCTETS:
            self._conversation.close()
            return self._end(self._number, Outcome.FAILED, f"more than {MOST_OCTETS} octets came")
        return self._go_on(bytes(self._buffer[:count]))

    def _go_on(self, received: bytes | None) -> Iterable[Event]:
        try:
            says = next(self._conversation) if received is None else self._conversation.send(received)
            if type(says) is not bytes:
                raise TypeError(f"it yields {type(says).__name__} instead of bytes")
            if received == b"":
                raise RuntimeError("it goes on although the server has closed")
        except StopIteration as ended:
            return self._judged(ended.value)
        except Exception as error:  # whatever somebody else's code does
            return self._broken(f"{type(error).__name__}: {error}")
        if self._step != "connect" and not says:
            return ()  # only what makes it say more wins time
        self._step = "answer"
        self._unsent = says
        return (ProbesAdvanced((self._number,), "answer"), *self._send())

    def _send(self) -> Iterable[Event]:
        try:
            self._unsent = self._unsent[self.sock.send(self._unsent) :] if self._unsent else b""
        except BlockingIOError:
            pass
        except OSError as failure:
            return self._failed(failure.errno or 0)
        self._loop.watch(self.sock.fileno(), self.ready, WRITABLE if self._unsent else READABLE)
        return ()

    def _judged(self, value: object) -> Iterable[Event]:
        match value:
            case (bool() as passed, str() as evidence):
                shown = "".join(character if character.isprintable() else "�" for character in evidence)
                outcome = Outcome.PASSED if passed else Outcome.FAILED
                return self._end(self._number, outcome, shown[:_LONGEST_EVIDENCE])
        return self._broken("it returns no (bool, str)")

    def _broken(self, reason: str) -> Iterable[Event]:
        return self._end(self._number, Outcome.LOCAL, f"the plug-in of {self._keyword} is at fault, {reason}")

    def _failed(self, number: int) -> Iterable[Event]:
        return self._end(self._number, outcome_of(number), words_of(number))
