"""Lines of the route and rule grammars to fields, by the keyword tables.

Law of this file: a line is used whole or not at all. A word that cannot be used would make another route of
it, so the finding stands at that word, and with `--permissive` the line is left out.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

from keepbus.config.keywords import grammar
from keepbus.config.line_values import Taken, Words, take
from keepbus.config.reader import TableReader
from keepbus.config.syntax import Statement
from keepbus.config.values import Invalid

_GATHERED = ("metrics", "next_hops")
"""Fields whose words may come more than once."""
_LONGEST_SHOWN = 40

Loose = Callable[[Words, int], Taken]


def read_line(
    tables: TableReader, line: Statement, name: str, loose: tuple[str, Loose] | None = None
) -> dict[str, Any] | None:
    """The fields of a line of the grammar `name` (route or rule); None when it cannot be used, as a finding
    says. loose: field and kind of a word that has no keyword."""
    rows = grammar(name)
    words = line.words
    given: dict[str, Any] = {}
    at = 0
    while at < len(words):
        keyword = words[at]
        if keyword.startswith("//"):
            tables.surplus(line, words, at)
            break
        row = rows.get(keyword)
        try:
            if row is None:
                if loose is None or loose[0] in given:
                    _unknown(tables, line, name, at)
                    return None
                field, (value, at) = loose[0], loose[1](words, at)
            elif not row.supported and row.status != "obsolete":
                _tell(tables, line, name, "not-supported", f"`{keyword}` is not supported yet", at)
                return None
            else:
                field = row.field
                value, at = take(row.kind, words, at + 1, row.parameters)
                if row.status == "obsolete":
                    text = f"`{keyword}` has no effect: {row.note}"
                    tables.findings.warning("obsolete", text, line.at(words.index(keyword)))
                elif row.status.startswith("alias "):
                    newer = row.status.removeprefix("alias ")
                    where = line.at(words.index(keyword))
                    text = f"`{keyword}` is a deprecated name"
                    tables.findings.warning("deprecated", text, where, advice=f"write `{newer}`")
        except Invalid as error:
            if row is None and error.index == at and not keyword[:1].isdecimal():
                _unknown(tables, line, name, at)
                return None
            if error.index >= len(words) or str(error) == "a value is missing":
                _tell(
                    tables,
                    line,
                    name,
                    "missing-argument",
                    f"`{keyword}` needs a value",
                    min(at, len(words) - 1),
                )
            else:
                text = str(error) if row is None else f"`{keyword}`: {error}"
                _tell(tables, line, name, "bad-value", text, error.index)
            return None
        if field in _GATHERED:
            given[field] = (*given.get(field, ()), value)
        elif field:
            given[field] = value
    return given


def _unknown(tables: TableReader, line: Statement, name: str, at: int) -> None:
    word = line.words[at]
    similar = difflib.get_close_matches(word[:_LONGEST_SHOWN], grammar(name), n=1, cutoff=0.7)
    advice = f"did you mean `{similar[0]}`?" if similar else ""
    _tell(tables, line, name, "unknown-keyword", f"unknown word `{word[:_LONGEST_SHOWN]}`", at, advice)


def _tell(
    tables: TableReader, line: Statement, name: str, code: str, text: str, at: int, advice: str = ""
) -> None:
    tables.findings.error(code, f"{text}; the {name} is ignored", line.at(at), advice=advice, lenient=True)
