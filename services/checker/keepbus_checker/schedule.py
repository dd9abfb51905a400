"""When the next probe starts, and when a probe under way has had its time.

Moments are gathered in slots of 20 ms: the loop wakes once for all that fall into one, and a course is put in
and taken out without being compared with any other. A start is at most half a slot early or late, so that the
checks come as often as configured; a deadline is never early.

A course stands at most once in each of the two calendars: in the first while it waits for its start; in the
second from its first probe on, because a deadline that was met is not looked for but left, and moved when it
comes up. So a check a second with a connect_timeout of a minute costs one entry, not sixty.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from keepbus_checker.course import Course

SLOT_NS = 20_000_000


class Calendar:
    """Courses by the slot of their moment."""

    __slots__ = ("_slots", "_waiting")

    def __init__(self) -> None:
        self._slots: list[int] = []
        """A heap of the numbers of the slots in use."""
        self._waiting: dict[int, list[Course]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def slot(self, at_ns: int) -> list[Course]:
        """The courses of the slot that begins at this moment or next after it; more may be added."""
        slot = -(-at_ns // SLOT_NS)
        waiting = self._waiting.get(slot)
        if waiting is None:
            waiting = self._waiting[slot] = []
            heapq.heappush(self._slots, slot)
        return waiting

    def take(self, now_ns: int) -> list[Course]:
        """All courses of slots that have begun, in order of slots and of coming."""
        slots = self._slots
        if not slots or slots[0] * SLOT_NS > now_ns:
            return []
        taken = self._waiting.pop(heapq.heappop(slots))
        while slots and slots[0] * SLOT_NS <= now_ns:
            taken += self._waiting.pop(heapq.heappop(slots))
        return taken

    def next_at_ns(self) -> int | None:
        """When the next slot begins; None when nothing waits."""
        return self._slots[0] * SLOT_NS if self._slots else None


class Schedule:
    """The starts and deadlines of all courses."""

    def __init__(self) -> None:
        self.starts = Calendar()
        self.deadlines = Calendar()
        self._due: list[Course] = []
        """Due and not started yet, the longest waiting last."""

    def start_after(self, course: Course, now_ns: int, pause_ns: int) -> None:
        """Probe the course in about pause_ns; it must not be waiting or under way."""
        at_ns = course.due_at_ns = now_ns + pause_ns
        # To the nearest slot; a pause shorter than one is still a pause.
        self.starts.slot(at_ns - min(pause_ns, SLOT_NS) // 2).append(course)

    def start_all_after(self, courses: Iterable[Course], now_ns: int) -> None:
        """Probe each again after its delay_loop: start_after for many that mostly agree in it."""
        delay_ns = -1
        for course in courses:
            if course.delay_ns != delay_ns:
                delay_ns = course.delay_ns
                at_ns = now_ns + delay_ns
                waiting = self.starts.slot(at_ns - min(delay_ns, SLOT_NS) // 2)
            course.due_at_ns = at_ns
            waiting.append(course)

    def take_due(self, now_ns: int, most: int) -> list[Course]:
        """Courses whose start is due, longest waiting first; at most `most`."""
        fresh = self.starts.take(now_ns)
        if not self._due and len(fresh) <= most:
            return fresh
        self._due[:0] = reversed(fresh)
        if most <= 0:
            return []
        taken = self._due[: -most - 1 : -1]
        del self._due[-most:]
        return taken

    def guard(self, course: Course, deadline_at_ns: int) -> None:
        """The probe under way ends by then; replaces an earlier deadline, which must not be later."""
        course.deadline_at_ns = deadline_at_ns
        if not course.guarded:
            course.guarded = True
            self.deadlines.slot(deadline_at_ns).append(course)

    def take_overdue(self, now_ns: int) -> list[Course]:
        """Courses whose probe under way has passed its deadline."""
        overdue: list[Course] = []
        for course in self.deadlines.take(now_ns):
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
        deadline_at_ns = self.deadlines.next_at_ns()
        if not starts:
            return deadline_at_ns
        if self._due:
            return self._due[-1].due_at_ns
        start_at_ns = self.starts.next_at_ns()
        if start_at_ns is None or (deadline_at_ns is not None and deadline_at_ns < start_at_ns):
            return deadline_at_ns
        return start_at_ns
