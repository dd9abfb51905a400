"""Conformance sections 6, 8 and 9: priority, state machine, preemption. Each test names its rows."""

from __future__ import annotations

from typing import Any

import pytest
from keepbus_vrrp.effects import Advertise, Remove
from keepbus_vrrp.election import RULES, Rank
from vrrp_router import (
    HIGHER,
    LOCAL,
    LOWER,
    Router,
    address,
    advert,
    announced,
    config,
    link,
    on_wire,
    priorities,
)

from keepbus.config.model.vrrp import InitialState
from keepbus.contracts.common import Status
from keepbus.contracts.vrrp import Transitioned, VrrpState
from keepbus.runtime.machine import Exit, Publish, Report, StopRequested
from keepbus.testing.playbook import ns

BACKUP, MASTER, FAULT = VrrpState.BACKUP, VrrpState.MASTER, VrrpState.FAULT
SKEW_100 = 0.609375
DOWN_100 = 3.609375


def test_every_pair_of_state_and_rank_has_a_row() -> None:
    assert set(RULES) == {(state, rank) for state in (BACKUP, MASTER) for rank in Rank}


def test_i1_owner_starts_as_master() -> None:
    router = Router(priority=255, state=InitialState.MASTER)
    assert router.state is MASTER
    assert on_wire(router.scene)[0] == "advert"
    assert priorities(router.scene) == [255]


def test_i2_others_start_as_backup_and_wait() -> None:
    router = Router()
    assert router.state is BACKUP
    assert on_wire(router.scene) == []
    router.play.wakes_at(DOWN_100)


def test_e5_state_master_gives_no_right_to_skip_listening() -> None:
    router = Router(state=InitialState.MASTER)
    assert router.state is BACKUP
    router.play.wakes_at(DOWN_100)


def test_i6_no_interface_no_address_no_carrier() -> None:
    assert Router(addresses=()).instance.faults == ("interface eth0 has no IPv4 address to send from",)
    assert Router(up=False).instance.faults == ("interface eth0 is down",)
    router = Router(config(interface="eth7", virtual_addresses=()))
    assert router.instance.faults == ("interface eth7 does not exist",)
    assert router.state is FAULT
    assert router.play.machine.wake_at_ns() is not None  # statistics only
    assert on_wire(router.at(60)) == []


def test_i6_an_interface_that_appears_ends_the_fault() -> None:
    router = Router(config(interface="eth7", virtual_addresses=()))
    router.at(1, link(name="eth7", index=9), address("198.51.100.1", index=9))
    assert router.state is BACKUP


def test_i4_d19_adverts_in_fault_are_dropped_and_counted() -> None:
    router = Router(up=False)
    router.at(1, advert(200, at=1))
    assert router.instance.counters.adverts_received == 0
    assert router.instance.counters.dropped == {"not_running": 1}


def test_b1_backup_stops_silently() -> None:
    router = Router()
    scene = router.stop(1)
    assert on_wire(scene) == []
    assert router.state is VrrpState.STOP
    assert isinstance(scene[-1], Exit)


def test_b2_m14_promotion_is_advert_then_addresses_then_announcements() -> None:
    router = Router()
    scene = router.at(DOWN_100)
    assert router.state is MASTER
    (promotion,) = scene.of(Advertise)
    assert isinstance(promotion, Advertise)
    assert promotion.addresses  # installed only after the advert left
    assert promotion.confirm
    assert "announce" not in on_wire(scene)
    assert on_wire(router.at(DOWN_100, router.confirmed())) == ["announce"]


def test_b3_priority_0_starts_the_skew_time() -> None:
    router = Router()
    router.at(1, advert(200, at=1))
    router.at(2, advert(0, at=2))
    router.play.wakes_at(2 + SKEW_100)
    router.at(2 + SKEW_100)
    assert router.state is MASTER
    assert router.instance.cause == (
        f"{HIGHER} released (priority 0), no other advert for the skew time 0.609 s"
    )


def test_b4_higher_priority_restarts_the_timer() -> None:
    router = Router()
    router.at(3, advert(200, at=3))
    router.play.wakes_at(5)  # statistics
    router.at(6.6)
    assert router.state is BACKUP
    router.at(3 + DOWN_100)
    assert router.state is MASTER
    assert router.instance.cause == (f"no advert from {HIGHER} for 3.609 s (master down interval 3.609 s)")


@pytest.mark.parametrize("source", [LOWER, HIGHER])
def test_b6_equal_priority_is_followed_whatever_the_address(source: str) -> None:
    router = Router()
    router.at(3, advert(100, source, at=3))
    router.at(6.6)
    assert router.state is BACKUP


def test_b5_e1_lower_priority_does_not_hold_us_back() -> None:
    router = Router()
    for tenth in range(36):
        router.at(tenth / 10, advert(90, at=tenth / 10))
    router.at(DOWN_100)
    assert router.state is MASTER
    assert router.instance.cause == (
        f"{HIGHER} advertises priority 90, lower than 100 here (preemption after 3.609 s)"
    )


def test_e2_nopreempt_respects_a_lower_master() -> None:
    router = Router(nopreempt=True)
    for second in range(1, 30):
        router.at(second, advert(90, at=second))
    assert router.state is BACKUP


def test_p7_the_owner_preempts_whatever_the_setting() -> None:
    router = Router(priority=255, nopreempt=True)
    for tenth in range(32):
        router.at(tenth / 10, advert(90, at=tenth / 10))
    assert router.state is MASTER


def test_e3_preempt_delay() -> None:
    router = Router(preempt_delay_us=10_000_000)
    for second in range(1, 12):
        router.at(second, advert(90, at=second))
    assert router.state is BACKUP  # 10 s have passed since the first one at 1 s; the timer of 10 s runs on
    router.at(10 + DOWN_100)
    assert router.state is MASTER


def test_e3_an_equal_or_higher_advert_clears_the_delay() -> None:
    router = Router(preempt_delay_us=10_000_000)
    for second in range(1, 11):
        router.at(second, advert(100 if second == 9 else 90, at=second))
    for second in range(11, 19):
        router.at(second, advert(90, at=second))
    assert router.state is BACKUP


def test_b7_an_advert_within_the_skew_time_ends_the_wait() -> None:
    router = Router()
    router.at(1, advert(0, at=1))
    router.at(1.3, advert(200, at=1.3))
    router.at(1 + SKEW_100 + 1)
    assert router.state is BACKUP
    router.play.wakes_at(1.3 + DOWN_100)


def test_b8_a_reload_may_shorten_the_timer_never_lengthen_it() -> None:
    router = Router()
    router.at(3, advert(200, at=3))
    router.reload(4, config(priority=50))
    assert router.instance.timer.due_at_ns == ns(3 + DOWN_100)
    router.reload(4.5, config(advert_interval_us=1_000_000, priority=100, down_timer_adverts=1))
    assert router.instance.timer.due_at_ns == ns(4.5 + 1 + SKEW_100)


def test_p5_a_master_that_a_reload_made_the_better_one_is_not_overtaken() -> None:
    """Its adverts did not hold us back while they were worse than ours; now they are not."""
    router = Router()
    router.at(3, advert(90, at=3))
    router.reload(3.2, config(priority=50))
    router.at(DOWN_100)
    assert router.state is BACKUP
    router.play.wakes_at(3 + 3 + 206 / 256)  # priority 50: skew time 206/256 s
    router.at(3 + 3 + 206 / 256)
    assert router.state is MASTER


def test_b9_fault_in_backup_sends_nothing() -> None:
    router = Router()
    scene = router.at(1, link(up=False))
    assert router.state is FAULT
    assert on_wire(scene) == []
    router.at(2, link(up=True))
    assert router.instance.timer.due_at_ns == ns(2 + DOWN_100)


def test_m1_master_stops_with_priority_0() -> None:
    router = Router()
    router.become_master()
    scene = router.stop(4)
    assert priorities(scene) == [0]
    assert on_wire(scene) == ["advert", "remove"]
    assert isinstance(scene[-1], Exit)


def test_m2_master_advertises_each_interval() -> None:
    router = Router()
    start = router.become_master()
    assert priorities(router.at(start + 10)) == [100] * 10


def test_m3_m4_priority_0_in_master() -> None:
    router = Router()
    start = router.become_master()
    scene = router.at(start + 0.4, advert(0, at=start + 0.4))
    assert priorities(scene) == [100]
    assert router.state is MASTER
    assert router.instance.timer.due_at_ns == ns(start + 1.4)


def test_m5_higher_priority_in_master() -> None:
    router = Router(higher_prio_send_advert=False)
    start = router.become_master()
    scene = router.at(start + 0.4, advert(101, LOWER, at=start + 0.4))
    assert router.state is BACKUP
    assert on_wire(scene) == ["remove"]
    assert router.instance.timer.due_at_ns == ns(start + 0.4 + DOWN_100)


def test_m6_tie_is_won_by_the_higher_address_as_a_number() -> None:
    router = Router()
    start = router.become_master()
    # As text 192.0.2.100 is less than 192.0.2.253, and 192.0.2.254 is more: both ways the same here.
    router.at(start + 0.1, advert(100, LOWER, at=start + 0.1))
    assert router.state is MASTER
    router.at(start + 0.2, advert(100, HIGHER, at=start + 0.2))
    assert router.state is BACKUP


@pytest.mark.parametrize("version", [2, 3])
def test_m7_m10_lower_priority_is_answered_and_corrected(version: int) -> None:
    router = Router(version=version)
    start = router.become_master()
    scene = router.at(start + 2.4, advert(90, at=start + 2.4, version=version))
    assert priorities(scene)[-1] == 100
    assert announced(scene) == 5
    assert router.instance.timer.due_at_ns == ns(start + 3)  # T13: not restarted
    assert announced(router.at(start + 7.41)) >= 5


def test_m7_is_settable() -> None:
    router = Router(lower_prio_no_advert=True)
    start = router.become_master()
    assert priorities(router.at(start + 0.4, advert(90, at=start + 0.4))) == []


def test_m8_p6_two_owners() -> None:
    router = Router(priority=255, state=InitialState.MASTER)
    scene = router.at(0.5, advert(255, HIGHER, at=0.5))
    assert router.state is BACKUP
    assert any("address owner too" in str(effect) for effect in scene)


def test_m9_master_does_not_consult_preempt() -> None:
    router = Router(nopreempt=True)
    start = router.become_master()
    router.at(start + 0.1, advert(90, at=start + 0.1))
    assert router.state is MASTER


def test_m11_fault_in_master_releases() -> None:
    router = Router()
    router.become_master()
    scene = router.at(4, link(up=False))
    assert router.state is FAULT
    assert priorities(scene) == [0]
    assert on_wire(scene) == ["advert", "remove"]


def test_m12_another_primary_address_is_taken() -> None:
    router = Router(addresses=(LOCAL, "192.0.2.252"))
    start = router.become_master()
    router.at(start + 0.5, address(LOCAL, gone=True))
    assert router.state is MASTER
    (sent,) = router.at(start + 1).of(Advertise)
    assert isinstance(sent, Advertise)
    assert sent.copies[0][1][12:16] == bytes((192, 0, 2, 252))
    router.at(start + 1.5, address("192.0.2.252", gone=True))
    assert router.state is FAULT


def test_m13_own_address_is_dropped() -> None:
    router = Router()
    start = router.become_master()
    router.at(start + 0.1, advert(200, LOCAL, at=start + 0.1))
    assert router.state is MASTER
    assert router.instance.counters.dropped == {"own_address": 1}


def test_m15_packet_before_timer_whatever_their_order() -> None:
    """An advert that arrived before the tick is believed, also when the timer is long overdue."""
    router = Router()
    router.play.at(DOWN_100 + 1, advert(200, at=DOWN_100 + 0.9))
    assert router.state is BACKUP


def test_m15_stop_before_both() -> None:
    router = Router()
    scene = router.play.at(DOWN_100 + 1, StopRequested(ns(5)), advert(200, at=4))
    assert router.state is VrrpState.STOP
    assert on_wire(scene) == []


def test_a_stranger_removes_an_address() -> None:
    """keepalived's rule: priority 0, all addresses off, back after the skew time."""
    router = Router()
    start = router.become_master()
    scene = router.at(start + 0.5, address("192.0.2.1", gone=True))
    assert router.state is BACKUP
    assert priorities(scene) == [0]
    router.at(start + 0.5 + SKEW_100)
    assert router.state is MASTER


def test_p4_p5_priority_of_a_reload_is_in_the_next_advert() -> None:
    router = Router()
    start = router.become_master()
    assert priorities(router.reload(start + 0.2, config(priority=150))) == [150]
    assert router.state is MASTER


def test_e7_left_over_addresses_are_removed_at_the_start() -> None:
    router = Router(addresses=(LOCAL, "192.0.2.1"))
    (removed,) = router.scene.of(Remove)
    assert isinstance(removed, Remove)
    assert [each.address for each in removed.addresses] == [bytes((192, 0, 2, 1))]
    assert router.instance.source == bytes((192, 0, 2, 253))


def test_n1_n3_each_transition_is_told_once_in_order() -> None:
    router = Router()
    told: list[tuple[int, VrrpState]] = []

    def listen(scene: list[Any]) -> None:
        for effect in scene:
            if isinstance(effect, Publish) and isinstance(effect.body, Transitioned):
                told.append((effect.body.transition.number, effect.body.transition.to_state))

    listen(router.scene)
    listen(router.at(DOWN_100))
    listen(router.at(4, advert(200, at=4)))
    listen(router.at(5, link(up=False)))
    listen(router.stop(6))
    assert told == [(1, BACKUP), (2, MASTER), (3, BACKUP), (4, FAULT), (5, VrrpState.STOP)]
    assert [each.number for each in router.instance.history] == [1, 2, 3, 4, 5]


def test_s10_instances_do_not_hear_each_other() -> None:
    one = config(name="A", virtual_router_id=1, virtual_addresses=())
    two = config(name="B", virtual_router_id=2, virtual_addresses=())
    router = Router(one, two)
    router.at(3, advert(200, at=3, vrid=1, addresses=()))
    router.at(4)
    assert [each.state for each in router.machine.instances.values()] == [BACKUP, MASTER]


def test_report_counts_states() -> None:
    router = Router()
    assert router.scene.of(Report)[-1] == Report(Status.READY, "1 instance: 0 MASTER, 1 BACKUP, 0 FAULT")
    scene = router.at(DOWN_100)
    assert scene.of(Report) == [Report(Status.READY, "1 instance: 1 MASTER, 0 BACKUP, 0 FAULT")]


def test_nothing_configured_is_idle() -> None:
    router = Router()
    scene = router.reload(1)
    assert scene.of(Report)[-1] == Report(Status.IDLE, "no vrrp_instance is configured")
