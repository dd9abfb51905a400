"""Whether an instance can take part, and what follows when that changes (I6, B9, M11).

Law of this file: what an instance lacks is looked for in its interfaces and addresses (placement.py) and in
what it tracks (tracking.py), and nowhere else.
"""

from __future__ import annotations

from keepbus.contracts.vrrp import VrrpState
from keepbus_vrrp import start, tracking
from keepbus_vrrp.instance import Instance
from keepbus_vrrp.placement import Placement
from keepbus_vrrp.timers import NS_PER_US


def listen_anew(instance: Instance) -> None:
    """Its interface was down and is up again before anybody looked. What a backup missed meanwhile it does
    not know: it waits as after FAULT, and never less than it would have. A master goes on, for it missed
    nothing that its next advert does not call for."""
    now_ns, wait_us = instance.turn.now_ns, instance.rejoin_wait_us
    if instance.state is VrrpState.BACKUP and now_ns + wait_us * NS_PER_US > instance.timer.due_at_ns:
        instance.wait(wait_us, now_ns, instance.wait_cause)


def look_at(instance: Instance, placement: Placement) -> None:
    """Compare what an instance needs with what there is."""
    tracking.look(instance)
    known, group = instance.faults, instance.group
    instance.faults = (*placement.faults(instance), *instance.tracking.faults)
    if instance.tracking.held and instance.state is VrrpState.INIT:
        start.leave_initialize(instance, "started")
        if group is not None and not instance.tracking.held:
            group.settle()
    if instance.state in (VrrpState.INIT, VrrpState.STOP):
        return
    if instance.faults and instance.state is not VrrpState.FAULT:
        instance.become_fault(instance.faults[0])
    elif instance.state is VrrpState.FAULT and not (
        instance.faults or instance.tracking.waits or (group is not None and not group.is_ready)
    ):
        instance.become_backup("all that was missing is there again", instance.rejoin_wait_us, {})
    elif instance.faults != known:
        instance.publish()
