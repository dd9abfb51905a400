"""The kernel has a master's addresses: only now the neighbours hear of them (G3, G4)."""

from __future__ import annotations

from keepbus.contracts.vrrp import VrrpState
from keepbus_vrrp import publication
from keepbus_vrrp.instance import Instance


def confirm(instance: Instance, announce: tuple[bytes, ...]) -> None:
    """announce: those that the neighbours do not know to be here; excluded ones are among them (G10)."""
    if instance.state is not VrrpState.MASTER:
        return
    garp = instance.config.garp
    addresses = tuple(
        address for address in instance.installable(instance.all_addresses) if address.address in announce
    )
    if addresses:
        instance.announcer.burst(garp.master_repeat, addresses=addresses)
        if garp.master_delay_us:
            delay_us = garp.master_delay_us
            instance.announcer.burst(garp.master_repeat, addresses=addresses, delay_us=delay_us)
    for address in addresses:
        if address.address not in instance.failed:
            instance.turn.telling.say(publication.address(instance, address.address, "added"))
    if not instance.holds_addresses:
        instance.holds_addresses = True
        instance.publish()
