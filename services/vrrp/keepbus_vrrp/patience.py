"""How long adverts may lie in the sockets before they are read.

Law of this file: nobody can tell from outside, by more than a tenth of an advert interval, that adverts are
read many at once. They carry the kernel's time stamp, so a timer that an advert starts runs from its arrival,
and no deadline is passed without reading first. What is left is what an advert calls for at once.
"""

from __future__ import annotations

from collections.abc import Iterable

from keepbus.contracts.vrrp import VrrpState
from keepbus_vrrp.instance import Instance
from keepbus_vrrp.timers import NS_PER_US

MOST_NS = 100_000_000


def patience_ns(instances: Iterable[Instance]) -> int:
    """The least of all instances' that take part in elections, nanoseconds; no more than MOST_NS."""
    return min((MOST_NS, *(_patience_us(instance) * NS_PER_US for instance in instances)))


def _patience_us(instance: Instance) -> int:
    interval_us = min(instance.terms.interval_us, instance.master_interval_us)
    if instance.state is VrrpState.MASTER:
        return interval_us // 10  # M5, M7: another master is answered
    if instance.state is VrrpState.BACKUP:
        # After a release (B3) nothing is to be done before the skew time, after anything else still later.
        return max(interval_us // 10, min(interval_us, instance.skew_time_us))
    return MOST_NS
