"""HTTP_GETs: connect, send the request, read until the server closes."""

from __future__ import annotations

import select
from collections.abc import Callable

from keepbus.config.model import Url
from keepbus.runtime.loop import READABLE, WRITABLE, Loop
from keepbus.runtime.machine import Event
from keepbus_checker.answer import Answer
from keepbus_checker.batch import Batch, Ended, Ready, failed
from keepbus_checker.events import Outcome, ProbesAdvanced
from keepbus_checker.tcp import Socket, error_of

READ_OCTETS = 16 * 1024
READS_PER_TURN = 4
"""A server that sends without end gets so many reads a turn; then everybody else has his."""

_READ_MASK = READABLE | select.EPOLLRDHUP
"""As a mask that came: there is the rest of the answer to read, then its end."""


class Get:
    """What one probe asks for, and what came of it."""

    __slots__ = ("answer", "unsent", "url")

    def __init__(self, request: bytes, url: Url) -> None:
        self.unsent = request
        """Empty once the answer is waited for."""
        self.url = url
        self.answer = Answer(url)


class HttpProbes(Batch[Get]):
    """All HTTP_GETs under way: one URL each, on its own connection."""

    def __init__(
        self, loop: Loop, clock_ns: Callable[[], int], wall_ns: Callable[[], int], buffer: memoryview
    ) -> None:
        """buffer is where octets are read to; nothing is kept there."""
        super().__init__(loop, clock_ns, wall_ns)
        self._buffer = buffer

    def _connected(self, ready: Ready, watch: Callable[[int, int], None]) -> list[Event]:
        """Send what is to be sent."""
        ended: list[Ended] = []
        advanced: list[int] = []
        waiting: list[tuple[int, int]] = []
        for fd, mask in ready:
            number, sock, _started_ns, get = self._under_way[fd]
            error = error_of(sock, mask)
            sent = 0
            if not error:
                try:
                    sent = sock.send(get.unsent)
                except BlockingIOError:
                    pass
                except OSError as failure:
                    error = failure.errno or 0
            if error:
                ended.append(failed(fd, error))
                continue
            get.unsent = get.unsent[sent:]
            advanced.append(number)
            waiting.append((fd, WRITABLE if get.unsent else _READ_MASK))
        for fd, mask in waiting:
            watch(fd, mask)
        return [*self._end(ended), ProbesAdvanced(advanced, "answer")]

    def _look(self, ready: Ready) -> list[Event]:
        ended: list[Ended] = []
        advanced: list[int] = []
        connected: list[tuple[int, int]] = []
        for fd, mask in ready:
            number, sock, _started_ns, get = self._under_way[fd]
            if get.unsent:
                connected.append((fd, mask))
            elif end := self._read(fd, mask, sock, get.answer):
                ended.append(end)
            else:
                advanced.append(number)
        events = self._end(ended)
        if advanced:
            events.append(ProbesAdvanced(advanced, "more"))
        if connected:
            events += self._connected(connected, self._epoll.modify)
        return events

    def _read(self, fd: int, mask: int, sock: Socket, answer: Answer) -> Ended | None:
        """Read what is there; None while the answer is not complete."""
        buffer = self._buffer
        for _ in range(READS_PER_TURN):
            try:
                count = sock.recv_into(buffer)
            except BlockingIOError:
                break
            except OSError as error:
                return failed(fd, error.errno or 0)
            if count:
                if refusal := answer.feed(buffer[:count]):
                    return fd, Outcome.FAILED, refusal
                if count == READ_OCTETS:
                    continue
                # That was all for now, and the mask knows whether it was the end; asking would only say so.
                if mask != _READ_MASK:
                    break
            passed, received = answer.end()
            return fd, Outcome.PASSED if passed else Outcome.FAILED, received
        return None
