"""What a master announces again and again: `garp_master_refresh`, and `garp_extra_if`.

Adverts leave through one interface, and a switch on it never forgets the virtual MAC address. On the other
interfaces with addresses of the instance nothing is sent by itself (features 6.2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from keepbus_vrrp import vmac
from keepbus_vrrp.netlink import Address

if TYPE_CHECKING:
    from keepbus_vrrp.instance import Instance


def begin(instance: Instance) -> None:
    """The instance is master now, or has other intervals; leaving master ends it."""
    garp = instance.config.garp
    instance.announcer.stop_repeating()
    if garp.master_refresh_us:
        instance.announcer.burst(
            garp.master_refresh_repeat, delay_us=garp.master_refresh_us, repeat_us=garp.master_refresh_us
        )
    if garp.extra_us:
        instance.announcer.burst(
            1, addresses=lambda: _one_each(instance), delay_us=garp.extra_us, repeat_us=garp.extra_us
        )


def _one_each(instance: Instance) -> tuple[Address, ...]:
    """An address of each interface that adverts do not leave through."""
    config = instance.config
    way_out = config.interface if config.vmac is None or config.vmac_xmit_base else config.vmac.name
    others = {each.interface for each in instance.all_addresses} - {way_out}
    if not config.garp.extra_all:
        others &= vmac.names(config)
    first = {each.interface: each for each in reversed(instance.all_addresses) if each.interface in others}
    return instance.installable(tuple(first.values()))
