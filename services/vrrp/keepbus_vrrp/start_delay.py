"""`vrrp_startup_delay` and `vrrp_delay_after_boot`: when instances leave Initialize (E6).

A crash is not a start: a process that comes after a master whose lease still runs does not wait.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from keepbus.config.model.vrrp import VrrpSection
from keepbus_vrrp.events import Memory
from keepbus_vrrp.timers import NS_PER_US, Timer
from keepbus_vrrp.turn import Turn


class StartDelay:
    """Holds all instances of a process that has just begun."""

    __slots__ = ("_begun_at_ns", "_timer", "_turn")

    def __init__(self, turn: Turn, begin: Callable[[], None]) -> None:
        """begin is called at the end of a delay."""
        self._turn = turn
        self._begun_at_ns: int | None = None
        """CLOCK_BOOTTIME of the first configuration."""
        self._timer = Timer(lambda _due_at_ns: begin())

    def holds(self, section: VrrpSection, memories: Iterable[Memory]) -> bool:
        """True while instances have to stay in Initialize; begin is called at the end of that."""
        now_ns = self._turn.now_ns
        if self._begun_at_ns is None:
            self._begun_at_ns = now_ns
        until_ns = max(
            self._begun_at_ns + section.startup_delay_us * NS_PER_US, section.delay_after_boot_us * NS_PER_US
        )
        if now_ns >= until_ns or any(lease_end_ns > now_ns for _, _, lease_end_ns, _ in memories):
            self._turn.timers.cancel(self._timer)
            return False
        self._turn.timers.arm(self._timer, until_ns)
        return True
