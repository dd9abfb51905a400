"""The lease below 1 s: when the gate of the addresses is opened, and until when (R-L3, R-L4)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from keepbus_vrrp import ipv4
from keepbus_vrrp.effects import Advertise, Guard, OpenGate
from keepbus_vrrp.events import GateChanged, TransmitFailed
from keepbus_vrrp.netlink import FOREVER_S
from keepbus_vrrp.timers import gate_can_lease
from vrrp_router import LOCAL, VIP, Router, config, memory_of, on_wire, priorities

from keepbus.config.model.vrrp import VirtualAddress
from keepbus.contracts.vrrp import VrrpState
from keepbus.runtime.machine import Log, Report
from keepbus.testing.playbook import ns

MASTER, BACKUP = VrrpState.MASTER, VrrpState.BACKUP


def gated(**fields: Any) -> Router:
    return Router(version=3, advert_interval_us=100_000, **fields)


def several(count: int, *, one_better_than_the_other: bool = False) -> Router:
    """Instances at 0.1 s with an address each; those of other priorities become master 0.4 ms apart."""
    return Router(
        *(
            config(
                name=f"VI_{n}",
                virtual_router_id=n,
                version=3,
                advert_interval_us=100_000,
                priority=100 + n if one_better_than_the_other else 100,
                virtual_addresses=(VirtualAddress(address=f"192.0.2.{n}", prefix=24, interface="eth0"),),
            )
            for n in range(1, count + 1)
        )
    )


def test_r_l3_below_a_second_adverts_open_a_gate() -> None:
    router = gated()
    vip = ipv4.pack(VIP)
    # The gate is there before anything is held.
    (guard,) = router.scene.of(Guard)
    assert guard.addresses == ((vip, 200_000),)
    start = router.become_master()
    (sent,) = router.scene.of(Advertise)
    assert (sent.valid_s, sent.lease_end_ns) == (FOREVER_S, ns(start + 0.2))
    # An advert counts from the turn after it, when the kernel has taken it: before the first announcement.
    assert not router.scene.of(OpenGate)
    assert [name for name in router.confirmed_scene.names() if name in ("OpenGate", "Announce")] == [
        "OpenGate",
        "Announce",
    ]
    router.at(start + 0.09)
    scene = router.play.at(start + 0.1)
    assert scene.of(Advertise)
    assert not scene.of(OpenGate)
    scene = router.play.at(start + 0.1 + 1e-6)
    assert scene.of(OpenGate) == [OpenGate(((200_000, ns(start + 0.3)),))]


def test_r_l4_a_refused_advert_does_not_keep_the_gate_open() -> None:
    router = gated()
    start = router.become_master()
    key = router.instance.key
    ends = []
    for tried in (0.1, 0.125, 0.15, 0.175, 0.2):
        scene = router.at(start + tried)
        scene.extend(router.at(start + tried, TransmitFailed(key, "No buffer space available")))
        ends += [end_ns for effect in scene.of(OpenGate) for _, end_ns in effect.leases]
    assert ends
    assert max(ends) <= ns(start + 0.2)
    scene = router.at(start + 0.201)
    assert on_wire(scene)[:1] == ["remove"]
    assert router.state is BACKUP


def test_r_l3_the_gate_closes_with_the_first_lease_that_ends_and_opens_for_the_others() -> None:
    router = several(2)
    start = router.become_master()
    key = router.instance.key
    router.at(start + 0.05)
    for tried in (0.1, 0.125, 0.15, 0.175, 0.2):
        scene = router.at(start + tried)
        scene.extend(router.at(start + tried, TransmitFailed(key, "Operation not permitted")))
        ends = [end_ns for effect in scene.of(OpenGate) for _, end_ns in effect.leases]
        assert all(end_ns <= ns(start + 0.2) for end_ns in ends)
    scene = router.at(start + 0.2001)
    assert router.state is BACKUP
    assert scene.of(OpenGate)[-1].leases[0][1] > ns(start + 0.29)


def test_r_l4_who_resumes_and_cannot_send_has_what_is_left_of_the_lease() -> None:
    before = gated()
    before.become_master()
    memory = memory_of(before, sent=-0.15, lease_end=0.05)
    after = Router(version=3, advert_interval_us=100_000, addresses=(LOCAL, VIP), memories=(memory,))
    assert after.state is MASTER
    assert after.instance.lease.end_ns == ns(0.2)
    refused = after.play.at(0, TransmitFailed(after.instance.key, "Network is unreachable"))
    assert refused.of(OpenGate) == [OpenGate(((200_000, ns(0.05)),))]


def test_r_l3_one_transaction_for_all_adverts_of_a_turn() -> None:
    router = several(8)
    start = router.become_master()
    router.at(start + 0.15)
    scene = router.play.at(start + 0.25)
    assert len(scene.of(Advertise)) == 8
    scene = router.play.until(start + 0.26)
    assert len(scene.of(OpenGate)) == 1


def test_r_l3_adverts_wait_a_third_of_their_interval_for_one_another() -> None:
    """A transaction for many costs a tenth of one for each; the first one after a pause waits for nobody."""
    router = several(4, one_better_than_the_other=True)
    start = router.become_master()
    opened: list[int] = []
    sent: list[int] = []
    for millisecond in range(1, 1000):
        scene = router.at(start + millisecond / 1000)
        if millisecond > 200:  # by then all are masters
            opened += [millisecond] * len(scene.of(OpenGate))
            sent += [millisecond] * len(scene.of(Advertise))
    assert len(sent) > 20
    assert all(any(0 <= at - advert <= 34 for at in opened) for advert in sent if advert < 950)
    assert all(later - earlier >= 33 for earlier, later in pairwise(opened))


def test_masters_fall_into_step_and_no_advert_is_ever_late() -> None:
    router = several(8, one_better_than_the_other=True)
    start = router.become_master()
    sent: dict[str, list[int]] = {}
    for tenth_ms in range(1, 5000):
        for effect in router.play.at(start + tenth_ms / 10_000).of(Advertise):
            sent.setdefault(effect.instance, []).append(tenth_ms)
    gaps = [after - before for moments in sent.values() for before, after in pairwise(moments)]
    assert max(gaps) == 1000
    assert min(gaps) >= 950
    # Skew times lie 0.4 ms apart; from the first common advert on there is one moment for all.
    assert len(sent) == 8
    assert len({tuple(moments[2:]) for moments in sent.values()}) == 1


def test_r_l3_the_gate_goes_with_the_last_address() -> None:
    router = gated()
    start = router.become_master()
    scene = router.stop(start + 0.05)
    assert [each.addresses for each in scene.of(Guard)] == [()]
    names = scene.names()
    assert names.index("Remove") < names.index("Guard") < names.index("Exit")


def test_r_l1_what_is_too_fast_for_a_gate_has_no_lease() -> None:
    # Two intervals less a tick of 10 ms are no more than 1.25 intervals.
    assert not gate_can_lease(10_000)
    assert gate_can_lease(20_000)
    router = Router(version=3, advert_interval_us=10_000)
    assert router.instance.terms.gated == ()
    assert not router.instance.is_leased


def test_without_nftables_there_is_no_lease_and_it_is_said() -> None:
    router = gated()
    assert router.instance.is_leased
    scene = router.at(0.01, GateChanged("the kernel's nftables: Protocol not supported"))
    assert not router.instance.is_leased
    (report,) = [effect for effect in scene if isinstance(effect, Report)]
    assert report.detail.endswith(
        "; no address lease at so short an advert_int (the kernel's nftables: Protocol not supported): VI_1"
    )
    assert not [effect for effect in router.at(0.02, GateChanged("")) if isinstance(effect, Log)]
    assert router.instance.is_leased


def test_r_f16_half_a_lease_late_changes_nothing_below_a_second_too() -> None:
    router = gated()
    start = router.become_master()
    router.at(start + 0.1)
    # R-F16: due at 0.2, the lease ends at 0.3.
    assert priorities(router.play.at(start + 0.29)) == [100]
    assert router.state is MASTER
    # R-F17, R-F20: CLOCK_BOOTTIME counts a suspend, so both look the same: step down first.
    scene = router.play.at(start + 30)
    assert on_wire(scene)[:1] == ["remove"]
    assert router.state is BACKUP
