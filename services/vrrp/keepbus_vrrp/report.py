"""What the service says of itself in its heartbeat."""

from __future__ import annotations

from collections.abc import Collection

from keepbus.contracts.common import Status
from keepbus.contracts.vrrp import VrrpState
from keepbus.runtime.machine import Report
from keepbus_vrrp.instance import Instance
from keepbus_vrrp.statics import Statics


def report(instances: Collection[Instance], statics: Statics, left_out: Collection[str] = ()) -> Report:
    """READY with instances, IDLE without; what the kernel refused of the static objects is degraded. So are
    instances that are left_out, a sentence each."""
    detail = _of_instances(instances) if instances else "no vrrp_instance is configured"
    if statics.count:
        detail += f"; {statics.count} static object{'s' if statics.count > 1 else ''}"
    if left_out:
        return Report(Status.DEGRADED, "; ".join((*left_out, detail)))
    refused = statics.all_refused
    if refused:
        first, *rest = refused
        others = f" and {len(rest)} more" if rest else ""
        return Report(Status.DEGRADED, f"{detail}; the kernel refuses static {first}{others}")
    return Report(Status.READY if instances else Status.IDLE, detail)


def _of_instances(instances: Collection[Instance]) -> str:
    states = [instance.state for instance in instances]
    count = len(states)
    unleased = [each for each in instances if each.leases and not each.is_leased]
    detail = (
        f"{count} instance{'s' if count > 1 else ''}: {states.count(VrrpState.MASTER)} MASTER, "
        f"{states.count(VrrpState.BACKUP)} BACKUP, {states.count(VrrpState.FAULT)} FAULT"
    )
    if VrrpState.INIT in states:
        detail += f", {states.count(VrrpState.INIT)} waiting for the end of the start delay"
    if unleased:
        names = [each.config.name for each in unleased]
        named = ", ".join(names[:3]) + (" and others" if len(names) > 3 else "")
        error = unleased[0].turn.guarding.error
        why = f" ({error})" if error else ""
        detail += f"; no address lease at so short an advert_int{why}: {named}"
    return detail
