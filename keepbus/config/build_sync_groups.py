"""`vrrp_sync_group` blocks to the model: members are known when the whole file is read (features 3.8, 8).

keepalived leaves out what it doesn't find and goes on with the rest. A member that is left out moves alone,
which is what a sync group is there to prevent: that is an error here.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable

from keepbus.config.build_tracking import GroupTracking, Trackables, join
from keepbus.config.diagnostics import Note
from keepbus.config.model.notify import NotifyKind, NotifyTarget
from keepbus.config.model.vrrp import SyncGroup, VrrpInstance
from keepbus.config.reader import Fields, TableReader
from keepbus.config.syntax import Statement

_BLOCK = ("vrrp_sync_group",)
_TOLD = (
    "notify_master",
    "notify_backup",
    "notify_fault",
    "notify_stop",
    "notify",
    "smtp_alert",
    "notify_priority_changes",
)


def build_sync_groups(
    tables: TableReader,
    blocks: Iterable[Statement],
    instances: Collection[VrrpInstance],
    trackables: Trackables,
) -> tuple[tuple[SyncGroup, ...], tuple[NotifyTarget, ...], tuple[VrrpInstance, ...]]:
    """All groups that have members, their notifications, and the instances with what their groups track."""
    names = [instance.name for instance in instances]
    tracking: dict[str, GroupTracking] = {}
    groups: dict[str, tuple[SyncGroup, NotifyTarget | None]] = {}
    begun: dict[str, Statement] = {}
    taken: dict[str, tuple[str, Statement]] = {}
    for block in blocks:
        if len(block.words) < 2 or block.words[1].startswith("//"):
            tables.findings.error(
                "missing-argument", "`vrrp_sync_group` needs a name", block.at(), lenient=True
            )
            continue
        if len(block.words) > 2:
            tables.surplus(block, block.words, 2)
        name = block.words[1]
        fields = tables.read(block, _BLOCK)
        if name in begun:
            tables.findings.error(
                "duplicate-sync-group",
                f"there is a `vrrp_sync_group {name}` already; this one is ignored",
                block.at(1),
                note=Note(text="the first one is here", place=begun[name].at(1).place()),
                lenient=True,
            )
            continue
        begun[name] = block
        members = _members(tables, name, fields, names, taken)
        weighted = fields.get("sync_group_tracking_weight", False)
        tracking.update(dict.fromkeys(members, GroupTracking(trackables.read(fields), weighted, block)))
        if not members:
            tables.findings.warning(
                "no-members", f"`vrrp_sync_group {name}` has no members; it is not used", block.at(0, 2)
            )
            continue
        if len(members) == 1:
            tables.findings.warning(
                "one-member",
                f"`vrrp_sync_group {name}` has one member only, so there is nothing to move together",
                block.at(0, 2),
                advice="name the other instances in `group`, or remove the block",
            )
        told = fields.given(_TOLD)
        target = NotifyTarget(kind=NotifyKind.GROUP, name=name, **told) if told else None
        groups[name] = SyncGroup(name=name, members=members), target
    targets = tuple(target for _, target in groups.values() if target is not None)
    joined = tuple(
        join(tables.findings, instance, tracking[instance.name]) if instance.name in tracking else instance
        for instance in instances
    )
    return tuple(group for group, _ in groups.values()), targets, joined


def _members(
    tables: TableReader,
    name: str,
    fields: Fields,
    instances: Collection[str],
    taken: dict[str, tuple[str, Statement]],
) -> tuple[str, ...]:
    """The names in `group`, on as many lines as one likes."""
    members: list[str] = []
    for line in fields.get("members", ()):
        for index, word in enumerate(line.words):
            if word.startswith("//"):
                tables.surplus(line, line.words, index)
                break
            if word not in instances:
                near = difflib.get_close_matches(word, instances, n=1, cutoff=0.5)
                tables.findings.error(
                    "unknown-member",
                    f"there is no `vrrp_instance {word}`, so it can't move with `vrrp_sync_group {name}`",
                    line.at(index),
                    advice=f"did you mean `{near[0]}`?" if near else "write the name of an instance",
                    lenient=True,
                )
            elif word in taken:
                group, first = taken[word]
                note = Note(text="the first time is here", place=first.at().place())
                if group == name:
                    tables.findings.warning(
                        "duplicate-member", f"`{word}` is named twice", line.at(index), note=note
                    )
                    continue
                tables.findings.error(
                    "duplicate-member",
                    f"`{word}` is in `vrrp_sync_group {group}` already; it stays there",
                    line.at(index),
                    advice="an instance can be in one sync group only",
                    note=note,
                    lenient=True,
                )
            else:
                taken[word] = name, line
                members.append(word)
    return tuple(members)
