"""`keepbus demote` of a member of a sync group: the group is one thing, and goes as a whole (E8, P2)."""

from __future__ import annotations

from test_vrrp_demotion import answers, command
from vrrp_pair import BACKUP, DOWN_S, MASTER, Pair, causes, first, heard, second, told
from vrrp_router import LOWER, advert, on_wire, priorities

LAST_RESORT_S = 3.99609375
"""Master down interval of priority 1: 3 s + 255/256 s."""


def demoted(pair: Pair) -> list[bool]:
    return [each.demoted for each in pair.machine.instances.values()]


def test_a_group_of_masters_releases_as_a_whole() -> None:
    pair = Pair()
    at = pair.become_master()
    scene = pair.at(at + 0.3, command("VI_2"))
    assert pair.states == [BACKUP, BACKUP]
    assert demoted(pair) == [True, True]
    # The one that was named first; each releases, so that no peer waits for three intervals.
    assert told(scene) == ["VI_2 BACKUP", "VI_1 BACKUP", "VG_1 BACKUP"]
    assert priorities(scene) == [0, 0]
    assert on_wire(scene) == ["advert", "remove", "advert", "remove"]
    assert causes(scene)["VI_2"] == "demoted by command"
    assert causes(scene)["VI_1"] == "sync group VG_1: VI_2 went to BACKUP: demoted by command"
    (answer,) = answers(scene)
    assert (answer.instance, answer.demoted) == ("VI_2", True)


def test_it_stays_behind_a_worse_peer_and_holds_the_addresses_when_there_is_none() -> None:
    pair = Pair()
    at = pair.become_master()
    pair.at(at + 0.3, command("VI_2"))
    for number in range(1, 6):
        moment = at + 0.3 + number
        pair.at(moment, advert(50, LOWER, at=moment), heard(50, LOWER, at=moment))
        assert pair.states == [BACKUP, BACKUP]
    # The peer dies; both members take over together, with the least priority.
    scene = pair.at(at + 5.3 + LAST_RESORT_S + 0.001)
    assert pair.states == [MASTER, MASTER]
    assert set(priorities(scene)) == {1}


def test_one_member_whose_peer_is_gone_does_not_split_the_group() -> None:
    pair = Pair()
    at = pair.become_master()
    pair.at(at + 0.3, command("VI_1"))
    for number in range(1, 12):
        pair.at(at + 0.3 + number, heard(50, LOWER, at=at + 0.3 + number))
        assert pair.states == [BACKUP, BACKUP], "VI_2 still has a master to follow"


def test_undone_by_the_name_of_another_member_the_group_preempts_as_a_whole() -> None:
    pair = Pair()
    at = pair.become_master()
    pair.at(at + 0.3, command("VI_2"))
    moment = at + 1
    pair.at(moment, advert(50, LOWER, at=moment), heard(50, LOWER, at=moment))
    (answer,) = answers(pair.at(at + 1.5, command("VI_1", undo=True)))
    assert (answer.instance, answer.demoted) == ("VI_1", False)
    assert demoted(pair) == [False, False]
    for number in range(2, 5):
        moment = at + number
        pair.at(moment, advert(50, LOWER, at=moment), heard(50, LOWER, at=moment))
    pair.at(at + 1 + 2 * DOWN_S)
    assert pair.states == [MASTER, MASTER]


def test_a_second_command_for_the_same_group_says_that_it_was_done() -> None:
    pair = Pair()
    at = pair.become_master()
    pair.at(at + 0.3, command("VI_1"))
    (answer,) = answers(pair.at(at + 0.4, command("VI_2")))
    assert answer.detail == "it was demoted already"


def test_a_reload_that_adds_a_member_demotes_it_too() -> None:
    """A group of which half is demoted could never be MASTER where the others wait for priority 1."""
    pair = Pair(first(), second(), groups=())
    pair.at(DOWN_S + 0.1)
    pair.at(5, command("VI_1"))
    assert demoted(pair) == [True, False]
    scene = pair.reload(6, first(), second())
    assert demoted(pair) == [True, True]
    assert pair.states == [BACKUP, BACKUP]
    assert told(scene) == ["VI_2 BACKUP", "VG_1 BACKUP"]
    assert causes(scene)["VI_2"].startswith("VI_1 was demoted by command, and is in the same sync group now")
    pair.at(6 + LAST_RESORT_S + 0.001)
    assert pair.states == [MASTER, MASTER]


def test_a_restart_keeps_a_member_demoted_and_with_it_a_group_made_meanwhile() -> None:
    alone = Pair(first(), second(), groups=())
    alone.at(1, command("VI_1"))
    texts = [text for key, text in alone.records.items() if not key.startswith("group/")]
    pair = Pair(first(), second(), memories=tuple((text, 0, 0, (0,) * 6) for text in texts))
    assert demoted(pair) == [True, True]
    assert {each.effective_priority for each in pair.machine.instances.values()} == {1}
