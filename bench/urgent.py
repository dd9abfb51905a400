"""Routers of a benchmark run before all others, as a node starts them."""

from __future__ import annotations

import os

from vrrp_nodes import Keepbus, Router

from keepbus.runtime import deployment


def start(router: Router, *options: str) -> None:
    """Start it, in the real-time class where that is allowed, keepalived too. options: keepbus-vrrp's."""
    if deployment.can_be_urgent():
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(deployment.REALTIME_PRIORITY))
    try:
        if isinstance(router, Keepbus):
            router.start(*options)
        else:
            router.start()
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
