"""The address lease and the crash that is no failover: reliability R-L1 to R-L9, conformance T14."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from keepbus_vrrp import publication, record
from keepbus_vrrp.effects import Advertise, Announce, Install, Remember, Remove
from keepbus_vrrp.events import InstallFailed, TransmitFailed, TransmitRecovered
from keepbus_vrrp.netlink import FOREVER_S
from vrrp_router import LOCAL, VIP, Router, advert, config, memory_of, on_wire, priorities

from keepbus.config.model.vrrp import VirtualAddress
from keepbus.contracts.vrrp import Resumed, VrrpState
from keepbus.runtime.machine import Publish, Withdraw
from keepbus.testing.playbook import ns

MASTER, BACKUP = VrrpState.MASTER, VrrpState.BACKUP


@pytest.mark.parametrize(
    ("fields", "valid_s"),
    [
        ({}, 2),
        ({"version": 3, "advert_interval_us": 1_500_000}, 3),
        ({"version": 3, "advert_interval_us": 990_000}, FOREVER_S),
        ({"version": 3, "advert_interval_us": 100_000}, FOREVER_S),
    ],
)
def test_r_l1_r_l2_lifetime_of_addresses(fields: dict[str, Any], valid_s: int) -> None:
    router = Router(**fields)
    router.become_master()
    (promotion,) = router.scene.of(Advertise)
    assert isinstance(promotion, Advertise)
    assert promotion.valid_s == valid_s
    assert len(promotion.addresses) == 1


def test_r_l1_each_advert_renews() -> None:
    router = Router()
    start = router.become_master()
    for sent in router.at(start + 5).of(Advertise):
        assert isinstance(sent, Advertise)
        assert len(sent.addresses) == 1
        assert sent.valid_s == 2


def test_without_a_lease_adverts_do_not_touch_addresses() -> None:
    router = Router(lease=False)
    start = router.become_master()
    (promotion,) = router.scene.of(Advertise)
    assert isinstance(promotion, Advertise)
    assert promotion.valid_s == FOREVER_S
    for sent in router.at(start + 5).of(Advertise):
        assert isinstance(sent, Advertise)
        assert sent.addresses == ()


@pytest.mark.parametrize(("late_s", "steps_down"), [(0.9, False), (1.1, True), (10.0, True)])
def test_t14_r_l7_lateness_over_the_lease(late_s: float, steps_down: bool) -> None:
    router = Router()
    start = router.become_master()
    router.at(start + 1)
    # The next advert is due at start + 2; the lease of the last one ends at start + 3.
    scene = router.play.at(start + 2 + late_s)
    assert router.state is (BACKUP if steps_down else MASTER)
    if steps_down:
        assert on_wire(scene) == ["remove"]
        assert router.instance.timer.due_at_ns == ns(start + 2 + late_s + 3.609375)
        assert router.instance.cause == (
            f"this process was held up: its last advert is {1 + late_s:.3f} s old, "
            "longer than the address lease of 2.000 s"
        )
    else:
        assert priorities(scene) == [100]


def test_r_l7_queued_adverts_are_processed_after_the_step_down() -> None:
    router = Router()
    start = router.become_master()
    scene = router.play.at(start + 20, advert(90, at=start + 15), advert(0, at=start + 16))
    # As a master it would have answered both.
    assert priorities(scene) == []
    assert router.state is BACKUP
    # Old news does not shorten the wait below what it would be if it had come now.
    assert router.instance.timer.due_at_ns == ns(start + 20 + 0.609375)


def test_an_unsent_advert_proves_nothing() -> None:
    router = Router()
    start = router.become_master()
    key = router.instance.key
    # An advert that is refused is tried again, four times in an interval, until the lease ends.
    for tried in (1, 1.25, 1.5, 1.75, 2):
        assert priorities(router.at(start + tried)) == [100]
        router.at(start + tried, TransmitFailed(key, "No buffer space available"))
    assert router.state is MASTER
    router.at(start + 2.001)
    assert router.state is BACKUP
    assert router.instance.cause == "no advert could be sent for 2.000 s (No buffer space available)"


def test_a_first_advert_that_does_not_leave_gets_a_leases_time() -> None:
    router = Router()
    router.at(3.609375)
    key = router.instance.key
    for tried in range(9):
        assert router.state is MASTER
        router.at(3.609375 + tried / 4, TransmitFailed(key, "Network is unreachable"))
    router.at(3.609375 + 2.001)
    assert router.state is BACKUP


def test_an_advert_that_leaves_again_proves_it_again() -> None:
    router = Router()
    start = router.become_master()
    key = router.instance.key
    router.at(start + 1)
    router.at(start + 1, TransmitFailed(key, "No buffer space available"))
    assert priorities(router.at(start + 1.25)) == [100]
    router.at(start + 1.25, TransmitRecovered(key))
    router.at(start + 3.9)
    assert router.state is MASTER
    assert router.instance.lease.error == ""


def test_a_refused_address_is_not_announced() -> None:
    two = tuple(VirtualAddress(address=f"192.0.2.{n}", prefix=24, interface="eth0") for n in (1, 2))
    router = Router(virtual_addresses=two)
    router.at(3.609375)
    refused = InstallFailed(router.instance.key, bytes((192, 0, 2, 2)), "Invalid argument")
    scene = router.play.at(3.609375, refused, router.confirmed())
    (announcement,) = scene.of(Announce)
    assert isinstance(announcement, Announce)
    assert {frame[-4:] for _, frame in announcement.frames} == {bytes((192, 0, 2, 1))}


def master(**fields: Any) -> Router:
    router = Router(**fields)
    router.become_master()
    return router


def resumed(router: Router) -> list[Resumed]:
    return [
        effect.body
        for effect in router.scene
        if isinstance(effect, Publish) and isinstance(effect.body, Resumed)
    ]


def test_r_l5_r_f5_a_crash_is_not_a_failover() -> None:
    before = master()
    memory = memory_of(before, sent=-0.7, lease_end=1.3)
    after = Router(addresses=(LOCAL, VIP), memories=(memory,))
    assert after.state is MASTER
    assert on_wire(after.scene) == ["advert"]
    assert after.instance.life == before.instance.life
    assert after.instance.transitions == before.instance.transitions
    assert after.instance.history == before.instance.history
    (event,) = resumed(after)
    assert event.silent_us == 700_000
    # R-F5: everything is announced again, once the kernel has confirmed.
    assert on_wire(after.at(0, after.confirmed())) == ["announce"]
    assert after.instance.counters.adverts_sent == before.instance.counters.adverts_sent + 1


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"lease_end": -0.1}, "its lease ran out 0.100 s ago"),
        ({"addresses": (LOCAL,)}, "192.0.2.1 is not there any more"),
        ({"boot_id": "another"}, "the machine was started anew"),
        ({"interface_index": 7}, "its interface is another one"),
        ({"priority": 101}, "its configuration changed"),
        ({"up": False}, "interface eth0 is down"),
    ],
)
def test_r_l5_otherwise_it_starts_as_backup(change: dict[str, Any], why: str) -> None:
    before = master()
    left = publication.record_of(before.instance)
    changes = {name: change[name] for name in ("boot_id", "interface_index") if name in change}
    text = record.dump(replace(left, **changes))
    memory = (text, ns(-0.7), ns(change.get("lease_end", 1.3)), (0,) * 6)
    after = Router(
        addresses=change.get("addresses", (LOCAL, VIP)),
        up=change.get("up", True),
        memories=(memory,),
        priority=change.get("priority", 100),
    )
    assert after.state in (BACKUP, VrrpState.FAULT)
    assert priorities(after.scene) == []
    assert resumed(after) == []
    if after.state is BACKUP:
        assert after.instance.cause == f"started; not resumed as master: {why}"
    # N1: the same life goes on.
    assert after.instance.life == before.instance.life
    assert after.instance.transitions == before.instance.transitions + 1
    # E7: what was left is removed.
    assert bool(after.scene.of(Remove)) == (VIP in change.get("addresses", (LOCAL, VIP)))


def test_r_f1_a_backup_whose_process_died_starts_anew_and_says_why() -> None:
    before = Router()
    memory = (record.dump(publication.record_of(before.instance)), 0, 0, (0,) * 6)
    after = Router(memories=(memory,))
    assert after.state is BACKUP
    assert after.instance.cause == "started; the process before died as BACKUP"
    assert after.instance.transitions == before.instance.transitions + 1
    before.instance.become_stop("stopped")
    memory = (record.dump(publication.record_of(before.instance)), 0, 0, (0,) * 6)
    assert Router(memories=(memory,)).instance.cause == "started"


def test_what_an_instance_left_that_is_not_configured_any_more_is_removed() -> None:
    memory = memory_of(master(), sent=-0.5, lease_end=1.5)
    after = Router(
        config(virtual_router_id=9, virtual_addresses=()), addresses=(LOCAL, VIP), memories=(memory,)
    )
    (removed,) = after.scene.of(Remove)
    assert isinstance(removed, Remove)
    assert removed.addresses[0].address == bytes((192, 0, 2, 1))


def test_garbage_in_the_memory_is_no_memory() -> None:
    for text in ("", "{}", "[1]", "\x00", '{"key": 1}'):
        assert Router(memories=((text, 1, 2, (0,) * 6),)).state is BACKUP


def test_a_transition_is_remembered_before_it_is_told() -> None:
    """N1: a number that somebody heard is never used again."""
    router = Router()
    names = router.at(3.609375).names()
    assert names.index("Remember") < names.index("Publish")
    remembered = router.scene.of(Remember)
    assert remembered


def test_reload_adds_and_removes_the_difference() -> None:
    router = Router()
    start = router.become_master()
    both = tuple(VirtualAddress(address=f"192.0.2.{n}", prefix=24, interface="eth0") for n in (1, 2))
    scene = router.reload(start + 0.5, config(virtual_addresses=both))
    (install,) = scene.of(Install)
    assert isinstance(install, Install)
    assert install.announce == (bytes((192, 0, 2, 2)),)
    assert scene.of(Remove) == []
    scene = router.reload(start + 0.6, config(virtual_addresses=both[1:]))
    (remove,) = scene.of(Remove)
    assert isinstance(remove, Remove)
    assert [each.address for each in remove.addresses] == [bytes((192, 0, 2, 1))]
    assert router.state is MASTER
    assert router.instance.transitions == 2


def test_an_unchanged_instance_sees_nothing_of_a_reload() -> None:
    router = Router()
    start = router.become_master()
    due_at_ns = router.instance.timer.due_at_ns
    assert on_wire(router.reload(start + 0.5, config())) == []
    assert router.instance.timer.due_at_ns == due_at_ns


def test_an_instance_that_is_renamed_goes_on_under_its_new_name() -> None:
    router = Router()
    start = router.become_master()
    scene = router.reload(start + 0.5, config(name="VI_new"))
    withdrawn = [effect.topic for effect in scene if isinstance(effect, Withdraw)]
    assert withdrawn == ["state/vrrp/instance/VI_1", "state/vrrp/statistics/VI_1"]
    assert router.state is MASTER
    assert router.instance.transitions == 2


def test_a_backup_after_a_step_down_knows_no_master() -> None:
    router = Router()
    start = router.become_master()
    router.play.at(start + 20)
    assert router.instance.master_source == b""


def test_a_removed_instance_releases() -> None:
    router = Router()
    start = router.become_master()
    scene = router.reload(start + 0.5)
    assert on_wire(scene) == ["advert", "remove"]
    assert priorities(scene) == [0]
    assert "Withdraw" in scene.names()
    assert "Forget" in scene.names()
    assert "Unlisten" in scene.names()
