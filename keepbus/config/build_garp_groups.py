"""`garp_group` blocks to the model (features 4)."""

from __future__ import annotations

from collections.abc import Iterable

from keepbus.config.model.vrrp import GarpGroup
from keepbus.config.reader import Fields, TableReader
from keepbus.config.syntax import Statement
from keepbus.config.values import Invalid, interface

_BLOCK = ("garp_group",)


def build_garp_groups(tables: TableReader, blocks: Iterable[Statement]) -> tuple[GarpGroup, ...]:
    """All groups that name an interface; an interface belongs to the first group that names it."""
    groups = []
    taken: set[str] = set()
    for block in blocks:
        if len(block.words) > 1:
            tables.surplus(block, block.words, 1)
        fields = tables.read(block, _BLOCK)
        interfaces = []
        for name, statement in _named(tables, fields):
            if name in taken:
                tables.findings.warning(
                    "given-twice",
                    f"{name} is in a `garp_group` already; the first one counts",
                    statement.at(len(statement.words) - 1),
                )
                continue
            taken.add(name)
            interfaces.append(name)
        if not interfaces:
            tables.findings.warning("empty-group", "this `garp_group` names no interface", block.at())
            continue
        limits = fields.given(("garp_interval_us", "gna_interval_us"))
        if not limits:
            tables.findings.warning("empty-group", "this `garp_group` limits nothing", block.at())
        groups.append(GarpGroup(interfaces=tuple(interfaces), **limits))
    return tuple(groups)


def _named(tables: TableReader, fields: Fields) -> list[tuple[str, Statement]]:
    """`interface` and the lines of `interfaces`."""
    named = []
    single = fields.get("interface")
    if single is not None:
        named.append((str(single), fields.at["interface"]))
    for line in fields.get("interfaces", ()):
        for index, word in enumerate(line.words):
            if word.startswith("//"):
                tables.surplus(line, line.words, index)
                break
            try:
                named.append((interface((word,), ""), line))
            except Invalid as error:
                tables.findings.warning("bad-value", f"`interfaces`: {error}; it is ignored", line.at(index))
    return named
