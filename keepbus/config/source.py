"""Reading a configuration file: the only I/O of the compiler, and its limits.

Nothing that is not a plain text file of reasonable size is read: the size is asked before the first octet,
and a FIFO or a device never blocks.
"""

from __future__ import annotations

import difflib
import os
import re
import stat
from pathlib import Path

from keepbus.config.diagnostics import Findings, Place
from keepbus.config.lexer import COMMENT_IN_WORD, Kind, Token, scan

MOST_OCTETS = 64 << 20
"""Of one file, and of all files of a configuration together."""
MOST_FILES = 10_000
MOST_STATEMENTS = 1_500_000
"""Lines and braces of one file; twice what 37,000 real servers with an HTTP check each take."""
LONGEST_LINE = 65_536
_EXCERPT_WIDTH = 160

_SECRET = re.compile(r"[a-z_]*(?:pass(?!ive)|secret)[a-z_]*|key", re.ASCII)
"""Keywords whose arguments are never shown."""
_SECRET_DEFINITION = re.compile(r"(?i).*\$\w*(?:pass|pw|secret|key)\w*\s*=", re.ASCII)


class Source:
    """The lines of one file."""

    __slots__ = ("lines", "name", "octets")

    def __init__(self, name: str, lines: list[str], octets: int) -> None:
        self.name = name
        """The path as it was given; relative includes begin at its directory."""
        self.lines = lines
        self.octets = octets

    def text_of(self, line: int) -> str:
        """The text that a line's tokens come from."""
        return self.lines[line - 1]

    def place(self, line: int, start: int, end: int) -> Place:
        """The place of characters start to end (from 0, end excluded) of a line (from 1)."""
        text = self.lines[line - 1]
        clip = max(0, min(start - _EXCERPT_WIDTH // 2, len(text) - _EXCERPT_WIDTH))
        excerpt = masked(text)[clip : clip + _EXCERPT_WIDTH]
        return Place(self.name, line, start + 1, max(1, end - start), excerpt, start - clip + 1)


class Expanded(Source):
    """One line of what a line with definitions or repetition stands for; findings show the line itself."""

    __slots__ = ("_text",)

    def __init__(self, source: Source, text: str) -> None:
        super().__init__(source.name, source.lines, 0)
        self._text = text

    def text_of(self, line: int) -> str:
        """The expanded text."""
        return self._text

    def place(self, line: int, start: int, end: int) -> Place:
        """The whole line as it was written: its columns are not those of the expanded text."""
        text = self.lines[line - 1]
        return super().place(line, len(text) - len(text.lstrip()), len(text.rstrip()))


class At:
    """A stretch of a line, for findings."""

    __slots__ = ("end", "line", "source", "start")

    def __init__(self, source: Source, line: int, start: int, end: int) -> None:
        self.source = source
        self.line = line
        self.start = start
        self.end = end

    @property
    def file(self) -> str:
        """As findings show it."""
        return self.source.name

    def place(self) -> Place:
        """The place."""
        return self.source.place(self.line, self.start, self.end)


class WholeFile:
    """A file as a whole, for findings."""

    __slots__ = ("file", "line")

    def __init__(self, file: str) -> None:
        self.file = file
        self.line = 0

    def place(self) -> Place:
        """The place."""
        return Place(self.file, 0)


def masked(text: str) -> str:
    """The line with the arguments of every secret keyword replaced by asterisks of the same length."""
    if definition := _SECRET_DEFINITION.match(text):
        return text[: definition.end()] + "*" * (len(text) - definition.end())
    hidden: list[tuple[int, int]] = []
    tokens, flaws = scan(text)
    secret = False
    previous: Token | None = None
    for token in tokens:
        begins = previous is None or previous.kind is not Kind.WORD
        if token.kind is not Kind.WORD:
            # A brace within a password ends the word for the lexer, not for its owner.
            secret = secret and previous is not None and previous.end == token.start
        elif secret and not token.text.startswith("//"):
            hidden.append((token.start, token.end))
        else:
            secret = _is_secret(token.text, begins)
        previous = token
    for flaw in flaws:
        if flaw.code == COMMENT_IN_WORD and hidden and hidden[-1][1] == flaw.start:
            hidden.append((flaw.start, len(text)))
    for start, end in hidden:
        text = text[:start] + "*" * (end - start) + text[end:]
    return text


def _is_secret(word: str, first: bool) -> bool:
    if _SECRET.fullmatch(word):
        return True
    # A misspelt auth_pass or key has a secret behind it all the same.
    return first and any(
        difflib.get_close_matches(word, (known,), cutoff=cutoff)
        for known, cutoff in (("auth_pass", 0.7), ("key", 0.65))
    )


class Reader:
    """Reads the files of one configuration and keeps count."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._octets = 0
        self._sources: dict[Path, Source | None] = {}
        self.names: list[str] = []
        """Files read, in order."""

    def read(self, path: Path, name: str) -> Source | None:
        """The file, or None and an error that says why not. No file is read twice."""
        if path not in self._sources:
            self._sources[path] = self._read(path, name)
        return self._sources[path]

    def _read(self, path: Path, name: str) -> Source | None:
        at = WholeFile(name)
        data = self._octets_of(path, name, at)
        if data is None:
            return None
        self.names.append(name)
        if b"\0" in data:
            line = data.count(b"\n", 0, data.index(b"\0")) + 1
            self._findings.error("not-text", f"{name} is not a text file: line {line} holds a NUL octet", at)
            return None
        if sum(map(data.count, (b"\n", b"{", b"}"))) > MOST_STATEMENTS:
            self._findings.error(
                "too-large", f"{name} has more than {MOST_STATEMENTS:,} lines and braces", at
            )
            return None
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
            self._findings.error(
                "not-utf-8",
                f"{name} is not UTF-8: octet 0x{data[error.start]:02x} at line {line}, octet {column}",
                at,
                advice="convert it, for example with `iconv -f LATIN1 -t UTF-8`",
                lenient=True,
            )
            text = data.decode("utf-8", errors="replace")
        text = text.removeprefix("\ufeff")
        lines = text.split("\n")
        longest = max(range(len(lines)), key=lambda index: len(lines[index]))
        if len(lines[longest]) > LONGEST_LINE:
            self._findings.error(
                "too-large",
                f"line {longest + 1} of {name} has {len(lines[longest]):,} characters",
                at,
                advice="keepalived takes 1023",
            )
            return None
        return Source(name, lines, len(data))

    def _octets_of(self, path: Path, name: str, at: WholeFile) -> bytes | None:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            self._findings.error("unreadable", f"this file cannot be read: {reason}", at)
            return None
        try:
            data = self._content(descriptor, name, at)
        except OSError as error:
            self._findings.error("unreadable", f"this file cannot be read: {error.strerror}", at)
            return None
        finally:
            os.close(descriptor)
        self._octets += len(data or b"")
        return data

    def _content(self, descriptor: int, name: str, at: WholeFile) -> bytes | None:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            self._findings.error("unreadable", "this is a directory; name a configuration file", at)
            return None
        if not stat.S_ISREG(status.st_mode):
            self._findings.error("unreadable", "this is not a regular file", at)
            return None
        limit = MOST_OCTETS - self._octets
        if status.st_size > limit or len(self.names) >= MOST_FILES:
            self._findings.error(
                "too-large",
                f"{name} has {status.st_size:,} octets; a configuration may have "
                f"{MOST_OCTETS:,} in at most {MOST_FILES:,} files",
                at,
            )
            return None
        with open(descriptor, "rb", closefd=False) as file:
            # One more than allowed: the file may grow while it is read.
            data = file.read(limit + 1)
        if len(data) > limit:
            self._findings.error("too-large", f"{name} grew beyond {MOST_OCTETS:,} octets", at)
            return None
        return data
