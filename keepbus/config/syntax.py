"""Lines to a tree of statements, with no knowledge of keywords (features 3.1 to 3.8).

A statement is a line's words; a block is a statement with statements in braces. Included files are spliced
in where they are named; definitions, conditions and repetition are written out before (`language`).

Where closing braces are missing the text is parsed again with the help of `Knows`: a keyword that the open
block doesn't know and an enclosing one does tells which block lacks its brace. That function is the only
thing about keywords that ever gets here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from keepbus.config import include
from keepbus.config.diagnostics import Findings, Note, Place
from keepbus.config.language import Language, LanguageError, begins_definition, concerns
from keepbus.config.lexer import COMMENT_IN_WORD, UNMATCHED_QUOTE, Flaw, Kind, scan, without_comment
from keepbus.config.source import MOST_OCTETS, At, Expanded, Reader, Source, WholeFile

Knows = Callable[[tuple[str, ...], str], bool]
"""Does the block at this path know this keyword?"""

_LONGEST_LINE = 1023
_DEEPEST = 32

# A line without any of these is words and blanks.
_SPECIAL = re.compile(r"""[^ -~\t]|[#!"{}\\$@~]""")
_INCLUDE = re.compile(r"""\s*(include[rmwba]?)\s+(?:"([^"]*)"|([^\s"#!]+))""")


class _TooDeep(Exception):
    """No configuration has so many blocks in one another."""


class Statement:
    """A keyword with its arguments, and what stands in its braces."""

    __slots__ = ("children", "first", "line", "opened_at", "opened_line", "source", "words")

    def __init__(self, words: list[str], source: Source, line: int, first: int) -> None:
        self.words = words
        self.source = source
        self.line = line
        """From 1."""
        self.first = first
        """Index of the first word among the tokens of the line."""
        self.children: list[Statement] | None = None
        """None: no braces."""
        self.opened_line = 0
        self.opened_at = 0

    @property
    def keyword(self) -> str:
        """The first word."""
        return self.words[0]

    def at(self, index: int = 0, count: int = 1) -> WordsAt:
        """Where words index to index + count - 1 stand."""
        return WordsAt(self, index, count)

    def brace(self) -> At:
        """Where the opening brace stands."""
        return At(self.source, self.opened_line, self.opened_at, self.opened_at + 1)


class WordsAt:
    """Some words of a statement, for findings. Columns are worked out by reading the line again."""

    __slots__ = ("count", "index", "statement")

    def __init__(self, statement: Statement, index: int, count: int) -> None:
        self.statement = statement
        self.index = index
        self.count = count

    @property
    def file(self) -> str:
        """As findings show it."""
        return self.statement.source.name

    @property
    def line(self) -> int:
        """From 1."""
        return self.statement.line

    def place(self) -> Place:
        """The place."""
        statement = self.statement
        tokens = scan(statement.source.text_of(statement.line)).tokens
        if not tokens:
            return statement.source.place(statement.line, 0, 0)
        first = statement.first + self.index
        begin = tokens[min(first, len(tokens) - 1)]
        finish = tokens[min(first + self.count, len(tokens)) - 1]
        return statement.source.place(statement.line, begin.start, max(begin.end, finish.end))


class Parser:
    """Parses one file and what it includes."""

    def __init__(
        self,
        reader: Reader,
        findings: Findings,
        config_id: str,
        knows: Knows | None = None,
        missing: int = 0,
    ) -> None:
        """knows closes up to `missing` blocks whose brace is missing."""
        self._language = Language(config_id)
        self._reader = reader
        self._findings = findings
        self._knows = knows
        self._missing = missing
        self._open: list[Statement] = []
        self._including: list[Path] = []
        self._checks = include.CHECKS["include"]
        """Of plain `include` from here to the end of the file (`include_check`)."""
        self._octets = 0
        self._overflowed = False
        self._main: Source | None = None
        self.top: list[Statement] = []
        self._here = self.top
        self.surplus = 0
        """Closing braces that close nothing."""

    def parse(self, source: Source, path: Path) -> None:
        """Parse a file, and what it includes, into `top`."""
        self._main = source
        try:
            self._file(source, path)
        except _TooDeep:
            self._open.clear()

    def finish(self) -> int:
        """Report the blocks that are open at the end; how many."""
        still_open = list(self._open)
        for block in still_open:
            self._report_missing(block, self._end())
        self._open.clear()
        return len(still_open)

    def _file(self, source: Source, path: Path) -> None:
        self._octets += source.octets
        if self._octets > MOST_OCTETS:
            # Small files that include each other many times would grow without limit.
            if not self._overflowed:
                text = f"with all its includes the configuration has more than {MOST_OCTETS:,} octets"
                self._findings.error("too-large", text, WholeFile(source.name))
            self._overflowed = True
            return
        self._including.append(path)
        special = _SPECIAL.search
        lines = enumerate(source.lines, 1)
        for number, line in lines:
            found = special(line)
            if found is None:
                words = line.split()
                if words:
                    self._statement(words, source, number, 0)
                continue
            stripped = line.strip(" \t\r")
            if not stripped or stripped[0] in "#!":
                continue
            if stripped == "}":
                self._close(source, number, line.index("}"))
            elif stripped.startswith("include") and (named := _INCLUDE.match(line)):
                # Read off the raw line: the pattern may hold braces.
                self._include(Statement([named[1], named[2] or named[3]], source, number, 0))
            elif found[0] == "{" and stripped[-1] == "{" and special(line, found.end()) is None:
                words = line[: found.start()].split()
                if words:
                    self._statement(words, source, number, 0)
                self._brace(source, number, found.start())
            elif concerns(stripped):
                self._expand(line, source, number, lines)
            else:
                self._slow(line, source, number)
        self._including.pop()

    def _expand(self, line: str, source: Source, number: int, lines: Iterator[tuple[int, str]]) -> None:
        """A line with a condition, a definition, a repetition or a use of a definition."""
        text = without_comment(line).strip()
        parts = [text]
        if begins_definition(text):
            # Only here a backslash at the end continues a line.
            while parts[-1].endswith("\\"):
                parts[-1] = parts[-1][:-1].rstrip()
                parts.append(without_comment(next(lines, (0, ""))[1]).strip())
        try:
            expanded = self._language.expand(tuple(parts), os.path.dirname(source.name))
        except LanguageError as error:
            start = line.index(text) if text in line else 0
            self._findings.error("language", str(error), At(source, number, start, start + len(text)))
            return
        if expanded == [text]:
            self._slow(line, source, number)
            return
        for piece in expanded:
            self._slow(piece, Expanded(source, piece), number)

    def _slow(self, line: str, source: Source, number: int) -> None:
        """A line with quotes, comments, several braces or characters outside ASCII."""
        tokens, flaws = scan(line)
        for flaw in {flaw.code: flaw for flaw in reversed(flaws)}.values():
            self._flaw(flaw, line, source, number)
        if len(line) > _LONGEST_LINE and tokens:
            self._findings.warning(
                "long-line",
                f"keepalived drops a line of more than {_LONGEST_LINE} characters",
                At(source, number, 0, 1),
            )
        words: list[str] = []
        first = 0
        for index, token in enumerate(tokens):
            if token.kind is Kind.WORD:
                if not words:
                    first = index
                words.append(token.text)
                continue
            if words:
                self._statement(words, source, number, first)
                words = []
            if token.kind is Kind.OPEN:
                self._brace(source, number, token.start)
            else:
                self._close(source, number, token.start)
        if words:
            self._statement(words, source, number, first)

    def _statement(self, words: list[str], source: Source, number: int, first: int) -> None:
        statement = Statement(words, source, number, first)
        if words[0] in include.CHECKS:
            self._include(statement)
            return
        if words[0] == "include_check":
            self._checks = include.adjusted(self._checks, words[1:])
        if self._missing and self._open and self._knows is not None:
            self._close_before(statement)
        self._here.append(statement)

    def _brace(self, source: Source, number: int, column: int) -> None:
        if not self._here or self._here[-1].children is not None:
            self._findings.error(
                "stray-brace",
                "this brace opens a block that has no keyword",
                At(source, number, column, column + 1),
                advice="write the keyword before the brace",
            )
            # The block is read all the same, so that its closing brace finds its partner.
            self._here.append(Statement([""], source, number, 0))
        if len(self._open) >= _DEEPEST:
            text = f"blocks are nested deeper than {_DEEPEST}; the rest of the file is not read"
            self._findings.error("too-deep", text, At(source, number, column, column + 1))
            raise _TooDeep
        block = self._here[-1]
        block.children = []
        block.opened_line = number
        block.opened_at = column
        self._open.append(block)
        self._here = block.children

    def _close(self, source: Source, number: int, column: int) -> None:
        if not self._open:
            self.surplus += 1
            self._findings.error(
                "surplus-brace",
                "this brace closes nothing",
                At(source, number, column, column + 1),
                advice="remove it, or look for a block above that is closed too early",
                lenient=True,
            )
            return
        self._pop()

    def _pop(self) -> None:
        self._open.pop()
        parent = self._open[-1].children if self._open else self.top
        assert parent is not None
        self._here = parent

    def _close_before(self, statement: Statement) -> None:
        """Close the blocks that evidently lack their brace before this statement."""
        assert self._knows is not None
        path = tuple(block.keyword for block in self._open)
        keyword = statement.keyword
        for depth in range(len(path), -1, -1):
            if self._knows(path[:depth], keyword):
                break
        else:
            return
        if len(path) - depth > self._missing:
            return
        for _ in range(len(path) - depth):
            self._missing -= 1
            block = self._open[-1]
            text = f"`{keyword}` can't stand in `{block.keyword}`: the brace must close before this line"
            self._report_missing(block, Note(text=text, place=statement.at().place()))
            self._pop()

    def _end(self) -> Note:
        source = self._main
        assert source is not None
        last = len(source.lines)
        while last > 1 and not source.lines[last - 1].strip():
            last -= 1
        end = len(source.lines[last - 1])
        return Note(text="the file ends here", place=source.place(last, end, end + 1))

    def _report_missing(self, block: Statement, noticed: Note) -> None:
        name = " ".join(block.words[:2])
        self._findings.error(
            "missing-brace",
            f"the block `{name}` is never closed",
            block.brace(),
            advice="add the missing `}`",
            note=noticed,
            lenient=True,
        )

    def _flaw(self, flaw: Flaw, line: str, source: Source, number: int) -> None:
        at = At(source, number, flaw.start, flaw.end)
        if flaw.code == UNMATCHED_QUOTE:
            self._findings.error(
                flaw.code,
                "this quote has no partner on its line",
                at,
                advice='add the closing `"`',
                lenient=True,
            )
        elif flaw.code == COMMENT_IN_WORD:
            mark = line[flaw.start]
            self._findings.warning(
                flaw.code,
                f"`{mark}` in the middle of a word begins a comment",
                at,
                advice=f"write `\\{mark}` or put the word in quotes if `{mark}` belongs to it",
            )
        else:
            name = include.character_name(line[flaw.start])
            self._findings.warning(
                flaw.code,
                f"white space that keepalived does not know as such: {name}",
                at,
                advice="replace it by a plain blank; keepalived takes it as part of a word",
            )

    def _include(self, statement: Statement) -> None:
        checks = self._checks
        for path, name in include.resolve(statement, self._findings, checks):
            if path in self._including:
                self._findings.error(
                    "include-loop", f"{name} includes itself, directly or through others", statement.at(1)
                )
                continue
            source = self._reader.read(path, name)
            if source is not None:
                self._file(source, path)
                self._checks = checks


def parse(
    source: Source, path: Path, reader: Reader, findings: Findings, config_id: str, knows: Knows
) -> list[Statement]:
    """The statements of a file; braces that are missing are reported and put where they belong."""
    trial = Findings(permissive=findings.permissive)
    parser = Parser(reader, trial, config_id)
    parser.parse(source, path)
    missing = parser.finish()
    if missing:
        again = Findings(permissive=findings.permissive)
        repaired = Parser(reader, again, config_id, knows, missing)
        repaired.parse(source, path)
        repaired.finish()
        if not repaired.surplus or parser.surplus:
            parser, trial = repaired, again
    findings.merge(trial)
    return parser.top
