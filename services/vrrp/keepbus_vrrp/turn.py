"""What all virtual routers of the process share within a turn."""

from __future__ import annotations

from keepbus.runtime.machine import Effect
from keepbus_vrrp.effects import Remove
from keepbus_vrrp.guarding import Guarding
from keepbus_vrrp.links import Links
from keepbus_vrrp.netlink import Address
from keepbus_vrrp.pacing import Pacing
from keepbus_vrrp.record import Heard
from keepbus_vrrp.telling import Telling
from keepbus_vrrp.timers import Timers


class Turn:
    """The moment, the effects collected so far, the timers and interfaces."""

    __slots__ = (
        "boot_id",
        "effects",
        "guarding",
        "links",
        "now_ns",
        "other_pace",
        "pacing",
        "telling",
        "timers",
        "transitions",
        "verdicts",
        "wall_offset_ns",
    )

    def __init__(self) -> None:
        self.now_ns = 0
        """CLOCK_BOOTTIME."""
        self.wall_offset_ns = 0
        """Wall clock minus CLOCK_BOOTTIME."""
        self.effects: list[Effect] = []
        """Of this turn, in their order; what the bus is told comes last."""
        self.telling = Telling()
        self.timers = Timers()
        self.links = Links()
        self.boot_id = ""
        """The kernel's."""
        self.transitions = 0
        """Of all instances since the start."""
        self.other_pace = False
        """A priority or a learned interval changed: adverts may lie in the sockets for another while."""
        self.verdicts: dict[tuple[str, str], Heard] = {}
        """The last one on everything that was heard of, by kind and name."""
        self.pacing = Pacing()
        self.guarding = Guarding()

    def remove(self, key: str, addresses: tuple[Address, ...]) -> None:
        """Take addresses of the instance `key` off; own doings are not told by the kernel."""
        if addresses:
            self.effects.append(Remove(key, addresses))
            self.links.forget(addresses)

    @property
    def wall_ns(self) -> int:
        """Wall clock, for people and for the age of authenticated adverts."""
        return self.now_ns + self.wall_offset_ns
