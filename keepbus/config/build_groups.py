"""`virtual_server_group` blocks: addresses and marks that a virtual server stands for (features 12.1)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from keepbus.config.diagnostics import Note
from keepbus.config.ipvs_values import group_member
from keepbus.config.model.ipvs import GroupMember
from keepbus.config.reader import TableReader
from keepbus.config.syntax import Statement
from keepbus.config.values import Invalid


@dataclass(slots=True)
class Group:
    """A group, and how many virtual servers use it."""

    block: Statement
    members: dict[GroupMember, Statement] = field(default_factory=dict)
    uses: int = 0


def build_groups(tables: TableReader, blocks: Iterable[Statement]) -> dict[str, Group]:
    """All groups by name; the first of a name counts. A group without members is left out."""
    groups: dict[str, Group] = {}
    for block in blocks:
        if len(block.words) < 2:
            tables.findings.error(
                "missing-argument", "`virtual_server_group` needs a name", block.at(), lenient=True
            )
            continue
        if len(block.words) > 2:
            tables.surplus(block, block.words, 2)
        name = block.words[1]
        if name in groups:
            tables.findings.error(
                "duplicate-group",
                f"there is a virtual_server_group {name} already; this one is ignored",
                block.at(1),
                note=Note(text="the first one is here", place=groups[name].block.at(1).place()),
                lenient=True,
            )
            continue
        group = Group(block)
        for line in block.children or ():
            _add(tables, group, line)
        groups[name] = group
    return groups


def _add(tables: TableReader, group: Group, line: Statement) -> None:
    words = line.words
    if line.children is not None:
        tables.findings.error("stray-brace", "a block can't stand in `virtual_server_group`", line.brace())
        return
    most = 3 if words[0] == "fwmark" else 2
    for index, word in enumerate(words):
        if index == most or word.startswith("//"):
            tables.surplus(line, words, index)
            words = words[:index]
            break
    if not words:
        return
    try:
        member = group_member(words)
    except Invalid as error:
        tables.findings.error(
            "bad-value", f"this line is ignored: {error}", line.at(error.index), lenient=True
        )
        return
    if member in group.members:
        tables.findings.warning(
            "given-twice",
            f"`{' '.join(words)}` is in this group already",
            line.at(0, len(words)),
            note=Note(text="the other one is here", place=group.members[member].at().place()),
        )
        return
    group.members[member] = line
