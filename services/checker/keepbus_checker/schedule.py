"""When the next probe starts, and when a probe under way has had its time.

Two heaps. A course stands at most once in each: in the first while it waits for its start; in the second from
its first probe on, because a deadline that was met is not looked for but left, and moved when it comes up.
So a check a second with a connect_timeout of a minute costs one entry, not sixty.
"""

from __future__ import annotations

import heapq
import itertools

from keepbus_checker.course import Course

_GRID_NS = 4_000_000
"""Starts are gathered: the loop wakes once for all that fall into one such interval."""


class Schedule:
    """The starts and deadlines of all courses."""

    def __init__(self) -> None:
        self._starts: list[tuple[int, int, Course]] = []
        self._deadlines: list[tuple[int, int, Course]] = []
        self._serial = itertools.count()

    def start_at(self, course: Course, at_ns: int) -> None:
        """Probe the course at this moment; it must not be waiting or under way."""
        course.due_at_ns = at_ns
        heapq.heappush(self._starts, (at_ns, next(self._serial), course))

    def take_due(self, now_ns: int, most: int) -> list[Course]:
        """Courses whose start is due, longest waiting first; at most `most`."""
        due: list[Course] = []
        starts = self._starts
        while starts and starts[0][0] <= now_ns and len(due) < most:
            course = heapq.heappop(starts)[2]
            if not course.gone:
                due.append(course)
        return due

    def guard(self, course: Course, deadline_at_ns: int) -> None:
        """The probe under way ends by then; replaces an earlier deadline, which must not be later."""
        course.deadline_at_ns = deadline_at_ns
        if not course.guarded:
            course.guarded = True
            heapq.heappush(self._deadlines, (deadline_at_ns, next(self._serial), course))

    def take_overdue(self, now_ns: int) -> list[Course]:
        """Courses whose probe under way has passed its deadline."""
        overdue: list[Course] = []
        deadlines = self._deadlines
        while deadlines and deadlines[0][0] <= now_ns:
            course = heapq.heappop(deadlines)[2]
            course.guarded = False
            if not course.probe:
                continue
            if course.deadline_at_ns <= now_ns:
                overdue.append(course)
            else:
                self.guard(course, course.deadline_at_ns)
        return overdue

    def wake_at_ns(self, *, starts: bool) -> int | None:
        """When something is due next; without `starts`, only deadlines count. None: never."""
        wake_at_ns = None
        if starts and self._starts:
            wake_at_ns = -(-self._starts[0][0] // _GRID_NS) * _GRID_NS
        if self._deadlines and (wake_at_ns is None or self._deadlines[0][0] < wake_at_ns):
            wake_at_ns = self._deadlines[0][0]
        return wake_at_ns
