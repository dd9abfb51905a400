"""Statements to values by the keyword tables: the one place where every keyword of every block passes.

Law of this file: a statement is used, or a finding says that it isn't. How grave it is to ignore one stands
in its row (`Row.ignored`), so the same rule holds for a bad value, a misspelling and a keyword that is not
supported yet.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from functools import cache, lru_cache
from typing import Any

from keepbus.config import values
from keepbus.config.diagnostics import At, Findings, Note
from keepbus.config.keywords import Path, Row, blocks
from keepbus.config.kinds import KINDS, Kind
from keepbus.config.syntax import Statement
from keepbus.config.values import Invalid


class Fields:
    """What a block says, by field."""

    __slots__ = ("at", "refused", "statement", "values", "without_user")

    def __init__(self, statement: Statement) -> None:
        self.statement = statement
        """The block's own."""
        self.values: dict[str, Any] = {}
        self.at: dict[str, Statement] = {}
        self.refused: set[str] = set()
        """Fields whose lines could not be used, as a finding says."""
        self.without_user: tuple[Statement, ...] = ()
        """Scripts whose own line names no user."""

    def get(self, field: str, default: Any = None) -> Any:
        """The value, or default when the block doesn't say."""
        return self.values.get(field, default)

    def where(self, field: str) -> At:
        """The value's first word, or the block's keyword when the block doesn't say."""
        statement = self.at.get(field)
        if statement is None:
            return self.statement.at(0, len(self.statement.words))
        return statement.at(1) if len(statement.words) > 1 else statement.at()

    def lacks(self, field: str) -> bool:
        """True when the block says nothing of the field, not even something wrong."""
        return field not in self.values and field not in self.refused

    def before(self, first: str, second: str) -> bool:
        """Both are given, and first comes before second."""
        order = list(self.at)
        return first in order and second in order and order.index(first) < order.index(second)

    def given(self, fields: Sequence[str]) -> dict[str, Any]:
        """Those of the fields that the block gives, as keyword arguments."""
        return {field: self.values[field] for field in fields if field in self.values}


_LONGEST_MISSPELT = 60
_GRAMMARS = tuple((f"({name})",) for name in ("language", "address", "route", "rule", "track"))

_SCRIPTS = ("script", "command")
"""Kinds of what is run; a command's user stands in its block."""

OnBlock = Callable[[str, Statement, Fields], None]
"""Called for each supported block in its place: keyword, statement, and the fields before it."""


class TableReader:
    """Reads blocks."""

    def __init__(self, findings: Findings) -> None:
        self.findings = findings
        self.without_user: list[Statement] = []
        """Scripts that say not as whom they run."""
        self.supplementary_groups = False
        """Whoever runs a script has all his groups."""
        self._blocks = {path: rows for path, rows in blocks().items() if path not in _GRAMMARS}

    def read(self, block: Statement, path: Path, on_block: OnBlock | None = None) -> Fields:
        """The fields of a block; path names its row set."""
        fields = Fields(block)
        rows = self._blocks[path]
        for statement in block.children or ():
            row = rows.get(statement.words[0])
            if row is None:
                self._unknown(statement, path)
            elif not row.supported:
                self._unsupported(statement, row)
            elif row.kind in ("block", "lines"):
                if statement.children is None:
                    self.ignore(
                        row, "missing-argument", f"`{row.keyword}` needs a block in braces", statement
                    )
                elif on_block is not None:
                    self._note_status(statement, row)
                    on_block(row.keyword, statement, fields)
            else:
                self._value(statement, row, fields)
        if fields.without_user and "user" not in fields.values:
            self.without_user.extend(fields.without_user)
        return fields

    def ignore(
        self, row: Row, code: str, text: str, statement: Statement, index: int = 0, advice: str = ""
    ) -> None:
        """Report a statement that is ignored, as gravely as its row says."""
        self._report(row.ignored, code, text, statement.at(index), advice)

    def surplus(self, statement: Statement, words: Sequence[str], first: int) -> None:
        """Report words from index first on that nobody uses."""
        at = statement.at(first, len(words) - first)
        if words[first].startswith("//"):
            self.findings.warning(
                "slash-comment",
                "`//` does not begin a comment; the words from here on are ignored",
                at,
                advice="write `#` or `!`",
            )
        else:
            self.findings.warning("surplus-words", f"`{words[0]}` does not use what follows", at)

    def _value(self, statement: Statement, row: Row, fields: Fields) -> None:
        if not self._read_value(statement, row, fields):
            fields.refused.add(row.field)

    def _read_value(self, statement: Statement, row: Row, fields: Fields) -> bool:
        kind, least, most = _arity(row)
        words = self._arguments(statement, least, most)
        if statement.children is not None and row.kind != "values":
            self.findings.warning(
                "surplus-block", f"`{row.keyword}` has no block; it is ignored", statement.brace()
            )
        if len(words) < least:
            self.ignore(row, "missing-argument", f"`{row.keyword}` needs {_expected(row)}", statement)
            return False
        if row.kind == "values":
            return self._values(statement, row, fields)
        try:
            value = _converted(kind, words, row.parameters)
        except Invalid as error:
            index = min(error.index + 1, len(words))
            self.ignore(row, "bad-value", f"`{row.keyword}`: {error}", statement, index)
            return False
        if row.status != "yes":
            self._note_status(statement, row)
        if kind.repeats:
            fields.values.setdefault(row.field, []).append((value, statement))
            fields.at.setdefault(row.field, statement)
            return True
        known = fields.at.get(row.field)
        if known is not None:
            last = row.kind != "script"
            self.findings.warning(
                "given-twice",
                f"`{row.keyword}` is given twice in this block; the {'last' if last else 'first'} one counts",
                statement.at(),
                note=Note(text="the other one is here", place=known.at().place()),
            )
            if not last:
                return True
        if self.supplementary_groups and row.kind in ("script", "user"):
            value = values.with_supplementary_groups(value)
        fields.values[row.field] = value
        fields.at[row.field] = statement
        if row.kind in _SCRIPTS and getattr(value, "argv", value) and not getattr(value, "user", ""):
            fields.without_user += (statement,)
        return True

    def _arguments(self, statement: Statement, least: int, most: int) -> tuple[str, ...]:
        """The words after the keyword, without what is surplus."""
        words = statement.words
        end = len(words) if most < 0 else min(len(words), most + 1)
        # A word that must be there may begin with `//`; any other one is meant as a comment.
        for index in range(least + 1, end):
            if words[index].startswith("//"):
                end = index
                break
        if end < len(words):
            self.surplus(statement, words, end)
        return tuple(words[1:end])

    def _values(self, statement: Statement, row: Row, fields: Fields) -> bool:
        """A block of values: its lines as statements."""
        if statement.children is None:
            self.ignore(row, "missing-argument", f"`{row.keyword}` needs a block in braces", statement)
            return False
        self._note_status(statement, row)
        lines = fields.values.setdefault(row.field, [])
        fields.at.setdefault(row.field, statement)
        for line in statement.children:
            if line.children is not None:
                self.findings.error("stray-brace", f"a block can't stand in `{row.keyword}`", line.brace())
            elif line.words[0].startswith("//"):
                self.surplus(line, line.words, 0)
            else:
                lines.append(line)
        return True

    def _note_status(self, statement: Statement, row: Row) -> None:
        if row.status == "partial":
            self.findings.warning("partial", f"`{row.keyword}`: {row.note}", statement.at())
        elif row.status.startswith("alias "):
            newer = row.status.removeprefix("alias ")
            self.findings.warning(
                "deprecated",
                f"`{row.keyword}` is a deprecated name",
                statement.at(),
                advice=f"write `{newer}`",
            )

    def _unsupported(self, statement: Statement, row: Row) -> None:
        if row.status == "obsolete":
            self.findings.warning("obsolete", f"`{row.keyword}` has no effect: {row.note}", statement.at())
            return
        self.ignore(row, "not-supported", f"`{row.keyword}` is not supported yet", statement, advice=row.note)

    def _unknown(self, statement: Statement, path: Path) -> None:
        word = statement.words[0]
        if not word and statement.children is not None:
            return  # a brace without a keyword, reported when it was read
        if word.startswith("//"):
            self.surplus(statement, statement.words, 0)
            return
        text = f"unknown keyword `{word[:40]}`" + (f" in `{path[-1]}`" if path else "")
        homes = {name: rows[word] for name, rows in self._blocks.items() if word in rows}
        if homes:
            ignored = next(iter(homes.values())).ignored
            advice = f"it belongs to {_names(homes)}"
            self._report(ignored, "unknown-keyword", text, statement.at(), advice)
            return
        # Searching similar words for every line of a file of garbage would take minutes.
        row = None if self.findings.full else _similar(word, path)
        if row is not None:
            advice = f"did you mean `{row.keyword}`?"
            self._report(row.ignored, "unknown-keyword", text, statement.at(), advice)
            return
        self._report("warning", "unknown-keyword", text, statement.at(), "")

    def _report(self, ignored: str, code: str, text: str, at: At, advice: str) -> None:
        if ignored == "warning":
            text += "; it is ignored"
            self.findings.warning(code, text, at, advice=advice)
        else:
            self.findings.error(code, text, at, advice=advice, lenient=ignored == "error")


@lru_cache(maxsize=4096)
def _converted(kind: Kind, words: tuple[str, ...], parameters: str) -> Any:
    """The same few values are written thousands of times in a large file."""
    return kind.convert(words, parameters)


@lru_cache(maxsize=1024)
def _similar(word: str, path: Path) -> Row | None:
    """The keyword of the block that was probably meant."""
    rows = blocks()[path]
    similar = difflib.get_close_matches(word[:_LONGEST_MISSPELT], rows, n=1, cutoff=0.7)
    return rows[similar[0]] if similar else None


@cache
def _arity(row: Row) -> tuple[Kind, int, int]:
    kind = KINDS[row.kind]
    if row.kind == "text" and row.parameters:
        least, _, most = row.parameters.partition("..")
        return kind, int(least), int(most)
    if "optional" in row.parameters:
        return kind, 0, kind.most
    return kind, kind.least, kind.most


def _expected(row: Row) -> str:
    names = {
        "integer": "a number",
        "seconds": "a number of seconds",
        "one-of": f"one of {', '.join(row.parameters.split())}",
        "forwarding": "one of NAT, DR, TUN",
        "protocol": "one of TCP, UDP, SCTP",
        "address": "an address",
        "interface": "the name of an interface",
        "address4": "an IPv4 address",
        "multicast4": "an IPv4 multicast group",
        "multicast6": "an IPv6 multicast group",
        "multicast": "a multicast group",
        "peer": "an IP address",
        "lifetime": "a number of seconds or `forever`",
        "script": "a command",
        "hmac-key": "an id from 1 to 255 and a key",
    }
    return names.get(row.kind, "a value")


def _names(paths: Iterable[Path]) -> str:
    """The last names of the first few paths."""
    names = sorted({f"`{path[-1]}`" if path else "the top level" for path in paths})
    return ", ".join(names[:3])
