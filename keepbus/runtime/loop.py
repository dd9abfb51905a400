"""The one loop of every service: epoll, readers, one machine.

Law of this file: news before the clock. A turn is everything that waits in the sockets, then one tick, all
stamped with the moment of looking. When a deadline of the machine is due, the loop looks into the sockets
once more before the machine sees it, so that after a stall an advert that is already in the socket is
always believed before an expired timer.

A reader is called when its descriptor is ready and returns the events that it read; it stops at a limit of
its own, and what it leaves makes the descriptor ready again in the next turn. An effect never waits for the
world: what can fail answers with an event, which `perform` may return and which is handed to the machine in
a turn at once.
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
_EXACT_FROM_NS = 5 * _MS
_MOST_DESCRIPTORS_PER_TURN = 256

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
        self._chores: list[_Chore] = []
        self._chore_at_ns = _NEVER_NS
        self._news_at_ns = 0
        self._busy = False
        """News came in the last two rounds, closer together than twice `gather_ns`."""
        self.gather_ns = 0
        """When news keeps coming, wait so long (never beyond a deadline) before each look, so that one round
        serves many descriptors and packets, as network cards moderate their interrupts. 0: never."""
        self._running = False
        self.turns = 0
        """Turns of the machine made so far."""
        self.rounds = 0
        """Looks into the sockets made so far, with or without news: the progress that the heartbeat tells."""
        self.lateness_ns_max = 0
        """Largest lateness of a due deadline since the last `take_lateness_us`."""

    def watch(self, fd: int, reader: Reader, mask: int = READABLE) -> None:
        """Call `reader` whenever fd is ready for `mask`; replaces an earlier watch of this fd."""
        if fd in self._readers:
            self._epoll.modify(fd, mask)
        else:
            self._epoll.register(fd, mask)
        self._readers[fd] = reader

    def unwatch(self, fd: int) -> None:
        """Forget fd; must come before it is closed. Unknown descriptors are ignored."""
        if self._readers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def forget(self, fd: int) -> None:
        """Forget fd, which the caller closes at once: the kernel then drops it from epoll by itself.

        Only for a descriptor that nobody duplicated. Spares a system call where descriptors are many and
        live for one exchange. Unknown descriptors are ignored.
        """
        self._readers.pop(fd, None)

    def every(self, interval_ns: int, chore: Chore) -> None:
        """Call `chore` with now_ns about every interval_ns, between turns: the shell's own house-keeping.

        Events that it returns are handed to the machine in a turn at once.
        """
        due_at_ns = self._clock() + interval_ns
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
        now_ns = self._clock()
        due = wake_at_ns is not None and wake_at_ns <= now_ns
        if due:
            assert wake_at_ns is not None
            # Believe the sockets first, including what came between the end of the wait and now.
            ready = self._epoll.poll(0, _MOST_DESCRIPTORS_PER_TURN)
            self.lateness_ns_max = max(self.lateness_ns_max, now_ns - wake_at_ns)
        if ready or due:
            events: list[Event] = []
            for fd, mask in ready:
                reader = self._readers.get(fd)
                if reader is not None:  # an earlier reader of this turn may have closed it
                    events.extend(reader(mask))
            if events or due:
                self._turn(events, now_ns)
        if ready and self.gather_ns:
            self._busy = now_ns - self._news_at_ns < 2 * self.gather_ns
            self._news_at_ns = now_ns
        if self._chore_at_ns <= now_ns:
            self._do_chores(now_ns)

    def _wait(self, due_at_ns: int) -> list[tuple[int, int]]:
        """Descriptors that are ready; returns when there are some, or at due_at_ns.

        epoll counts in milliseconds and rounds up. A wait that is long compared with that ends exactly,
        because a takeover may hang on it; a short one may be late by one.
        """
        epoll = self._epoll
        wait_ns = due_at_ns - self._clock()
        if self._busy and wait_ns > 0:
            time.sleep(min(wait_ns, self.gather_ns) / _NS)
            wait_ns = due_at_ns - self._clock()
        if wait_ns <= 0:
            return epoll.poll(0, _MOST_DESCRIPTORS_PER_TURN)
        if wait_ns < _EXACT_FROM_NS:
            return epoll.poll(wait_ns / _NS, _MOST_DESCRIPTORS_PER_TURN)
        if wait_ns > _LONGEST_WAIT_NS:
            return epoll.poll(_LONGEST_WAIT_NS / _NS, _MOST_DESCRIPTORS_PER_TURN)
        ready = epoll.poll((wait_ns // _MS - 1) / 1000, _MOST_DESCRIPTORS_PER_TURN)
        wait_ns = due_at_ns - self._clock()
        if ready or wait_ns <= 0:
            return ready
        select.select((epoll,), (), (), wait_ns / _NS)
        return epoll.poll(0, _MOST_DESCRIPTORS_PER_TURN)

    def _do_chores(self, now_ns: int) -> None:
        for chore in self._chores:
            if chore.due_at_ns <= now_ns:
                chore.due_at_ns = now_ns + chore.interval_ns
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
