"""Sync groups through reloads and crashes: only the difference moves anything (features 15; R-L5, N1)."""

from __future__ import annotations

from keepbus_vrrp import events
from keepbus_vrrp.effects import Forget
from vrrp_pair import BACKUP, DOWN_S, FAULT, MASTER, OTHER_VIP, Pair, causes, eth1, first, second, told

from keepbus.config.model.vrrp import SyncGroup
from keepbus.contracts.vrrp import GroupTransitioned
from keepbus.runtime.machine import Publish, Withdraw
from keepbus.testing.playbook import Scene, ns

# Reload: only the difference moves anything


def test_reload_without_a_difference_moves_nothing() -> None:
    pair = Pair()
    at = pair.become_master()
    assert told(pair.reload(at + 0.5)) == []
    assert pair.states == [MASTER, MASTER]


def test_reload_that_removes_the_group_lets_the_members_go_their_own_way() -> None:
    pair = Pair(second_up=False)
    scene = pair.reload(1, groups=())
    assert told(scene) == ["VI_1 BACKUP"]
    assert pair.states == [BACKUP, FAULT]
    assert Withdraw("state/vrrp/group/VG_1") in scene
    assert Forget("group/VG_1") in scene
    pair.at(1 + DOWN_S + 0.001)
    assert pair.states == [MASTER, FAULT]


def test_reload_that_makes_a_group_of_a_master_and_a_fault_moves_the_master() -> None:
    pair = Pair(groups=(), second_up=False)
    pair.at(DOWN_S + 0.001)
    assert pair.states == [MASTER, FAULT]
    scene = pair.reload(4)
    assert pair.states == [FAULT, FAULT]
    assert told(scene) == ["VI_1 FAULT", "VG_1 FAULT"]


def test_reload_that_makes_a_group_of_masters_moves_nobody() -> None:
    pair = Pair(groups=())
    pair.at(DOWN_S + 0.001)
    scene = pair.reload(4)
    assert told(scene) == ["VG_1 MASTER"]
    assert pair.states == [MASTER, MASTER]


def test_a_member_that_a_reload_adds_follows_a_master_group_freely() -> None:
    alone = SyncGroup(name="VG_1", members=("VI_1",))
    pair = Pair(first(), groups=(alone,))
    pair.at(DOWN_S + 0.001)
    scene = pair.reload(4, first(), second())
    assert told(scene) == ["VI_2 BACKUP"]
    assert pair.states == [MASTER, BACKUP]
    pair.at(4 + DOWN_S + 0.001)
    assert pair.states == [MASTER, MASTER]
    scene = pair.at(9, eth1(up=False))
    assert told(scene) == ["VI_2 FAULT", "VI_1 FAULT", "VG_1 FAULT"]


def test_a_member_that_a_reload_removes_moves_nobody() -> None:
    pair = Pair()
    at = pair.become_master()
    scene = pair.reload(at + 0.5, first(), groups=(SyncGroup(name="VG_1", members=("VI_1",)),))
    assert told(scene) == ["VI_2 DELETED"]
    assert pair.states == [MASTER]


# A crash is not a failover


def left_behind(pair: Pair, lease_end_s: tuple[float, float]) -> tuple[events.Memory, ...]:
    """What the dead process left in its memory; it sent its last adverts one second ago."""
    ends = dict(zip(pair.machine.instances, lease_end_s, strict=True))
    none = (0, 0, 0, 0, 0, 0)
    return tuple((text, ns(-1), ns(ends.get(key, 0)), none) for key, text in pair.records.items())


def test_a_crash_within_the_lease_moves_neither_members_nor_group() -> None:
    pair = Pair()
    pair.become_master()
    after = Pair(memories=left_behind(pair, (1, 1)), held=("192.0.2.1", OTHER_VIP))
    assert after.states == [MASTER, MASTER]
    assert told(after.scene) == []
    assert numbers(after.at(0.5, eth1(up=False))) == [3]


def test_members_go_on_together_or_not_at_all() -> None:
    """The lease of one ran out: the other must not go on as master either."""
    pair = Pair()
    pair.become_master()
    after = Pair(memories=left_behind(pair, (1, -1)), held=("192.0.2.1", OTHER_VIP))
    assert after.states == [BACKUP, BACKUP]
    assert told(after.scene) == ["VG_1 BACKUP", "VI_1 BACKUP", "VI_2 BACKUP"]
    assert causes(after.scene)["VI_1"] == (
        "started; not resumed as master: sync group VG_1: VI_2: its lease ran out 1.000 s ago"
    )
    assert numbers(after.scene) == [3]


def numbers(scene: Scene) -> list[int]:
    """Of the group's transitions (N1: they never repeat)."""
    bodies = [effect.body for effect in scene if isinstance(effect, Publish)]
    return [body.transition.number for body in bodies if isinstance(body, GroupTransitioned)]
