"""BFD_CHECK: the verdict is what a BFD session is, as the program that speaks BFD tells it.

What was told last stands, however old, also when the session is withdrawn. A session that nobody has told of
leaves its checks unknown.
"""

from __future__ import annotations

from keepbus.contracts.bfd import Session
from keepbus.runtime.machine import Effect
from keepbus_checker.course import Course
from keepbus_checker.results import Results


class Sessions:
    """The sessions that were told of, and who follows them."""

    def __init__(self, results: Results) -> None:
        self._results = results
        self._told: dict[str, Session] = {}
        self._followers: dict[str, Course] = {}
        """By session: equal checks are one."""

    def hear(self, told: Session, now_ns: int, wall_ns: int, effects: list[Effect]) -> None:
        """A session is up or down."""
        self._told[told.name] = told
        course = self._followers.get(told.name)
        if course is not None:
            self._settle(course, told, now_ns, wall_ns, effects)

    def follow(self, course: Course, now_ns: int, wall_ns: int, effects: list[Effect]) -> None:
        """A BFD_CHECK was configured; its session may have been told of long ago."""
        self._followers[course.check.bfd] = course
        self._results.announcer.note(course)
        told = self._told.get(course.check.bfd)
        if told is not None:
            self._settle(course, told, now_ns, wall_ns, effects)

    def forget(self, course: Course) -> None:
        """The check is no longer configured."""
        self._followers.pop(course.check.bfd, None)

    def _settle(
        self, course: Course, told: Session, now_ns: int, wall_ns: int, effects: list[Effect]
    ) -> None:
        received = f"session {'up' if told.up else 'down'}"
        if told.detail:
            received = f"{received}: {told.detail}"
        self._results.follow(course, told.up, received, 0, now_ns, wall_ns, effects)
