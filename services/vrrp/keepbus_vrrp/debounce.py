"""`interface_up_down_delays`: an interface that is down, or up, for a moment only is not seen (features 6.6).

Law of this file: it delays what instances see of an interface, never what the kernel is told or asked. What
was never up is not waited for, and an interface that is gone is gone at once.
"""

from __future__ import annotations

from collections.abc import Callable

from keepbus.config.model.vrrp import InterfaceDelay, VrrpSection
from keepbus_vrrp.timers import NS_PER_US, Timer
from keepbus_vrrp.turn import Turn


class Debounce:
    """Of all interfaces that have a delay."""

    def __init__(self, turn: Turn, settled: Callable[[], None]) -> None:
        """settled: called when a delay has ended and instances see another state."""
        self._turn = turn
        self._settled = settled
        self._delays: dict[str, InterfaceDelay] = {}
        self._known: dict[str, bool] = {}
        """Interface to what the kernel said last."""
        self._been_up: set[str] = set()
        self._timers: dict[str, Timer] = {}

    def configure(self, section: VrrpSection) -> None:
        """Take a configuration; what waits by a delay that is no more is seen at the next look."""
        self._delays = {each.interface: each for each in section.interface_delays}
        for name in [name for name in self._known if name not in self._delays]:
            self._forget(name)
        self.look()

    def look(self) -> None:
        """Something changed about the interfaces."""
        for name, delay in self._delays.items():
            link = self._turn.links.by_name(name)
            if link is None:
                self._forget(name)
                continue
            known = self._known.get(name, link.up)
            self._known[name] = link.up
            if link.up is not known:
                self._changed(name, delay, up=link.up)
            if link.up:
                self._been_up.add(name)

    def _changed(self, name: str, delay: InterfaceDelay, *, up: bool) -> None:
        if self._turn.links.seeming.pop(name, None) is not None:
            self._turn.timers.cancel(self._timers[name])  # it is again what it was
            return
        wait_us = delay.up_us if up else delay.down_us
        if wait_us and name in self._been_up:
            self._turn.links.seeming[name] = not up
            timer = self._timers.setdefault(name, Timer(lambda _due_at_ns: self._settle(name)))
            self._turn.timers.arm(timer, self._turn.now_ns + wait_us * NS_PER_US)

    def _settle(self, name: str) -> None:
        self._turn.links.seeming.pop(name, None)
        self._settled()

    def _forget(self, name: str) -> None:
        self._known.pop(name, None)
        self._been_up.discard(name)
        if self._turn.links.seeming.pop(name, None) is not None:
            self._turn.timers.cancel(self._timers[name])
