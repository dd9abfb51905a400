"""What becomes of `vrrp_sync_group` (features 3.8, 8). Each case was given to keepalived 2.2.7, too."""

from __future__ import annotations

from pathlib import Path

from config_text import codes, compile_text, find, is_error

from keepbus.config.compiler import Compiled
from keepbus.config.model.notify import NotifyKind, NotifyTarget
from keepbus.config.model.scripts import Script
from keepbus.config.model.vrrp import SyncGroup
from keepbus.config.plan import Kind, compare


def compiled(folder: Path, groups: str, *, count: int = 4, permissive: bool = False) -> Compiled:
    """Groups, and after them the instances VI_1 to VI_4."""
    instances = "".join(
        f"vrrp_instance VI_{number} {{\n interface eth{number}\n virtual_router_id {number}\n priority 100\n"
        f" virtual_ipaddress {{\n  192.0.2.{number}\n }}\n}}\n"
        for number in range(1, count + 1)
    )
    return compile_text(folder, groups + instances, permissive=permissive)


def groups_of(found: Compiled) -> tuple[SyncGroup, ...]:
    assert found.configuration is not None, found.diagnostics
    return found.configuration.vrrp.sync_groups


def test_members_are_found_wherever_they_stand(tmp_path: Path) -> None:
    found = compiled(
        tmp_path, 'vrrp_sync_group VG_1 {\n group {\n VI_2 VI_1\n VI_3\n }\n notify "/bin/sh a"\n}\n'
    )
    assert groups_of(found) == (SyncGroup(name="VG_1", members=("VI_2", "VI_1", "VI_3")),)
    assert found.configuration is not None
    (target,) = found.configuration.notify.targets
    assert target == NotifyTarget(kind=NotifyKind.GROUP, name="VG_1", notify=Script(argv=("/bin/sh", "a")))
    assert target.object == "GROUP VG_1"


def test_a_member_that_is_not_there(tmp_path: Path) -> None:
    text = "vrrp_sync_group VG_1 {\n group {\n VI_1\n VI_2\n VI_9\n }\n}\n"
    found = compiled(tmp_path, text)
    assert is_error(found, "unknown-member")
    assert (
        find(found, "unknown-member").text
        == "there is no `vrrp_instance VI_9`, so it can't move with `vrrp_sync_group VG_1`"
    )
    assert groups_of(compiled(tmp_path, text, permissive=True))[0].members == ("VI_1", "VI_2")


def test_one_member(tmp_path: Path) -> None:
    found = compiled(tmp_path, "vrrp_sync_group VG_1 {\n group {\n VI_1\n }\n}\n")
    assert not is_error(found, "one-member")
    assert groups_of(found) == (SyncGroup(name="VG_1", members=("VI_1",)),)


def test_no_member(tmp_path: Path) -> None:
    found = compiled(tmp_path, "vrrp_sync_group VG_1 {\n}\n")
    assert not is_error(found, "no-members")
    assert groups_of(found) == ()


def test_a_member_of_two_groups_stays_in_the_first(tmp_path: Path) -> None:
    text = (
        "vrrp_sync_group VG_1 {\n group {\n VI_1\n VI_2\n }\n}\n"
        "vrrp_sync_group VG_2 {\n group {\n VI_2\n VI_3\n VI_4\n }\n}\n"
    )
    assert is_error(compiled(tmp_path, text), "duplicate-member")
    first, second = groups_of(compiled(tmp_path, text, permissive=True))
    assert (first.members, second.members) == (("VI_1", "VI_2"), ("VI_3", "VI_4"))


def test_a_member_named_twice(tmp_path: Path) -> None:
    found = compiled(tmp_path, "vrrp_sync_group VG_1 {\n group {\n VI_1\n VI_1\n VI_2\n }\n}\n")
    assert codes(found) == ["duplicate-member"]
    assert groups_of(found)[0].members == ("VI_1", "VI_2")


def test_a_second_group_of_a_name_and_one_without(tmp_path: Path) -> None:
    one = "vrrp_sync_group VG_1 {\n group {\n VI_1\n VI_2\n }\n}\n"
    other = one.replace("VI_1", "VI_3").replace("VI_2", "VI_4")
    assert is_error(compiled(tmp_path, one + other), "duplicate-sync-group")
    assert groups_of(compiled(tmp_path, one + other, permissive=True))[0].members == ("VI_1", "VI_2")
    assert is_error(compiled(tmp_path, one.replace(" VG_1", "")), "missing-argument")


def test_a_plan_tells_changed_groups(tmp_path: Path) -> None:
    text = "vrrp_sync_group VG_1 {\n group {\n VI_1\n VI_2\n }\n}\n"
    before = compiled(tmp_path, text).configuration
    after = compiled(tmp_path, text.replace("VI_2", "VI_2 VI_3")).configuration
    assert before is not None
    assert after is not None
    (item,) = compare(before, after).items
    assert (item.kind, item.name) == (Kind.SYNC_GROUP, "VG_1")
    assert [(each.name, each.before, each.after) for each in item.changes] == [
        ("group", "VI_1, VI_2", "VI_1, VI_2, VI_3")
    ]


SCRIPT = "vrrp_script chk {\n script /bin/true root\n}\n"


def trackers_of(found: Compiled) -> list[list[tuple[str, str, int]]]:
    assert found.configuration is not None, found.diagnostics
    return [
        [(str(track.kind), track.name, track.weight) for track in each.trackers]
        for each in found.configuration.vrrp.instances
    ]


def test_what_a_group_tracks_all_members_track(tmp_path: Path) -> None:
    text = (
        SCRIPT + "vrrp_sync_group VG_1 {\n group {\n VI_1\n VI_2\n }\n track_script {\n chk\n }\n"
        " track_interface {\n eth9\n }\n}\n"
    )
    found = compiled(tmp_path, text)
    both = [("interface", "eth9", 0), ("script", "chk", 0)]
    assert trackers_of(found) == [both, both, [], []]
    assert found.configuration is not None
    assert [each.name for each in found.configuration.checker.track_scripts] == ["chk"]
