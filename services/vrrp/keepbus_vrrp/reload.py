"""A changed configuration of a running instance: only the difference is applied (features chapter 15)."""

from __future__ import annotations

from keepbus.config.model.vrrp import VrrpInstance
from keepbus.contracts.vrrp import VrrpState
from keepbus_vrrp import refreshing, vmac
from keepbus_vrrp.effects import Install
from keepbus_vrrp.instance import Instance
from keepbus_vrrp.netlink import Address
from keepbus_vrrp.timers import NS_PER_US


def change(instance: Instance, config: VrrpInstance, *, lease: bool) -> None:
    """Go on with another configuration; state, timers and counters stay."""
    before = instance.installable(instance.all_addresses)
    garp = instance.config.garp
    instance.configure(config, lease=lease)
    after = instance.installable(instance.all_addresses)
    if instance.state is VrrpState.MASTER:
        _change_master(instance, before, after)
        if instance.config.garp != garp:
            refreshing.begin(instance)
    elif instance.state is VrrpState.BACKUP:
        # B8: a timer may become shorter by a reload, never longer.
        wait_us = instance.master_down_interval_us
        if instance.turn.now_ns + wait_us * NS_PER_US < instance.timer.due_at_ns:
            instance.wait(wait_us, instance.turn.now_ns)
    instance.remember()
    instance.publish()


def _change_master(instance: Instance, before: tuple[Address, ...], after: tuple[Address, ...]) -> None:
    turn = instance.turn
    removed = tuple(address for address in before if address not in after)
    added = tuple(address.address for address in after if address not in before)
    turn.remove(instance.key, removed)
    vmac.switch(instance, up=True)
    instance.failed.difference_update(added)
    turn.guarding.end(instance.lease, turn.now_ns)
    instance.advertise()
    turn.timers.arm_renewal(instance.timer, turn.now_ns + instance.terms.interval_us * NS_PER_US)
    if before != after or not instance.terms.leased:
        # All of them: removing a primary address takes its secondaries with it, and a lease may have ended.
        turn.effects.append(Install(instance.key, after, instance.terms.valid_s, added))
    instance.held.hold_of(instance.config)
    if before != after:
        # A route goes with the address that it is sent from, or whose network its gateway is in.
        instance.held.again()
