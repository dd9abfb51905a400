"""What the compiler has to say about a file, and where.

Law of this file: a finding is kept once. The same sentence on further lines of the same file is counted and
its lines are named; a file of garbage ends at a limit instead of in memory. No secret reaches a finding:
the excerpt of a line is masked by the caller (`Source.excerpt`), the text never quotes one.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

MOST_FINDINGS = 500
"""Distinct findings that are kept; further ones are only counted."""
MOST_LINES_NAMED = 20
"""Further lines of a repeated finding that are named; more are only counted."""


class Severity(enum.StrEnum):
    """An error keeps the configuration from being used, a warning doesn't."""

    WARNING = "warning"
    ERROR = "error"


class Place(NamedTuple):
    """Where something stands in a file."""

    file: str
    line: int
    """From 1; 0 for a file as a whole."""
    column: int = 0
    """Character in the line, from 1; 0 for a line as a whole."""
    length: int = 0
    """Characters to underline."""
    excerpt: str = ""
    """The line, or the part of a long one around the column; secrets masked."""
    excerpt_column: int = 0
    """Where the column is in the excerpt, from 1."""


class At(Protocol):
    """Something that knows its line, and works out its place only when asked."""

    @property
    def file(self) -> str:
        """As findings show it."""

    @property
    def line(self) -> int:
        """From 1; 0 for a file as a whole."""

    def place(self) -> Place:
        """The place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A second place that belongs to a finding."""

    text: str
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """One finding."""

    severity: Severity
    code: str
    """Stable name of the rule, for machines: unknown-keyword, missing-brace, …"""
    text: str
    place: Place
    help: str = ""
    """What to do; empty when the text says it."""
    note: Note | None = None
    lenient: bool = False
    """An error that permissive turns into a warning."""
    more: int = 0
    """On how many further lines of the file the same was found."""
    more_lines: tuple[int, ...] = ()
    """The first of those lines."""


class Findings:
    """Collects diagnostics while a file is compiled."""

    def __init__(self, *, permissive: bool = False) -> None:
        self.permissive = permissive
        self.dropped = 0
        """Distinct findings beyond the limit."""
        self._kept: dict[tuple[str, str, str], _Kept] = {}
        self._errors = 0

    def warning(self, code: str, text: str, at: At, *, advice: str = "", note: Note | None = None) -> None:
        """keepalived tolerates it, perhaps with a complaint; so does keepbus."""
        self._add(Severity.WARNING, code, text, at, advice, note, False)

    def error(
        self,
        code: str,
        text: str,
        at: At,
        *,
        advice: str = "",
        note: Note | None = None,
        lenient: bool = False,
    ) -> None:
        """The configuration is refused; lenient: unless permissive, because a reasonable reading exists."""
        severity = Severity.WARNING if lenient and self.permissive else Severity.ERROR
        self._add(severity, code, text, at, advice, note, lenient)

    @property
    def has_errors(self) -> bool:
        """True when the configuration can't be used."""
        return self._errors > 0

    @property
    def full(self) -> bool:
        """True when a new finding would only be counted; saves working out its text."""
        return len(self._kept) >= MOST_FINDINGS

    def merge(self, other: Findings) -> None:
        """Take over what another one collected."""
        self._kept.update(other._kept)
        self._errors += other._errors
        self.dropped += other.dropped

    def diagnostics(self, files: tuple[str, ...]) -> tuple[Diagnostic, ...]:
        """All findings by file, in the order given, then by line and column."""
        order = {file: index for index, file in enumerate(files)}

        def key(diagnostic: Diagnostic) -> tuple[int, int, int]:
            place = diagnostic.place
            return order.get(place.file, len(order)), place.line, place.column

        found = sorted((kept.diagnostic() for kept in self._kept.values()), key=key)
        if self.dropped:
            severity = Severity.ERROR if self._errors else Severity.WARNING
            text = f"{self.dropped} more findings are not shown"
            found.append(
                Diagnostic(
                    severity=severity, code="too-many", text=text, place=Place(files[0] if files else "", 0)
                )
            )
        return tuple(found)

    def _add(
        self, severity: Severity, code: str, text: str, at: At, advice: str, note: Note | None, lenient: bool
    ) -> None:
        if severity is Severity.ERROR:
            self._errors += 1
        key = at.file, code, text
        kept = self._kept.get(key)
        if kept is not None:
            kept.repeat(at)
        elif self.full:
            self.dropped += 1
        else:
            first = Diagnostic(
                severity=severity,
                code=code,
                text=text,
                place=at.place(),
                help=advice,
                note=note,
                lenient=lenient,
            )
            self._kept[key] = _Kept(first)


class _Kept:
    """A finding and its repetitions."""

    __slots__ = ("first", "last_line", "lines", "more")

    def __init__(self, first: Diagnostic) -> None:
        self.first = first
        self.last_line = first.place.line
        self.more = 0
        self.lines: list[int] = []

    def repeat(self, at: At) -> None:
        """Count the same finding on another line; the first line of the file is the one that is shown."""
        line = at.line
        if line in (self.first.place.line, self.last_line):
            return
        self.last_line = line
        self.more += 1
        if line < self.first.place.line:
            line = self.first.place.line
            self.first = replace(self.first, place=at.place())
        if len(self.lines) < MOST_LINES_NAMED:
            self.lines.append(line)

    def diagnostic(self) -> Diagnostic:
        """All of it."""
        return replace(self.first, more=self.more, more_lines=tuple(sorted(self.lines)))
