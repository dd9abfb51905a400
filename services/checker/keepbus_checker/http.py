"""HTTP_GETs: connect, send the request, read until the server closes."""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import NamedTuple

from keepbus.config.model.checker import Url
from keepbus.runtime.loop import READABLE, WRITABLE, Loop
from keepbus.runtime.machine import Event
from keepbus_checker.answer import Answer
from keepbus_checker.batch import Batch, Ended, Ready, failed
from keepbus_checker.events import Outcome, ProbesAdvanced

READ_OCTETS = 16 * 1024
READS_PER_TURN = 4
"""A server that sends without end gets so many reads a turn; then everybody else has his."""

READ_MASK = READABLE | select.EPOLLRDHUP
"""As a mask that came: there is the rest of the answer to read, then its end."""


class Page(NamedTuple):
    """What is asked for, worked out once per check."""

    request: bytes
    url: Url


class HttpProbes(Batch[Page]):
    """All HTTP_GETs under way: one URL each, on its own connection.

    Most requests are sent at once and most answers come whole, so only of the others something is kept.
    """

    def __init__(
        self, loop: Loop, clock_ns: Callable[[], int], wall_ns: Callable[[], int], buffer: memoryview
    ) -> None:
        """buffer is where octets are read to; nothing is kept there."""
        super().__init__(loop, clock_ns, wall_ns)
        self._buffer = buffer
        self._unsent: dict[int, bytes] = {}
        """The rest of a request that was sent in part, by descriptor."""
        self._answers: dict[int, Answer] = {}
        """What came of an answer that is not complete, by descriptor."""

    def _forget(self, fd: int) -> None:
        self._unsent.pop(fd, None)
        self._answers.pop(fd, None)

    def _connected(self, ready: Ready, watch: Callable[[int, int], None]) -> list[Event]:
        """Send what is to be sent. A connection that failed says so then."""
        ended: list[Ended] = []
        advanced: list[int] = []
        asked: list[int] = []
        for fd, _mask in ready:
            number, _started_ns, sock, page = self._under_way[fd]
            request = self._unsent.pop(fd, page.request)
            try:
                sent = sock.send(request)
            except BlockingIOError:
                sent = 0
            except OSError as error:
                ended.append(failed(fd, error.errno or 0))
                continue
            advanced.append(number)
            if sent == len(request):
                asked.append(fd)
            else:
                self._unsent[fd] = request[sent:]
                watch(fd, WRITABLE)
        for fd in asked:
            watch(fd, READ_MASK)
        return [*self._end(ended), ProbesAdvanced(advanced, "answer")]

    def _look(self, ready: Ready) -> list[Event]:
        ended: list[Ended] = []
        advanced: list[int] = []
        connected: list[tuple[int, int]] = []
        for fd, mask in ready:
            if mask & WRITABLE:
                connected.append((fd, mask))
            elif end := self._read(fd, mask):
                ended.append(end)
            else:
                advanced.append(self._under_way[fd][0])
        events = self._end(ended)
        if advanced:
            events.append(ProbesAdvanced(advanced, "more"))
        if connected:
            events += self._connected(connected, self._epoll.modify)
        return events

    def _read(self, fd: int, mask: int) -> Ended | None:
        """Read what is there; None while the answer is not complete."""
        _number, _started_ns, sock, page = self._under_way[fd]
        answer = self._answers.pop(fd, None) or Answer(page.url)
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
                if mask != READ_MASK:
                    break
            passed, received = answer.end()
            return fd, Outcome.PASSED if passed else Outcome.FAILED, received
        self._answers[fd] = answer
        return None
