"""Which verdicts go on the bus, and when.

A verdict that changes is told at once. One that stays is told again only now and then, so that its evidence
and its counters do not grow old: each check at most every 5 s, all checks together at most 50 a second.
What was never measured is told as unknown once it is clear that no earlier process measured it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from keepbus.contracts.message import quote
from keepbus.runtime.machine import Publish, Withdraw
from keepbus_checker.course import Course

REFRESH_NS = 5_000_000_000
"""A verdict that stays is told again at most this often."""
HEARING_NS = 1_500_000_000
"""So long after the start nothing is told as unknown: an earlier process's verdicts may still come."""
_TICK_NS = 500_000_000
_MOST_PER_TICK = 25


class Announcer:
    """Keeps the order in which unchanged verdicts are told."""

    def __init__(self, started_at_ns: int) -> None:
        self._waiting: deque[Course] = deque()
        self._next_tick_ns = started_at_ns + HEARING_NS

    def tell(self, course: Course, now_ns: int) -> Publish:
        """Tell this verdict at once."""
        course.published_at_ns = now_ns
        return Publish(course.told())

    def note(self, course: Course) -> None:
        """This course has something new that can wait."""
        if not course.waits_for_telling:
            course.waits_for_telling = True
            self._waiting.append(course)

    def withdraw(self, course: Course) -> Withdraw:
        """The check is no longer configured."""
        return Withdraw(f"state/checker/verdict/{quote(course.check.id)}")

    def tick(self, now_ns: int) -> Iterator[Publish]:
        """What may be told now."""
        if now_ns < self._next_tick_ns:
            return
        self._next_tick_ns = now_ns + _TICK_NS
        told = 0
        while self._waiting and told < _MOST_PER_TICK:
            course = self._waiting[0]
            if course.published_at_ns and course.published_at_ns + REFRESH_NS > now_ns and not course.gone:
                # Those behind it wait with it: order is worth more than promptness here.
                self._next_tick_ns = course.published_at_ns + REFRESH_NS
                return
            self._waiting.popleft()
            course.waits_for_telling = False
            if not course.gone:
                told += 1
                yield self.tell(course, now_ns)

    def wake_at_ns(self) -> int | None:
        """When `tick` has something to say; None: never."""
        return self._next_tick_ns if self._waiting else None
