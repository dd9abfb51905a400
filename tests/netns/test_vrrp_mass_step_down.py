"""Hundreds of masters that lose their link together, and some on another interface that stay masters.

An address that stays is a split, so all go at once; adverts of the others must not wait for it (R-F65, R-L7).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from node_harness import Kernel
from vrrp_nodes import Keepbus, Wire, instance, wait_for

from keepbus.config.model.vrrp import VrrpInstance
from keepbus.runtime import deployment, urgency
from keepbus.testing import namespaces
from keepbus.testing.namespaces import Namespaces

pytestmark = [
    pytest.mark.skipif(bool(namespaces.missing()), reason=namespaces.missing()),
    pytest.mark.skipif(not deployment.can_be_urgent(), reason="no real-time class here: nothing was tried"),
]

COUNT = 250
INTERVAL_S = 0.1
LEASE_S = 2 * INTERVAL_S
ROUNDS = 8
FAST = {"version": 3, "advert_interval_us": 100_000, "priority": 200}


def many() -> list[VrrpInstance]:
    return [
        instance("eth0", f"10.9.1.{number}/32", name=f"VI_{number}", virtual_router_id=number, **FAST)
        for number in range(1, COUNT + 1)
    ]


@pytest.fixture
def spaces() -> Iterator[Namespaces]:
    with Namespaces("vrm") as spaces:
        yield spaces


@pytest.mark.parametrize("how", ["link", "reload"])
def test_r_f65_the_others_advertise_on_time_while_250_step_down(
    spaces: Namespaces, tmp_path: Path, how: str
) -> None:
    router, one, other = (spaces.add(name) for name in ("router", "one", "other"))
    spaces.join((router, "eth0", "10.9.0.1/16"), (one, "eth0", "10.9.0.2/16"))
    spaces.join((router, "eth1", "10.8.0.1/24"), (other, "eth0", "10.8.0.2/24"))
    keepbus = Keepbus(spaces, router, "eth0", tmp_path / "router")
    stays = instance("eth1", "10.8.0.100/24", name="VI_STAYS", virtual_router_id=251, **FAST)
    wire = Wire(spaces, other, "eth0", tmp_path / "wire")
    keepbus.configure(*many(), stays)
    keepbus.start()
    assert keepbus.process is not None
    # As a node starts it: what is measured is this process, and not who else wants the processor.
    urgent = os.sched_param(urgency.STARTING_PRIORITY)
    os.sched_setscheduler(keepbus.process.pid, os.SCHED_RR, urgent)

    def held() -> int:
        return spaces.run(router, "ip", "-o", "-4", "address", "show", "dev", "eth0").count("10.9.1.")

    def step_down() -> None:
        if how == "link":
            spaces.run(one, "ip", "link", "set", "eth0", "down")
        else:
            keepbus.reload(stays)

    def rise_again() -> None:
        if how == "link":
            spaces.run(one, "ip", "link", "set", "eth0", "up")
        else:
            keepbus.reload(*many(), stays)

    with Kernel(router) as kernel:
        for _ in range(ROUNDS):
            wait_for("all addresses", lambda: held() == COUNT)
            time.sleep(1.5)  # everything is told
            kernel.pause()
            began_at = time.time()
            step_down()
            wait_for("no address is left", lambda: held() == 0, 5)
            gone_s = time.time() - began_at
            time.sleep(1)
            moments = [at for at, _ in wire.adverts("10.8.0.1", since=began_at - 0.5)]
            gap_s = max(later - earlier for earlier, later in pairwise(moments))
            pause_s = kernel.pause()
            print(
                f"{how}: all gone after {gone_s * 1000:.0f} ms, longest gap of the others "
                f"{gap_s * 1000:.0f} ms, the kernel's lock was not to be had for {pause_s * 1000:.0f} ms"
            )
            if pause_s < INTERVAL_S / 2:
                assert gap_s < LEASE_S, "a lease ended"
                assert gone_s < 1
                return
            rise_again()
    pytest.skip("the kernel did not answer in time in any round: nothing was shown")
