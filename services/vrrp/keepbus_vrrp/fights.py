"""Other programs that take away or put back what is ours, again and again (reliability R-F48)."""

from __future__ import annotations

from collections.abc import Callable

from keepbus_vrrp.timers import Timer
from keepbus_vrrp.turn import Turn

ALARM_AT = 5
"""So many times within a minute are an alarm."""
_MINUTE_NS = 60_000_000_000


class Fights:
    """Counts of one instance, by the name of the address, route or rule."""

    __slots__ = ("_at_ns", "_changed", "_timer", "_turn", "contested", "total")

    def __init__(self, turn: Turn, changed: Callable[[], None]) -> None:
        """changed: called when `contested` is another one than before without a `count`."""
        self._turn = turn
        self._changed = changed
        self._at_ns: dict[str, list[int]] = {}
        self._timer = Timer(self._calm)
        self.total = 0
        """Since the start."""
        self.contested: tuple[str, ...] = ()
        """Those with an alarm that is less than a minute old."""

    def count(self, name: str) -> bool:
        """Another program did it again; True when that begins an alarm."""
        now_ns = self._turn.now_ns
        self.total += 1
        moments = self._at_ns.setdefault(name, [])
        moments.append(now_ns)
        self._at_ns[name] = moments = moments[-ALARM_AT:]
        if len(moments) < ALARM_AT or now_ns - moments[0] > _MINUTE_NS:
            return False
        begins = name not in self.contested
        if begins:
            self.contested = (*self.contested, name)
        self._turn.timers.arm(self._timer, now_ns + _MINUTE_NS)
        return begins

    def _calm(self, _due_at_ns: int) -> None:
        """A minute without any: the alarm ends."""
        self.contested = ()
        self._at_ns.clear()
        self._changed()
