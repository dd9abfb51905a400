"""keepbus and keepalived side by side: the same virtual routers for either kind, run as a node runs them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from vrrp_nodes import Keepalived, Keepbus, Router, instance, vrrp_instance

from keepbus.runtime import deployment, urgency

T = TypeVar("T")


class VirtualRouter(NamedTuple):
    """One instance of VRRP version 3 with one address."""

    interface: str
    address: str
    """With its prefix."""
    priority: int
    interval_s: float
    number: int = 51
    """Virtual router id."""
    name: str = "VI_1"
    down_timer_adverts: int = 3


def configure(router: Router, instances: Sequence[VirtualRouter]) -> None:
    """Write them in the router's own way."""
    if isinstance(router, Keepbus):
        router.configure(
            *(
                instance(
                    each.interface,
                    each.address,
                    name=each.name,
                    virtual_router_id=each.number,
                    version=3,
                    priority=each.priority,
                    advert_interval_us=round(each.interval_s * 1e6),
                    down_timer_adverts=each.down_timer_adverts,
                )
                for each in instances
            )
        )
    elif isinstance(router, Keepalived):
        router.configure(
            *(
                vrrp_instance(
                    each.interface,
                    f"virtual_router_id {each.number}",
                    f"priority {each.priority}",
                    f"advert_int {each.interval_s:g}",
                    f"down_timer_adverts {each.down_timer_adverts}",
                    name=each.name,
                    addresses=[each.address],
                )
                for each in instances
            ),
            global_defs=["  vrrp_version 3"],
        )


def start(router: Router, *options: str) -> None:
    """Start it before all others, keepalived too, where that is allowed. options: keepbus-vrrp's."""
    urgently(lambda: router.start(*options) if isinstance(router, Keepbus) else router.start())


def urgently(start: Callable[[], T]) -> T:
    """What start makes; the processes that it starts are in the real-time class where that is allowed."""
    if deployment.can_be_urgent():
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(urgency.STARTING_PRIORITY))
    try:
        return start()
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
