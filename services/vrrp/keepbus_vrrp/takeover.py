"""What a backup does when no advert that counts has come for as long as it had to wait (B2, B5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keepbus_vrrp import publication
from keepbus_vrrp.timers import NS_PER_US

if TYPE_CHECKING:
    from keepbus_vrrp.instance import Instance


def timer_expired(instance: Instance) -> None:
    """Take over, unless the master became the better one meanwhile, or the sync group holds back."""
    now_ns = instance.turn.now_ns
    heard_at_ns, wait_us = instance.passed_over_at_ns, instance.master_down_interval_us
    if heard_at_ns and instance.master_priority >= instance.effective_priority:
        # The master was worse than this router when it was heard, and is not any more (P5).
        instance.wait(wait_us, max(heard_at_ns, now_ns - wait_us * NS_PER_US))
    elif instance.group is None or instance.group.admits(instance):
        instance.become_master(publication.takeover_cause(instance), publication.inputs(instance))
    else:
        instance.wait(wait_us, now_ns, instance.wait_cause)
