"""Everything that may cross the bus: frozen dataclasses, one file per owner, standard library only."""

from keepbus.contracts import audit, bfd, checker, common, hub, ipvs, notify, vrrp, watchdog

__all__ = ["audit", "bfd", "checker", "common", "hub", "ipvs", "notify", "vrrp", "watchdog"]
