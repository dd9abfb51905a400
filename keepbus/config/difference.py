"""Two values of the model compared field by field, in the words of a configuration file. Pure.

Law of this file: it knows no class of the model by name, so that a field that is added tomorrow is compared
and shown like the others; and a field that its class keeps out of repr is a secret, of which only the change
is told.
"""

from __future__ import annotations

import dataclasses
import enum
import shlex
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from keepbus.config.keywords import Path, blocks
from keepbus.config.model.scripts import Script

NOT_SHOWN = "(not shown)"
NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
    """A field that is not the same any more."""

    name: str
    """The keyword, where there is one."""
    before: str
    after: str
    """Both NOT_SHOWN for a secret."""


def differences(before: Any, after: Any, block: Path, leave: Collection[str] = ()) -> Iterator[FieldChange]:
    """What differs between two dataclasses of one kind, without the fields to leave.

    block names the row set of the keyword tables whose words are used (`keepbus.config.keywords`).
    """
    for field in dataclasses.fields(before):
        old, new = getattr(before, field.name), getattr(after, field.name)
        if old == new or field.name in leave:
            continue
        name = keyword(block, field.name)
        if not field.repr:
            yield FieldChange(name=name, before=NOT_SHOWN, after=NOT_SHOWN)
        elif _is_group(old) and type(old) is type(new):
            yield from differences(old, new, (*block, field.name) if _known((*block, field.name)) else block)
        else:
            yield FieldChange(name=name, before=words(old, field.name), after=words(new, field.name))


def words(value: Any, name: str = "") -> str:
    """The value as an operator would write it; name is its field's, whose ending tells the unit."""
    if value is None or value == "" or value == ():
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, enum.Enum):
        return str(value.value)
    if isinstance(value, int) and name.endswith("_us"):
        return f"{value / 1_000_000:g} s"
    if isinstance(value, int) and name.endswith("_s"):
        return f"{value} s"
    if isinstance(value, tuple):
        return ", ".join(words(each) for each in value)
    if isinstance(value, Script):
        owner = ":".join(part for part in (value.user, value.group) if part)
        return shlex.join(value.argv) + (f" as {owner}" if owner else "")
    if dataclasses.is_dataclass(value):
        return " ".join(_parts(value)) or NONE
    return str(value)


def endpoint(address: str, port: int) -> str:
    """ADDRESS:PORT, an IPv6 address in brackets."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def keyword(block: Path, field: str) -> str:
    """The keyword of a field in a block; the field's name without its unit where the tables have none."""
    return _keywords(block).get(field) or field.removesuffix("_us").removesuffix("_s")


@cache
def _keywords(block: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for row in blocks().get(block, {}).values():
        if row.field and row.supported and not row.status.startswith("alias "):
            found.setdefault(row.field, row.keyword)
    return found


def _known(block: Path) -> bool:
    return block in blocks()


def _is_group(value: Any) -> bool:
    """Fields that stand together, each of which is told on its own."""
    return dataclasses.is_dataclass(value) and not isinstance(value, Script)


def _parts(value: Any) -> Iterator[str]:
    """What of a dataclass is not as it is by default; a target first."""
    given = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if "address" in given and "port" in given:
        last = given.pop("last_address", "")
        yield endpoint(given.pop("address"), given.pop("port")) + (f" to {last}" if last else "")
    for field in dataclasses.fields(value):
        if field.name not in given or given[field.name] == field.default:
            continue
        shown = words(given[field.name], field.name) if field.repr else NOT_SHOWN
        if given[field.name] is True:
            yield field.name
        elif field.default is dataclasses.MISSING and field.repr:
            yield shown
        else:
            yield f"{keyword((), field.name)} {shown}"
