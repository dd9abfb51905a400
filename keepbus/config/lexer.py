"""One line to tokens, with no knowledge of keywords (features 3.1, 3.2).

Words are separated by white space; `{` and `}` outside quotes stand alone; `#` and `!` outside quotes begin
a comment unless a backslash comes before. A double quote begins a word that lasts to the next one not
preceded by a backslash; what stands in it is kept raw, because only some keywords process escapes.
"""

from __future__ import annotations

import enum
import re
from typing import NamedTuple


class Kind(enum.Enum):
    """Kinds of token."""

    WORD = enum.auto()
    OPEN = enum.auto()
    CLOSE = enum.auto()


class Token(NamedTuple):
    """A token; start and end are characters of the line from 0, end excluded, quotes included."""

    kind: Kind
    text: str
    start: int
    end: int


class Flaw(NamedTuple):
    """Something odd that the lexer saw."""

    code: str
    start: int
    end: int


class Scan(NamedTuple):
    """A line's tokens and flaws."""

    tokens: list[Token]
    flaws: list[Flaw]


UNMATCHED_QUOTE = "unmatched-quote"
COMMENT_IN_WORD = "comment-in-word"
WHITE_SPACE = "white-space"

_PLAIN_SPACE = re.compile(r"[ \t\r]*")
_ODD_SPACE = re.compile(r"[^\S \t\r]+")
_TOKEN = re.compile(
    r"""
      (?P<space>   \s+ )
    | (?P<open>    \{ )
    | (?P<close>   \} )
    | "(?P<quoted> (?: [^"\\] | \\. )* )"
    | "(?P<plain>  [^"]* )"
    | "(?P<rest>   .* )
    | (?P<comment> [#!].* )
    | (?P<word>    (?: \\[#!] | [^\s"{}#!] )+ )
    """,
    re.VERBOSE,
)
_ESCAPED = re.compile(r"\\([#!])")


def without_comment(line: str) -> str:
    """The line up to its comment."""
    for match in _TOKEN.finditer(line):
        if match.lastgroup == "comment":
            return line[: match.start()]
    return line


def scan(line: str) -> Scan:
    """Tokens and flaws of a line."""
    tokens: list[Token] = []
    flaws: list[Flaw] = []
    for match in _TOKEN.finditer(line):
        group = match.lastgroup
        start, end = match.span()
        text = match[0]
        if group == "space":
            if not _PLAIN_SPACE.fullmatch(text):
                odd = _ODD_SPACE.search(line, start, end)
                if odd is not None:
                    flaws.append(Flaw(WHITE_SPACE, *odd.span()))
        elif group == "open":
            tokens.append(Token(Kind.OPEN, text, start, end))
        elif group == "close":
            tokens.append(Token(Kind.CLOSE, text, start, end))
        elif group == "word":
            if "\\" in text:
                text = _ESCAPED.sub(r"\1", text)
            tokens.append(Token(Kind.WORD, text, start, end))
        elif group == "comment":
            if tokens and tokens[-1].kind is Kind.WORD and tokens[-1].end == start:
                flaws.append(Flaw(COMMENT_IN_WORD, start, start + 1))
        else:
            if group == "rest":
                flaws.append(Flaw(UNMATCHED_QUOTE, start, start + 1))
            tokens.append(Token(Kind.WORD, match[str(group)], start, end))
    return Scan(tokens, flaws)
