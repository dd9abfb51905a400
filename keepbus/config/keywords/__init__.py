"""The keyword tables: one row per keyword in the `.tsv` files of this directory.

Parsing, diagnostics, `did you mean`, and the coverage report (`keepbus check --keywords`) all read these
rows; to support a keyword is to change its row and, where its meaning is new, to use its field. Columns:

- block: path of the block it stands in, `-` for the top level; `{a,b}` stands for both; names in
  parentheses are grammars of single lines;
- keyword;
- argument: kind of argument (`keepbus.config.kinds`), with its limits;
- field: where the value goes in the model or its draft, `-` for none;
- status: `yes`, `partial` (taken over, not all of its effect is there), `alias KEYWORD` (a deprecated
  spelling), `obsolete` (rightly without effect), `later` (not supported yet);
- ignored: what it costs to ignore the line, when it isn't supported, misspelt or has a bad value: a
  `warning`; an `error`, because nodes would disagree or the meaning would change, which permissive turns
  into a warning; or `refused`, an error in any case;
- note: what the finding adds, `-` for nothing.
"""

from __future__ import annotations

import importlib.resources
import itertools
from functools import cache
from typing import NamedTuple

from keepbus.config import plugins

FILES = ("language", "global_defs", "vrrp", "virtual_server", "grammars")

Path = tuple[str, ...]
_CHECKERS = ("virtual_server", "real_server")
OWN = "own "
"""What the fields of a plug-in's own words begin with."""


class Row(NamedTuple):
    """A keyword in a block."""

    block: Path
    keyword: str
    kind: str
    """First word of the argument column."""
    parameters: str
    """The rest of it."""
    field: str
    status: str
    ignored: str
    note: str
    supported: bool
    """True when its value is used."""


@cache
def blocks() -> dict[Path, dict[str, Row]]:
    """All rows by block path and keyword, in the order of the files."""
    table: dict[Path, dict[str, Row]] = {}
    for row in itertools.chain.from_iterable(map(_rows, FILES)):
        table.setdefault(row.block, {})[row.keyword] = row
    for keyword, found in plugins.installed().items():
        _add_plugin(table, keyword, found)
    return table


def _add_plugin(table: dict[Path, dict[str, Row]], keyword: str, found: plugins.Found) -> None:
    """A plug-in's checker has the words of a TCP_CHECK, and its own. It takes no name of keepalived's."""
    checkers, common = table[_CHECKERS], table[*_CHECKERS, "TCP_CHECK"]
    if keyword in checkers:
        return
    refusal = found.refusal
    if taken := sorted(found.words.keys() & common.keys()):
        refusal = f"its plug-in has a word that every checker has: {', '.join(taken)}"
    status = "later" if refusal else "yes"
    checkers[keyword] = Row(_CHECKERS, keyword, "block", "", "", status, "error", refusal, not refusal)
    path = (*_CHECKERS, keyword)
    own = table[path] = {word: row._replace(block=path) for word, row in common.items()}
    for word, argument in found.words.items():
        kind, _, parameters = argument.partition(" ")
        own[word] = Row(path, word, kind, parameters, f"{OWN}{word}", "yes", "error", "a plug-in's", True)


def grammar(name: str) -> dict[str, Row]:
    """The rows of a grammar of single lines: address, route, rule, track, language."""
    return blocks()[f"({name})",]


def knows(path: Path, keyword: str) -> bool:
    """Does the block at this path know this keyword? A block that isn't known may hold anything."""
    rows = blocks().get(path)
    if rows is not None:
        return keyword in rows
    if path:
        parent = blocks().get(path[:-1], {}).get(path[-1])
        # Values are no keywords.
        return parent is None or parent.kind not in ("values", "lines")
    return False


def _rows(name: str) -> list[Row]:
    text = importlib.resources.files(__name__).joinpath(f"{name}.tsv").read_text(encoding="utf-8")
    rows = []
    for line in text.splitlines()[1:]:
        block, *columns = line.split("\t")
        keyword, argument, field, status, ignored, note = (
            "" if column == "-" else column for column in columns
        )
        kind, _, parameters = argument.partition(" ")
        supported = status in ("yes", "partial") or status.startswith("alias ")
        for path in _paths(block):
            rows.append(Row(path, keyword, kind, parameters, field, status, ignored, note, supported))
    return rows


def _paths(block: str) -> list[Path]:
    if block == "-":
        return [()]
    head, _, tail = block.partition("{")
    return [tuple((head + member).split("/")) for member in tail.rstrip("}").split(",")]
