"""What is tracked by members of a sync group (features 7 and 8, 5.3)."""

from __future__ import annotations

from vrrp_pair import BACKUP, FAULT, INIT, MASTER, Pair, first, second, told

from keepbus.config.model.tracking import Track, TrackerKind
from keepbus.contracts.checker import Tracker, Verdict
from keepbus.contracts.message import Header, Message
from keepbus.runtime.machine import BusMessage
from keepbus.testing.playbook import ns

HARD = (Track(kind=TrackerKind.SCRIPT, name="chk"),)


def says(verdict: Verdict) -> BusMessage:
    body = Tracker(
        tracker="script:chk", kind="script", name="chk", verdict=verdict, changes=1, since_ns=1
    )  # fmt: skip
    header = Header(1, "node", "checker", "b", 1, 1, 1, 1, "")
    return BusMessage(Message("state/checker/tracker/script:chk", header, body), ns(0))


def test_a_member_that_waits_for_a_script_holds_the_group_back() -> None:
    pair = Pair(first(trackers=HARD), second())
    assert pair.states == [INIT, BACKUP]
    pair.at(30)
    assert pair.states == [INIT, BACKUP]
    pair.at(30, says(Verdict.UP))
    assert pair.states == [BACKUP, BACKUP]
    pair.at(38)
    assert pair.states == [MASTER, MASTER]


def test_a_first_word_that_is_bad_takes_the_group_to_fault() -> None:
    pair = Pair(first(trackers=HARD), second())
    scene = pair.at(1, says(Verdict.DOWN))
    assert pair.states == [FAULT, FAULT]
    assert "VG_1 FAULT" in told(scene)
    pair.at(2, says(Verdict.UP))
    assert pair.states == [BACKUP, BACKUP]


def test_a_script_that_fails_later_takes_the_group_along() -> None:
    pair = Pair(first(trackers=HARD), second())
    pair.at(0, says(Verdict.UP))
    pair.become_master()
    scene = pair.at(10, says(Verdict.DOWN))
    assert pair.states == [FAULT, FAULT]
    assert told(scene) == ["VI_1 FAULT", "VI_2 FAULT", "VG_1 FAULT"]
