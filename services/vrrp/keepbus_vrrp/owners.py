"""Two routers with priority 255 (conformance M8, P6, D21; features 5.3).

The one with the lower address yields at once, as in every tie. This is the part of the other: it goes on
advertising, and if its rival still does after 1.2 intervals, the rival does not hear or does not care: it
takes itself for priority 254 and yields, until the rival has gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from keepbus_vrrp.timers import NS_PER_US, OWNER_PRIORITY

if TYPE_CHECKING:
    from keepbus_vrrp.instance import Instance

LOWERED_PRIORITY = 254
_QUIET_NS = 60_000_000_000


class Rivalry:
    """What an owner knows of another one."""

    __slots__ = ("_patience_ends_at_ns", "_rival", "_told_at_ns", "lowered")

    def __init__(self) -> None:
        self.lowered = False
        """Priority 254 counts instead of 255."""
        self._rival = b""
        self._patience_ends_at_ns = 0
        self._told_at_ns = -_QUIET_NS

    def is_news(self, now_ns: int) -> bool:
        """True once a minute: the operator should hear of a second owner."""
        if now_ns - self._told_at_ns < _QUIET_NS:
            return False
        self._told_at_ns = now_ns
        return True

    def insists(self, source: bytes, interval_us: int, now_ns: int) -> bool:
        """A master owner heard a rival that should yield: True when it had its time to do so.

        interval_us is the longer one of both.
        """
        if source != self._rival or now_ns - self._patience_ends_at_ns > interval_us * NS_PER_US * 3:
            self._rival = source
            self._patience_ends_at_ns = now_ns + interval_us * NS_PER_US * 6 // 5
            return False
        return now_ns >= self._patience_ends_at_ns

    def give_in(self, instance: Instance) -> None:
        """Count as 254."""
        self.lowered = True
        instance.derive()

    def end(self, instance: Instance) -> None:
        """Be the owner again."""
        if self.lowered:
            self.lowered = False
            instance.derive()

    def is_over(self, source: bytes, priority: int) -> bool:
        """An advert shows that the rival is not an owner any more, or not the master."""
        return priority != OWNER_PRIORITY or source != self._rival
