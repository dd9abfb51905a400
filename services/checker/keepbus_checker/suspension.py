"""`ha_suspend`: checks of a virtual server rest while this node does not hold its address (features 12.6).

What a check said last stands meanwhile; one that has said nothing yet goes on saying nothing.
"""

from __future__ import annotations

from typing import Any

from keepbus.contracts.message import quote
from keepbus.contracts.vrrp import Instance
from keepbus_checker.course import Course
from keepbus_checker.schedule import Schedule


class Suspension:
    """Which instances hold their addresses, and what rests because of that."""

    def __init__(self) -> None:
        self._holding: set[str] = set()

    def hear(self, topic: str, body: Any) -> None:
        """Any message from the bus; None is the body of an instance that is no more."""
        if isinstance(body, Instance) and body.holds_addresses:
            self._holding.add(topic)
        else:
            self._holding.discard(topic)

    def puts_off(self, course: Course, now_ns: int, schedule: Schedule) -> bool:
        """True when this probe is not made; the next one is due as if it had been."""
        names = course.check.ha_suspend
        if not names or any(f"{Instance.TOPIC}/{quote(name)}" in self._holding for name in names):
            return False
        schedule.start_after(course, now_ns, course.delay_ns)
        return True
