"""Sync groups whose members track something: one member's fault is all members' fault (E8, I6)."""

from __future__ import annotations

from test_vrrp_tracking import says
from vrrp_pair import BACKUP, DOWN_S, FAULT, INIT, MASTER, Pair, causes, first, second, told

from keepbus.config.model import Track, TrackerKind

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
