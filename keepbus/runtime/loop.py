"""The one loop of every service: epoll, readers, one machine.

Law of this file: news before the clock. A turn is everything that waits in the sockets, then one tick, all
stamped with the moment of looking. When a deadline of the machine is due, the loop looks into the sockets
once more before the machine sees it, so that after a stall an advert that is already in the socket is
always believed before an expired timer.

A reader is called when its descriptor is ready and returns the events that it read; it stops at a limit of
its own, and what it leaves makes the descriptor ready again in the next turn. An effect never waits for the
world: what can fail answers with an event, which `perform` may return and which is handed to the machine in
a turn at once.

Descriptors may be patient: what comes on them may be read a little later. While news keeps coming the loop
does not wait for them but looks into them from time to time, as a network driver masks its interrupt and
polls. To be woken costs more than to read: a processor that slept finds its caches cold.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterable, Sequence

from keepbus.runtime.machine import Effect, Event, Machine

Reader = Callable[[int], Iterable[Event]]
"""Called with the epoll mask; returns events."""

Chore = Callable[[int], Iterable[Event] | None]
"""Called with now_ns; may return events."""

Perform = Callable[[Effect, int], Iterable[Event] | None]
"""Carries out one effect, with the turn's now_ns; may answer with events."""

_NS = 1_000_000_000
_MS = 1_000_000
_LONGEST_WAIT_NS = 60 * _NS
_NEVER_NS = 1 << 63
_LONG_WAIT_NS = 50 * _MS
_MOST_DESCRIPTORS_PER_TURN = 256
_MOST_EMPTY_POLLS = 5

READABLE = select.EPOLLIN
WRITABLE = select.EPOLLOUT


def boottime_ns() -> int:
    """CLOCK_BOOTTIME: never steps, and counts the time that the machine was suspended."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Loop:
    """Runs one machine until `stop`."""

    def __init__(self, clock: Callable[[], int] = boottime_ns) -> None:
        self._clock = clock
        self._epoll = select.epoll()
        self._readers: dict[int, Reader] = {}
        self._patient = select.epoll()
        """The patient descriptors. It is itself in `_epoll`, and masked there while the loop polls."""
        self._patient_fds: set[int] = set()
        self._polling = False
        self._poll_at_ns = 0
        self._empty_polls = 0
        self._news_at_ns = 0
        self.gather_ns = 0
        """How long what comes on patient descriptors may wait while news keeps coming; never beyond a
        deadline. 0: not at all."""
        self._chores: list[_Chore] = []
        self._chore_at_ns = _NEVER_NS
        self._origin_ns = clock()
        self._looked_at_ns = 0
        self._running = False
        self.turns = 0
        """Turns of the machine made so far."""
        self.rounds = 0
        """Looks into the sockets made so far, with or without news: the progress that the heartbeat tells."""
        self.lateness_ns_max = 0
        """Largest lateness of a due deadline since the last `take_lateness_us`."""
        self.watch(self._patient.fileno(), self._read_patient)

    def watch(self, fd: int, reader: Reader, mask: int = READABLE, *, patient: bool = False) -> None:
        """Call `reader` whenever fd is ready for `mask`; replaces an earlier watch of this fd.

        patient: see `gather_ns`; the same for all watches of an fd.
        """
        if patient:
            self._patient_fds.add(fd)
        epoll = self._patient if patient else self._epoll
        if fd in self._readers:
            epoll.modify(fd, mask)
        else:
            epoll.register(fd, mask)
        self._readers[fd] = reader

    def unwatch(self, fd: int) -> None:
        """Forget fd; must come before it is closed. Unknown descriptors are ignored."""
        if self._readers.pop(fd, None) is not None:
            (self._patient if fd in self._patient_fds else self._epoll).unregister(fd)
            self._patient_fds.discard(fd)

    def forget(self, fd: int) -> None:
        """Forget fd, which the caller closes at once: the kernel then drops it from epoll by itself.

        Only for a descriptor that nobody duplicated. Spares a system call where descriptors are many and
        live for one exchange. Unknown descriptors are ignored.
        """
        self._readers.pop(fd, None)

    def every(self, interval_ns: int, chore: Chore) -> None:
        """Call `chore` with now_ns about every interval_ns, between turns: the shell's own house-keeping.

        Events that it returns are handed to the machine in a turn at once. Chores whose intervals are
        multiples of each other fall together, so that the loop is woken once for them.
        """
        due_at_ns = self._origin_ns + interval_ns
        self._chores.append(_Chore(interval_ns, chore, due_at_ns))
        self._chore_at_ns = min(self._chore_at_ns, due_at_ns)

    def stop(self) -> None:
        """End `run` after the current turn."""
        self._running = False

    def take_lateness_us(self) -> int:
        """Largest timer lateness since the last call, microseconds."""
        lateness_us = self.lateness_ns_max // 1000
        self.lateness_ns_max = 0
        return lateness_us

    def run(
        self,
        machine: Machine,
        perform: Perform,
        first: Sequence[Event] = (),
        *,
        on_turn: Callable[[int, Sequence[Event]], None] | None = None,
    ) -> None:
        """Turn until `stop`, beginning with the events `first`.

        on_turn sees each turn before the machine does (the recorder). Exceptions of readers, machine and
        perform are defects; they end the process, and its supervisor starts it anew.
        """
        self._machine = machine
        self._perform = perform
        self._on_turn = on_turn
        self._running = True
        self._turn(first, self._clock())
        while self._running:
            self._look()

    def _look(self) -> None:
        self.rounds += 1
        wake_at_ns = self._machine.wake_at_ns()
        ready = self._wait(self._chore_at_ns if wake_at_ns is None else min(wake_at_ns, self._chore_at_ns))
        now_ns = self._looked_at_ns = self._clock()
        due = wake_at_ns is not None and wake_at_ns <= now_ns
        if due:
            assert wake_at_ns is not None
            # Believe the sockets first, including what came between the end of the wait and now.
            ready = self._epoll.poll(0, _MOST_DESCRIPTORS_PER_TURN)
            self.lateness_ns_max = max(self.lateness_ns_max, now_ns - wake_at_ns)
        polled = self._polling and (due or self._poll_at_ns <= now_ns)
        events = self._read(ready)
        if polled:
            events += self._read_patient(READABLE)
        if events or due:
            self._turn(events, now_ns)
        if self._chore_at_ns <= now_ns:
            self._do_chores(now_ns)

    def _read(self, ready: Iterable[tuple[int, int]]) -> list[Event]:
        events: list[Event] = []
        for fd, mask in ready:
            reader = self._readers.get(fd)
            if reader is not None:  # an earlier reader of this turn may have closed it
                events.extend(reader(mask))
        return events

    def _read_patient(self, _mask: int) -> list[Event]:
        """Read what the patient descriptors have, and decide whether to wait for them or to poll them."""
        now_ns = self._looked_at_ns
        ready = self._patient.poll(0, _MOST_DESCRIPTORS_PER_TURN)
        if ready:
            self._empty_polls = 0
            often = now_ns - self._news_at_ns < 2 * self.gather_ns
            self._news_at_ns = now_ns
        else:
            self._empty_polls += 1
            often = self._empty_polls <= _MOST_EMPTY_POLLS
        polling = self.gather_ns > 0 and (often or (self._polling and bool(ready)))
        if polling != self._polling:
            self._polling = polling
            self._epoll.modify(self._patient.fileno(), 0 if polling else READABLE)
        self._poll_at_ns = now_ns + self.gather_ns
        return self._read(ready)

    def _wait(self, due_at_ns: int) -> list[tuple[int, int]]:
        """Descriptors that are ready; returns when there are some, at due_at_ns, or when it is time to poll.

        epoll counts in milliseconds and rounds up, and the kernel may end any wait a thousandth late. Here a
        wait ends exactly, because a takeover may hang on it.
        """
        epoll = self._epoll
        now_ns = self._clock()
        wait_ns = due_at_ns - now_ns
        if self._polling and self._poll_at_ns + _MS < due_at_ns:
            return epoll.poll(max(self._poll_at_ns - now_ns, 0) / _NS, _MOST_DESCRIPTORS_PER_TURN)
        if wait_ns > _LONG_WAIT_NS:
            wait_ns = min(wait_ns, _LONGEST_WAIT_NS)
            ready = epoll.poll((wait_ns - wait_ns // 500 - _MS) / _NS, _MOST_DESCRIPTORS_PER_TURN)
            wait_ns = due_at_ns - self._clock()
            if ready or wait_ns > _LONG_WAIT_NS:
                return ready
        if wait_ns > 0:
            select.select((epoll,), (), (), wait_ns / _NS)
        return epoll.poll(0, _MOST_DESCRIPTORS_PER_TURN)

    def _do_chores(self, now_ns: int) -> None:
        for chore in self._chores:
            if chore.due_at_ns <= now_ns:
                interval_ns = chore.interval_ns
                chore.due_at_ns = now_ns + interval_ns - (now_ns - self._origin_ns) % interval_ns
                news = chore.action(now_ns)
                if news:
                    self._turn(list(news), now_ns)
        self._chore_at_ns = min(chore.due_at_ns for chore in self._chores)

    def _turn(self, events: Sequence[Event], now_ns: int) -> None:
        """One turn of the machine, and those that the answers of its effects call for."""
        while True:
            self.turns += 1
            if self._on_turn is not None:
                self._on_turn(now_ns, events)
            answers: list[Event] = []
            for effect in self._machine.turn(now_ns, events):
                answer = self._perform(effect, now_ns)
                if answer:
                    answers.extend(answer)
            if not answers:
                return
            events = answers


class _Chore:
    __slots__ = ("action", "due_at_ns", "interval_ns")

    def __init__(self, interval_ns: int, action: Chore, due_at_ns: int) -> None:
        self.interval_ns = interval_ns
        self.action = action
        self.due_at_ns = due_at_ns
