"""Sync groups whose members track something: one member's fault is all members' fault (E8, I6)."""

from __future__ import annotations

from test_vrrp_tracking import says
from vrrp_pair import BACKUP, DOWN_S, FAULT, INIT, MASTER, Pair, causes, eth1, first, second, told

from keepbus.config.model.tracking import Track, TrackerKind
from keepbus.config.model.vrrp import InitialState

CHECK = (Track(kind=TrackerKind.SCRIPT, name="chk"),)


def test_e8_a_bad_verdict_on_one_member_takes_all_to_fault_and_a_good_one_all_back() -> None:
    pair = Pair(first(trackers=CHECK), second())
    pair.at(0.1, says(True))
    pair.at(0.1 + DOWN_S + 0.1)
    assert pair.states == [MASTER, MASTER]
    scene = pair.at(5, says(False))
    assert pair.states == [FAULT, FAULT]
    assert told(scene) == ["VI_1 FAULT", "VI_2 FAULT", "VG_1 FAULT"]
    assert causes(scene)["VG_1"].startswith("VI_1 is in FAULT: script chk")
    pair.at(6, says(True))
    assert pair.states == [BACKUP, BACKUP]
    pair.at(6 + DOWN_S + 0.1)
    assert pair.states == [MASTER, MASTER]


def test_i6_a_member_that_waits_for_its_first_verdict_holds_the_whole_group() -> None:
    """Features 8: members with unknown scripts hold the whole group."""
    pair = Pair(first(trackers=CHECK), second())
    pair.at(10)
    assert pair.states == [INIT, BACKUP]
    pair.at(11, says(True))
    assert pair.states == [BACKUP, BACKUP]
    pair.at(11 + 2 * DOWN_S)
    assert pair.states == [MASTER, MASTER]


def test_i6_a_first_verdict_that_is_bad_is_the_groups_fault() -> None:
    pair = Pair(first(trackers=CHECK), second())
    scene = pair.at(1, says(False))
    assert pair.states == [FAULT, FAULT]
    assert told(scene)[-1] == "VG_1 FAULT"
    pair.at(2, says(True))
    assert pair.states == [BACKUP, BACKUP]


def test_i6_a_group_leaves_fault_only_when_no_member_waits_for_a_first_verdict() -> None:
    """Features 5.3: FAULT is left when no fault is there and all scripts reported, in all of the group."""
    pair = Pair(first(trackers=CHECK), second(), second_up=False)
    assert pair.states == [FAULT, FAULT]
    pair.at(1, eth1(up=True))
    assert pair.states == [FAULT, FAULT], "VI_1 still waits for the first word of its script"
    scene = pair.at(2, says(True))
    assert pair.states == [BACKUP, BACKUP]
    assert told(scene) == ["VI_1 BACKUP", "VI_2 BACKUP", "VG_1 BACKUP"]
    pair.at(2 + DOWN_S + 0.001)
    assert pair.states == [MASTER, MASTER]


def test_i6_a_member_in_initialize_keeps_a_group_in_fault() -> None:
    pair = Pair(first(trackers=CHECK), second())
    pair.at(1, eth1(up=False))
    assert pair.states == [INIT, FAULT]
    pair.at(2, eth1(up=True))
    assert pair.states == [FAULT, FAULT], "VI_1 has not heard of its script yet"
    pair.at(3, says(True))
    assert pair.states == [BACKUP, BACKUP]


def test_i6_owners_do_not_begin_as_masters_while_one_waits() -> None:
    """Features 8: a group is MASTER at the start only as a whole."""
    owner = {"priority": 255, "state": InitialState.MASTER}
    pair = Pair(first(trackers=CHECK, **owner), second(**owner))
    assert pair.states == [INIT, BACKUP]
    pair.at(10)
    assert pair.states == [INIT, BACKUP]
    pair.at(11, says(True))
    pair.at(11 + 3.01 + 3.01)
    assert pair.states == [MASTER, MASTER]


def test_a_reload_with_a_new_script_leaves_masters_alone() -> None:
    """Features 7.2: a new script on reload is neutral until its first result."""
    pair = Pair(first(), second())
    at = pair.become_master()
    pair.reload(at + 1, first(trackers=CHECK), second())
    assert pair.states == [MASTER, MASTER]
