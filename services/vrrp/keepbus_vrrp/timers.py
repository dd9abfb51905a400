"""Intervals of the protocol, and the timers that wait for them.

Law of this file: arithmetic is in integer microseconds, rounded up, never in whole seconds or centiseconds
(conformance T1 to T5): a skew that is cut to zero lets two routers promote themselves at the same moment.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

OWNER_PRIORITY = 255
LEAST_PRIORITY = 1
"""0 is a release."""
NS_PER_US = 1000
NEVER = 1 << 63
"""A moment that does not come, CLOCK_BOOTTIME nanoseconds."""

_LEAST_LEASED_INTERVAL_US = 1_000_000
_GATE_LATENESS_US = 10_000
"""A tick of the slowest kernels (HZ=100), with which nftables measures its time."""
_MOST_RENEWALS_PER_TURN = 64
_MOST_OTHERS_PER_TURN = 16


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


def gate_can_lease(advert_interval_us: int) -> bool:
    """R-L1: what is left of the lease must be clearly more than an interval; so from 13.4 ms on."""
    return 2 * advert_interval_us - _GATE_LATENESS_US > advert_interval_us * 5 // 4


class Timer:
    """One moment to wait for. `due_at_ns` may be moved later at the cost of a store, see `Timers`."""

    __slots__ = ("action", "armed_at_ns", "due_at_ns", "early_ns", "entry")

    def __init__(self, action: Callable[[int], None]) -> None:
        self.action = action
        """Called with the moment that was waited for."""
        self.due_at_ns = NEVER
        self.armed_at_ns = NEVER
        """The moment of this timer's one valid entry in a heap."""
        self.entry = 0
        """That entry's number; others are void (T11)."""
        self.early_ns = 0
        """For an advert: how much earlier it may leave together with another one."""


_Heap = list[tuple[int, int, Timer]]


class Timers:
    """Heaps of timers that are put right lazily: one of the masters' next adverts, one of all others.

    An accepted advert moves a master-down timer later, thousands of times a second. That only stores the new
    moment; the entry in the heap stays early and is moved when it comes to the top.
    """

    __slots__ = ("_others", "_pushes", "_renewals")

    def __init__(self) -> None:
        self._renewals: _Heap = []
        self._others: _Heap = []
        self._pushes = 0

    def arm(self, timer: Timer, due_at_ns: int) -> None:
        """Wait for due_at_ns instead of what was waited for before."""
        timer.due_at_ns = due_at_ns
        if due_at_ns < timer.armed_at_ns:
            self._push(self._others, timer, due_at_ns)

    def arm_renewal(self, timer: Timer, due_at_ns: int, *, early_ns: int = 0) -> None:
        """As `arm`, for an advert of a master, whose lease ends if it comes late.

        early_ns: when others are due, it may leave with them so much earlier. A process that slept finds the
        processor's caches cold, so many adverts at once cost less than each at its moment.
        """
        timer.due_at_ns = due_at_ns
        timer.early_ns = early_ns
        self._push(self._renewals, timer, due_at_ns)

    def cancel(self, timer: Timer) -> None:
        """Wait for nothing."""
        timer.due_at_ns = timer.armed_at_ns = NEVER
        timer.entry = 0

    def next_at_ns(self) -> int | None:
        """The earliest moment that a timer waits for."""
        renewal_at_ns = self._next_at_ns(self._renewals)
        other_at_ns = self._next_at_ns(self._others)
        if renewal_at_ns is None or other_at_ns is None:
            return other_at_ns if renewal_at_ns is None else renewal_at_ns
        return min(renewal_at_ns, other_at_ns)

    def next_renewal_at_ns(self) -> int | None:
        """When the first master's advert is due."""
        return self._next_at_ns(self._renewals)

    def fire(self, now_ns: int) -> None:
        """Call the actions of timers that are due: masters' adverts first, then others, the earliest first.

        Only so many of each: when hundreds of instances take over at once, the sockets are looked into in
        between, and who is master already stays it, also when each address waits for the kernel's lock.
        What is left makes the next turn due at once.
        """
        self._fire(self._renewals, now_ns, _MOST_RENEWALS_PER_TURN, together=True)
        self._fire(self._others, now_ns, _MOST_OTHERS_PER_TURN)

    def _push(self, heap: _Heap, timer: Timer, due_at_ns: int) -> None:
        self._pushes += 1
        timer.armed_at_ns = due_at_ns
        timer.entry = self._pushes
        heapq.heappush(heap, (due_at_ns, self._pushes, timer))

    def _next_at_ns(self, heap: _Heap) -> int | None:
        while heap:
            at_ns, number, timer = heap[0]
            if timer.entry != number:
                heapq.heappop(heap)
            elif timer.due_at_ns == at_ns:
                return at_ns
            else:
                self._pushes += 1
                timer.armed_at_ns = timer.due_at_ns
                timer.entry = self._pushes
                heapq.heapreplace(heap, (timer.due_at_ns, self._pushes, timer))
        return None

    def _fire(self, heap: _Heap, now_ns: int, most: int, *, together: bool = False) -> None:
        before = self._pushes if together else 0
        for number in range(most):
            at_ns = self._next_at_ns(heap)
            if at_ns is None:
                return
            timer = heap[0][2]
            if at_ns > now_ns and (not number or timer.entry > before or at_ns > now_ns + timer.early_ns):
                return
            heapq.heappop(heap)
            self.cancel(timer)
            timer.action(at_ns)
