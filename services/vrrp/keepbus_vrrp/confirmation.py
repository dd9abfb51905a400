"""The kernel has a master's addresses: only now the neighbours hear of them (G3, G4). Or it has not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keepbus.contracts.vrrp import VrrpState
from keepbus_vrrp import publication
from keepbus_vrrp.effects import Install

if TYPE_CHECKING:
    from keepbus_vrrp.instance import Instance

_RETRY_NS = 1_000_000_000


def confirm(instance: Instance, announce: tuple[bytes, ...]) -> None:
    """announce: those that the neighbours do not know to be here; excluded ones are among them (G10)."""
    if instance.state is not VrrpState.MASTER:
        return
    garp = instance.config.garp
    addresses = tuple(
        address for address in instance.installable(instance.all_addresses) if address.address in announce
    )
    instance.refused_before.difference_update(
        each.address for each in addresses if each.address not in instance.failed
    )
    if addresses:
        instance.announcer.burst(garp.master_repeat, addresses=addresses)
        if garp.master_delay_us:
            delay_us = garp.master_delay_us
            instance.announcer.burst(garp.master_repeat, addresses=addresses, delay_us=delay_us)
    for address in addresses:
        if address.address not in instance.failed:
            instance.turn.telling.say(publication.address(instance, address.address, "added"))
    every = instance.installable(instance.all_addresses)
    if not instance.holds_addresses and not (
        every and all(each.address in instance.failed for each in every)
    ):
        instance.holds_addresses = True
        instance.publish()


def retry(instance: Instance) -> None:
    """Ask again for what the kernel refused, once a second: it may have been busy, or it is allowed by now
    (R-F46). What it still refuses was told already."""
    now_ns = instance.turn.now_ns
    if now_ns < instance.retry_at_ns:
        return
    instance.retry_at_ns = now_ns + _RETRY_NS
    instance.refused_before, instance.failed = instance.failed, set()
    again = tuple(
        each
        for each in instance.installable(instance.all_addresses)
        if each.address in instance.refused_before
    )
    announce = tuple(each.address for each in again)
    instance.turn.effects.append(Install(instance.key, again, instance.terms.valid_s, announce))
