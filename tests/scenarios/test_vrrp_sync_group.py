"""Sync groups: conformance E5 and E8, features chapter 8. Two virtual routers on two interfaces."""

from __future__ import annotations

from keepbus_vrrp import events
from keepbus_vrrp.effects import Advertise, Announce
from vrrp_pair import BACKUP, DOWN_S, FAULT, INIT, MASTER, Pair, causes, eth1, first, heard, second, told
from vrrp_router import LOWER, advert, link, on_wire, priorities
from vrrp_router import address as address_of

from keepbus.config.model.vrrp import InitialState
from keepbus.contracts.vrrp import SyncGroup as GroupState
from keepbus.runtime.machine import Publish, StopRequested
from keepbus.testing.playbook import ns


def test_e8_a_group_that_starts_as_backup_says_so_before_its_members() -> None:
    assert told(Pair().scene) == ["VG_1 BACKUP", "VI_1 BACKUP", "VI_2 BACKUP"]


def test_e8_promotion_waits_until_every_member_wishes_it() -> None:
    """VI_1's timer runs out first; VI_2 still hears a master, so both stay BACKUP."""
    pair = Pair()
    scene = pair.at(3.5, heard(200, at=3.5))
    scene.extend(pair.at(5))
    assert pair.states == [BACKUP, BACKUP]
    assert Advertise not in map(type, scene)
    assert pair.instance("VI_1").wishes_master
    # VI_1 waits another master down interval, from 3.609 s on; VI_2 falls silent and its timer runs out at
    # 3.5 + 3.609 s, while the wish of VI_1 still holds: both move.
    scene = pair.at(3.5 + DOWN_S + 0.001)
    assert pair.states == [MASTER, MASTER]
    assert told(scene) == ["VI_2 MASTER", "VI_1 MASTER", "VG_1 MASTER"]
    assert on_wire(scene)[:2] == ["advert", "advert"]
    assert causes(scene) == {
        "VI_2": "no advert from 192.0.2.254 for 3.609 s (master down interval 3.609 s)",
        "VI_1": "sync group VG_1: VI_2 became MASTER: "
        "no advert from 192.0.2.254 for 3.609 s (master down interval 3.609 s)",
        "VG_1": "VI_2 became MASTER: no advert from 192.0.2.254 for 3.609 s (master down interval 3.609 s)",
    }


def test_e8_an_accepted_advert_ends_the_wish() -> None:
    pair = Pair()
    pair.at(3.5, heard(200, at=3.5))
    pair.at(4)
    assert pair.instance("VI_1").wishes_master
    pair.at(4.5, advert(200, at=4.5))
    assert not pair.instance("VI_1").wishes_master
    pair.at(3.5 + DOWN_S + 0.1)  # now VI_2 wishes
    assert pair.states == [BACKUP, BACKUP]


def test_e8_the_same_advert_as_before_ends_the_wish_too() -> None:
    """The short way for adverts that are known must not leave the wish standing."""
    pair = Pair()
    pair.at(1, advert(200, at=1), heard(200, at=1))
    pair.at(4.5, heard(200, at=4.5))
    pair.at(4.7)
    assert pair.instance("VI_1").wishes_master
    pair.at(4.8, advert(200, at=4.8))
    assert not pair.instance("VI_1").wishes_master


def test_e8_one_fault_takes_all_to_fault() -> None:
    pair = Pair()
    at = pair.become_master()
    scene = pair.at(at + 1.5, eth1(up=False))
    assert pair.states == [FAULT, FAULT]
    assert told(scene) == ["VI_2 FAULT", "VI_1 FAULT", "VG_1 FAULT"]
    assert causes(scene) == {
        "VI_2": "interface eth1 is down",
        "VI_1": "sync group VG_1: VI_2 is in FAULT: interface eth1 is down",
        "VG_1": "VI_2 is in FAULT: interface eth1 is down",
    }
    # Each resigns by one advert of priority 0, and counts it.
    assert priorities(scene).count(0) == 2
    for name in ("VI_1", "VI_2"):
        assert pair.instance(name).counters.priority_zero_sent == 1
    assert on_wire(scene)[-4:] == ["advert", "remove", "advert", "remove"]


def test_e8_all_leave_fault_when_none_has_one() -> None:
    pair = Pair(second_up=False)
    assert told(pair.scene) == ["VG_1 FAULT", "VI_1 FAULT", "VI_2 FAULT"]
    assert causes(pair.scene)["VG_1"] == "VI_2 is in FAULT: interface eth1 is down"
    pair.at(1, link(up=False))
    pair.at(2, eth1())
    assert pair.states == [FAULT, FAULT]
    scene = pair.at(3, link())
    assert told(scene) == ["VI_1 BACKUP", "VI_2 BACKUP", "VG_1 BACKUP"]
    assert causes(scene)["VG_1"] == "VI_1 went to BACKUP: all that was missing is there again"
    pair.at(3 + DOWN_S + 0.001)
    assert pair.states == [MASTER, MASTER]


def test_e8_adverts_are_not_looked_at_in_a_fault_of_the_group() -> None:
    pair = Pair(second_up=False)
    pair.at(1, advert(200, at=1))
    assert pair.instance("VI_1").counters.dropped == {"not_running": 1}


def test_e8_all_leave_master_together_and_only_the_one_that_yields_knows_why() -> None:
    pair = Pair()
    at = pair.become_master() + 0.5
    scene = pair.at(at, advert(200, at=at))
    assert told(scene) == ["VI_1 BACKUP", "VI_2 BACKUP", "VG_1 BACKUP"]
    assert 0 not in priorities(scene)
    assert causes(scene)["VI_2"] == (
        "sync group VG_1: VI_1 went to BACKUP: 192.0.2.254 advertises priority 200, higher than 100 here"
    )


def test_e8_an_address_that_was_taken_away_makes_all_resign() -> None:
    """Features 5.3: the group's members do the same, priority 0 and the skew time."""
    pair = Pair()
    at = pair.become_master()
    key = pair.instance("VI_1").key
    pair.at(at, events.Installed(key, (bytes((192, 0, 2, 1)),)))
    pair.at(at + 0.5, address_of("192.0.2.1"))
    scene = pair.at(at + 0.6, address_of("192.0.2.1", gone=True))
    assert told(scene) == ["VI_1 BACKUP", "VI_2 BACKUP", "VG_1 BACKUP"]
    assert priorities(scene).count(0) == 2
    # Skew time of priority 100: 0.609 s. VI_1's wish waits for VI_2's, due at the same moment.
    pair.at(at + 0.6 + 0.61)
    assert pair.states == [MASTER, MASTER]


def test_e8_held_up_masters_step_down_together() -> None:
    """R-L7: the process was frozen; nothing is sent."""
    pair = Pair()
    at = pair.become_master()
    scene = pair.play.at(at + 10)
    assert told(scene) == ["VI_1 BACKUP", "VI_2 BACKUP", "VG_1 BACKUP"]
    assert Advertise not in map(type, scene)


def test_e8_stop_ends_members_then_the_group() -> None:
    pair = Pair()
    at = pair.become_master()
    scene = pair.at(at + 0.5, StopRequested(ns(at + 0.5)))
    assert told(scene) == ["VI_1 STOP", "VI_2 STOP", "VG_1 STOP"]
    assert priorities(scene) == [0, 0]


def test_e5_state_master_in_a_group_waits_one_interval_and_the_smallest_skew() -> None:
    """1 s + 1/256 s, only because the group starts as BACKUP."""
    wish = InitialState.MASTER
    pair = Pair(first(state=wish), second(state=wish))
    pair.at(1.0035)
    assert pair.states == [BACKUP, BACKUP]
    scene = pair.at(1.0045)
    assert told(scene) == ["VI_1 MASTER", "VI_2 MASTER", "VG_1 MASTER"]
    alone = Pair(first(state=wish), groups=())
    alone.at(3)
    assert alone.states == [BACKUP]


def test_owners_of_all_addresses_start_as_masters() -> None:
    wish = {"state": InitialState.MASTER, "priority": 255}
    pair = Pair(first(**wish), second(**wish))
    assert told(pair.scene) == ["VI_1 MASTER", "VI_2 MASTER", "VG_1 MASTER"]


def test_one_owner_alone_does_not_make_the_group_start_as_master() -> None:
    pair = Pair(first(state=InitialState.MASTER, priority=255), second())
    assert pair.states == [BACKUP, BACKUP]
    pair.at(DOWN_S + 0.001)
    assert pair.states == [MASTER, MASTER]


def test_a_lower_master_is_answered_by_the_announcements_of_all_members() -> None:
    """Features 5.3: the same gratuitous ARPs for all other members."""
    pair = Pair()
    at = pair.become_master()
    pair.at(at + 20)
    scene = pair.at(at + 20.5, heard(50, LOWER, at=at + 20.5))
    interfaces = {name for effect in scene if isinstance(effect, Announce) for name, _ in effect.frames}
    assert interfaces == {"eth0", "eth1"}


def test_the_group_is_told_as_state() -> None:
    pair = Pair()
    scene = pair.at(DOWN_S + 0.001)
    bodies = [each.body for each in scene if isinstance(each, Publish) and isinstance(each.body, GroupState)]
    last = bodies[-1]
    assert (last.name, last.members, last.state, last.transitions) == ("VG_1", ("VI_1", "VI_2"), MASTER, 2)
    assert [(each.number, each.from_state, each.to_state) for each in last.history] == [
        (1, INIT, BACKUP),
        (2, BACKUP, MASTER),
    ]
