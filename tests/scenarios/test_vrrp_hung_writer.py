"""R-F18: what writes addresses stands still, or is refused. Writer and router are one process here.

When the kernel holds the process up in the midst of a write, nothing is sent until it is back, and then it
steps down first (R-L7). When a write is refused, the kernel ends the lease, and the router releases by
priority 0.
"""

from __future__ import annotations

import pytest
from keepbus_vrrp import ipv4
from keepbus_vrrp.effects import Advertise
from keepbus_vrrp.events import InstallFailed, TransmitFailed
from vrrp_router import LOCAL, VIP, Router, address, advert, config, on_wire, priorities

from keepbus.config.model.vrrp import VirtualAddress
from keepbus.contracts.vrrp import VrrpState
from keepbus.testing.playbook import Scene, ns

MASTER, BACKUP = VrrpState.MASTER, VrrpState.BACKUP
OTHER = config(
    name="VI_2",
    virtual_router_id=52,
    virtual_addresses=(VirtualAddress(address="192.0.2.2", prefix=24, interface="eth0"),),
)
SKEW_S = 0.609375
"""Of priority 100 (T1)."""


def two_masters() -> tuple[Router, float]:
    router = Router(config(), OTHER)
    start = router.become_master()
    router.at(start + 0.5)
    assert [each.state for each in router.machine.instances.values()] == [MASTER, MASTER]
    return router, start


def adverts(scene: Scene) -> list[Advertise]:
    return [effect for effect in scene if isinstance(effect, Advertise)]


@pytest.mark.parametrize("hung_s", [3.0, 10.0])
def test_r_f18_a_write_that_hangs_lets_nothing_out_after_it(hung_s: float) -> None:
    router, start = two_masters()
    router.play.until(start + 0.999)
    one, other = adverts(router.play.at(start + 1))
    # The first one's addresses are being written for so long; the shell looks before it sends the second.
    late_ns = ns(start + 1 + hung_s)
    assert late_ns > other.not_after_ns, "the second advert must not leave any more"
    router.play.at(start + 1, TransmitFailed(other.instance, "this process was held up"))
    scene = router.play.at(start + 1 + hung_s, advert(50, at=start + 4.5))
    assert on_wire(scene) == ["remove", "remove"], "before anything is sent or decided"
    assert [each.state for each in router.machine.instances.values()] == [BACKUP, BACKUP]
    first, second = router.machine.instances.values()
    assert first.cause.startswith("this process was held up: its last advert is")
    assert second.cause.startswith(f"no advert could be sent for {1 + hung_s:.3f} s (this process was held")
    assert one.instance == first.key


def test_r_f18_a_write_that_takes_less_than_the_lease_changes_nothing() -> None:
    router, start = two_masters()
    router.play.until(start + 0.999)
    _, other = adverts(router.play.at(start + 1))
    assert ns(start + 1.9) <= other.not_after_ns
    scene = router.play.at(start + 2.0)
    assert priorities(scene) == [100, 100]
    assert [each.state for each in router.machine.instances.values()] == [MASTER, MASTER]


def test_r_f18_r_f46_a_lease_that_is_not_renewed_is_released_by_priority_0() -> None:
    """The peer takes over in one skew time instead of three intervals."""
    router = Router()
    start = router.become_master()
    router.at(start + 1.001, InstallFailed(router.instance.key, ipv4.pack(VIP), "Cannot allocate memory"))
    router.at(start + 2.001, InstallFailed(router.instance.key, ipv4.pack(VIP), "Cannot allocate memory"))
    assert router.state is MASTER
    # The lifetime that the advert at `start` had given it ends.
    scene = router.at(start + 2.1, address(VIP, gone=True))
    assert priorities(scene) == [0]
    assert router.state is BACKUP
    assert router.instance.timer.due_at_ns == ns(start + 2.1 + SKEW_S)
    router.at(start + 2.5, advert(50, at=start + 2.5))
    assert router.state is BACKUP
    assert LOCAL not in router.instance.cause
