"""Intervals of the protocol, and the timers that wait for them.

Law of this file: arithmetic is in integer microseconds, rounded up, never in whole seconds or centiseconds
(conformance T1 to T5): a skew that is cut to zero lets two routers promote themselves at the same moment.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

OWNER_PRIORITY = 255
NS_PER_US = 1000
NEVER = 1 << 63
"""A moment that does not come, CLOCK_BOOTTIME nanoseconds."""

_LEAST_LEASED_INTERVAL_US = 1_000_000
_MOST_FIRED_PER_TURN = 16


def skew_time_us(version: int, priority: int, interval_us: int) -> int:
    """RFC 3768 6.1 for v2, whatever the interval; RFC 9568 6.1 for v3, of the master's interval."""
    unit_us = interval_us if version == 3 else 1_000_000
    return -(-(256 - priority) * unit_us // 256)


def master_down_interval_us(version: int, priority: int, interval_us: int, adverts: int = 3) -> int:
    """How long no advert may come before the master is taken for dead. adverts is 3 in both RFCs."""
    return adverts * interval_us + skew_time_us(version, priority, interval_us)


def lease_us(advert_interval_us: int, *, in_kernel: bool) -> int:
    """How long after its last advert a master may believe that nobody took over (reliability R-L1).

    Twice the advert interval; whole seconds, rounded down, where the kernel enforces it.
    """
    twice_us = 2 * advert_interval_us
    return twice_us // 1_000_000 * 1_000_000 if in_kernel else twice_us


def kernel_can_lease(advert_interval_us: int) -> bool:
    """Address lifetimes count whole seconds: too coarse for intervals below one second (R-L2)."""
    return advert_interval_us >= _LEAST_LEASED_INTERVAL_US


class Timer:
    """One moment to wait for. `due_at_ns` may be moved later at the cost of a store, see `Timers`."""

    __slots__ = ("action", "armed_at_ns", "due_at_ns")

    def __init__(self, action: Callable[[int], None]) -> None:
        self.action = action
        """Called with the moment that was waited for."""
        self.due_at_ns = NEVER
        self.armed_at_ns = NEVER
        """The moment of this timer's one valid entry in the heap; older entries are void (T11)."""


class Timers:
    """A heap of timers that is put right lazily.

    An accepted advert moves a master-down timer later, thousands of times a second. That only stores the new
    moment; the entry in the heap stays early and is moved when it comes to the top.
    """

    __slots__ = ("_heap", "_pushes")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Timer]] = []
        self._pushes = 0

    def arm(self, timer: Timer, due_at_ns: int) -> None:
        """Wait for due_at_ns instead of what was waited for before."""
        timer.due_at_ns = due_at_ns
        if due_at_ns < timer.armed_at_ns:
            timer.armed_at_ns = due_at_ns
            self._pushes += 1
            heapq.heappush(self._heap, (due_at_ns, self._pushes, timer))

    def cancel(self, timer: Timer) -> None:
        """Wait for nothing."""
        timer.due_at_ns = NEVER

    def next_at_ns(self) -> int | None:
        """The earliest moment that a timer waits for."""
        heap = self._heap
        while heap:
            at_ns, _, timer = heap[0]
            if timer.armed_at_ns != at_ns:
                heapq.heappop(heap)
            elif timer.due_at_ns == at_ns:
                return at_ns
            elif timer.due_at_ns == NEVER:
                heapq.heappop(heap)
                timer.armed_at_ns = NEVER
            else:
                timer.armed_at_ns = timer.due_at_ns
                self._pushes += 1
                heapq.heapreplace(heap, (timer.due_at_ns, self._pushes, timer))
        return None

    def fire(self, now_ns: int) -> None:
        """Call the actions of timers that are due, the earliest first.

        Only so many: when hundreds of instances take over at once, the sockets are looked into in between.
        What is left makes the next turn due at once.
        """
        for _ in range(_MOST_FIRED_PER_TURN):
            at_ns = self.next_at_ns()
            if at_ns is None or at_ns > now_ns:
                return
            timer = heapq.heappop(self._heap)[2]
            timer.armed_at_ns = timer.due_at_ns = NEVER
            timer.action(at_ns)
