"""Probes that are many and short, in batches: their connections, and the whole of a TCP_CHECK.

What is done for each of these probes is done thousands of times a second. So one call serves all that are
ready, and those that were started together are asked together, with one poll, in the loop's next look: by
then a target nearby has answered. Only what takes longer goes on an epoll, one for all.

The kernel's part of a connection empties the caches: what can be done for all comes before it or after it
(docs/decisions/0202).
"""

from __future__ import annotations

import os
import select
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from keepbus.runtime.loop import WRITABLE, Loop
from keepbus.runtime.machine import Event
from keepbus_checker.events import Outcome, ProbeEnded, ProbesPassed
from keepbus_checker.tcp import FAILED_MASK, Route, Socket, error_of, outcome_of, words_of

MOST_PER_TURN = 256
_PASSED = Outcome.PASSED

Asked = TypeVar("Asked")
"""What a probe does once it is connected."""

Ready = Iterable[tuple[int, int]]
"""Descriptors and their masks."""

Ended = tuple[int, Outcome, str]
"""A descriptor, how its probe ended, and the line for the operator."""


class Batch(ABC, Generic[Asked]):
    """All probes of one kind that are under way."""

    def __init__(self, loop: Loop, clock_ns: Callable[[], int], wall_ns: Callable[[], int]) -> None:
        self._clock_ns = clock_ns
        self._wall_ns = wall_ns
        self._fds: dict[int, int] = {}
        """Descriptor by probe."""
        self._under_way: dict[int, tuple[int, int, Socket, Asked]] = {}
        """Probe, moment of its start, socket, and what it does, by descriptor."""
        self._young: set[int] = set()
        """Descriptors not asked yet; all others under way are on the epoll."""
        self._has_young = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll = select.epoll()
        loop.watch(self._has_young, self._ask_young)
        loop.watch(self._epoll.fileno(), lambda _mask: self._look(self._epoll.poll(0, MOST_PER_TURN)))

    def start(self, probes: Iterable[tuple[int, Route, Asked]]) -> list[Event]:
        """Begin these; probes that could not begin end at once."""
        clock_ns = self._clock_ns
        opened = [(number, clock_ns(), route.connect(), asked) for number, route, asked in probes]
        os.eventfd_write(self._has_young, 1)
        ended: list[Event] = []
        for number, started_ns, sock, asked in opened:
            if isinstance(sock, int):
                ended.append(ProbeEnded(number, outcome_of(sock), words_of(sock), 0, self._wall_ns()))
                continue
            fd = self._fds[number] = sock.fileno()
            self._under_way[fd] = number, started_ns, sock, asked
            self._young.add(fd)
        return ended

    def abort(self, number: int) -> bool:
        """Close the probe's socket; False when it is none of these."""
        fd = self._fds.pop(number, None)
        if fd is None:
            return False
        self._young.discard(fd)
        self._forget(fd)
        self._under_way.pop(fd)[2].close()
        return True

    def _forget(self, fd: int) -> None:
        """The probe is given up: drop what is kept of it."""

    @abstractmethod
    def _connected(self, ready: Ready, watch: Callable[[int, int], None]) -> list[Event]:
        """These are connected, or failed to be; watch tells the epoll what each waits for next."""

    @abstractmethod
    def _look(self, ready: Ready) -> list[Event]:
        """These are ready, of those on the epoll."""

    def _ask_young(self, _mask: int) -> list[Event]:
        os.eventfd_read(self._has_young)
        young, self._young = self._young, set()
        poll = select.poll()
        for fd in young:
            poll.register(fd, select.POLLOUT)
        ready = poll.poll(0)
        events = self._connected(ready, self._epoll.register)
        for fd in young.difference([fd for fd, _mask in ready]):
            self._epoll.register(fd, WRITABLE)
        return events

    def _end(self, ended: Iterable[Ended]) -> list[Event]:
        """Close these, take them out, and say how they ended."""
        events: list[Event] = []
        passed: list[tuple[int, int, str]] = []
        socks: list[Socket] = []
        now_ns, wall_ns = self._clock_ns(), self._wall_ns()
        for fd, outcome, received in ended:
            number, started_ns, sock, _asked = self._under_way.pop(fd)
            del self._fds[number]
            socks.append(sock)
            took_us = (now_ns - started_ns) // 1000
            if outcome is _PASSED:
                passed.append((number, took_us, received))
            else:
                events.append(ProbeEnded(number, outcome, received, took_us, wall_ns))
        for sock in socks:
            sock.close()  # which also takes it out of the epoll
        if passed:
            events.append(ProbesPassed(passed, wall_ns))
        return events


def failed(fd: int, error: int) -> Ended:
    """The end that an errno makes."""
    return fd, outcome_of(error), words_of(error)


class TcpProbes(Batch[None]):
    """All TCP_CHECKs: success is the established connection, closed at once."""

    def _connected(self, ready: Ready, watch: Callable[[int, int], None]) -> list[Event]:
        return self._look(ready)

    def _look(self, ready: Ready) -> list[Event]:
        ended: list[Ended] = []
        for fd, mask in ready:
            error = mask & FAILED_MASK and error_of(self._under_way[fd][2], mask)
            ended.append(failed(fd, error) if error else (fd, _PASSED, "connected"))
        return self._end(ended)
