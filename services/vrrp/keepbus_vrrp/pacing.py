"""How fast announcements may leave: one pace per interface, or per group of interfaces (G5, features 4).

`vrrp_garp_interval` and `vrrp_gna_interval` hold for each interface alone; a `garp_group` is one pace for
all of its interfaces. Gratuitous ARP and neighbour advertisements have a pace each.
"""

from __future__ import annotations

from keepbus.config.model.vrrp import VrrpSection
from keepbus_vrrp.timers import NS_PER_US

_ETHERTYPE = slice(12, 14)
_ARP = b"\x08\x06"


class Pacing:
    """From when on the next frame may leave, for all instances of the process."""

    __slots__ = ("_default_ns", "_free_at_ns", "_groups", "limited")

    def __init__(self) -> None:
        self.limited = False
        """False: everything may leave at once."""
        self._default_ns = (0, 0)
        """Least spacing of gratuitous ARPs and of neighbour advertisements."""
        self._groups: dict[str, tuple[str, tuple[int, int]]] = {}
        self._free_at_ns: dict[tuple[str, bool], int] = {}

    def configure(self, section: VrrpSection) -> None:
        """Take the limits of a configuration."""
        self._default_ns = (section.garp_interval_us * NS_PER_US, section.gna_interval_us * NS_PER_US)
        self._groups = {
            interface: (
                f"group of {group.interfaces[0]}",
                (group.garp_interval_us * NS_PER_US, group.gna_interval_us * NS_PER_US),
            )
            for group in section.garp_groups
            for interface in group.interfaces
        }
        self.limited = any(self._default_ns) or any(any(spacing) for _, spacing in self._groups.values())

    def wait(self, interface: str, frame: bytes, now_ns: int) -> int:
        """0: the frame leaves now; else the moment from which on it may."""
        name, spacing_ns = self._groups.get(interface, (interface, self._default_ns))
        is_arp = frame[_ETHERTYPE] == _ARP
        key = name, is_arp
        at_ns = self._free_at_ns.get(key, 0)
        if at_ns > now_ns:
            return at_ns
        self._free_at_ns[key] = now_ns + spacing_ns[0 if is_arp else 1]
        return 0
