"""Writing for people: colour where it is wanted, text that fits, times and ages in words.

What comes from the bus or a file is never written to a terminal as it is: `clean` takes away what a terminal
would obey.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
import time
from collections.abc import Iterable
from typing import TextIO

_NS = 1_000_000_000
_DAY_S = 86_400
_STYLES = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
}
_ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


class Paint:
    """Colours, or none."""

    def __init__(self, enabled: bool) -> None:
        self.enabled = enabled

    def __call__(self, text: str, *styles: str) -> str:
        """The text in these styles (`bold`, `red`, …)."""
        if not self.enabled or not text or not styles:
            return text
        return f"\x1b[{';'.join(_STYLES[style] for style in styles)}m{text}\x1b[0m"


def colour_wanted(stream: TextIO) -> bool:
    """True on a terminal that has colours, unless NO_COLOR is set (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def columns(stream: TextIO = sys.stdout) -> int | None:
    """Width of the terminal; None where the output is not one, and lines may be as long as they like."""
    if not stream.isatty():
        return None
    return max(20, shutil.get_terminal_size((80, 24)).columns)


def clean(text: str) -> str:
    """The text with everything that is not printable as \\x1b and the like."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def visible(text: str) -> int:
    """Columns that the text takes, colours not counted."""
    return len(_ESCAPE.sub("", text))


def cut(text: str, width: int | None) -> str:
    """The text in at most `width` columns, an ellipsis at its end where it was longer. Colours survive."""
    if width is None or visible(text) <= width:
        return text
    kept: list[str] = []
    room = width - 1
    at = 0
    while room > 0 and at < len(text):
        escape = _ESCAPE.match(text, at)
        if escape:
            kept.append(escape.group())
            at = escape.end()
        else:
            kept.append(text[at])
            at += 1
            room -= 1
    end = "\x1b[0m" if _ESCAPE.search(text) else ""
    return f"{''.join(kept)}…{end}"


def pad(text: str, width: int) -> str:
    """The text and spaces up to `width` columns."""
    return text + " " * (width - visible(text))


def table(rows: Iterable[Iterable[str]], *, indent: int = 2, gap: int = 2) -> list[str]:
    """Rows as lines with aligned columns; the last column is not padded."""
    cells = [list(row) for row in rows]
    count = max(map(len, cells), default=0)
    widths = [max((visible(row[i]) for row in cells if i < len(row)), default=0) for i in range(count)]
    return [
        " " * indent
        + (" " * gap)
        .join(cell if i == len(row) - 1 else pad(cell, widths[i]) for i, cell in enumerate(row))
        .rstrip()
        for row in cells
    ]


def wrap(text: str, width: int | None, *, first: str = "", rest: str = "") -> list[str]:
    """Uncoloured text as lines of at most `width` columns, with these beginnings."""
    if width is None:
        return [first + text]
    return textwrap.wrap(text, width, initial_indent=first, subsequent_indent=rest) or [first.rstrip()]


def duration(duration_ns: int) -> str:
    """A duration in words: 0.4 ms, 250 ms, 3.2 s, 2 min 5 s, 4 h 10 min, 3 d 2 h."""
    seconds = abs(duration_ns) / _NS
    sign = "-" if duration_ns < 0 else ""
    if seconds < 0.01:
        return f"{sign}{seconds * 1000:.1f} ms"
    if seconds < 1:
        return f"{sign}{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{sign}{seconds:.1f} s"
    whole = int(seconds)
    if whole < 60:
        return f"{sign}{whole} s"
    if whole < 3600:
        return f"{sign}{whole // 60} min {whole % 60} s"
    if whole < _DAY_S:
        return f"{sign}{whole // 3600} h {whole % 3600 // 60} min"
    return f"{sign}{whole // _DAY_S} d {whole % _DAY_S // 3600} h"


def clock(wall_ns: int, now_ns: int) -> str:
    """A moment in local time, with its date when that is not today's."""
    then, today = time.localtime(wall_ns // _NS), time.localtime(now_ns // _NS)
    text = f"{time.strftime('%H:%M:%S', then)}.{wall_ns % _NS // 1_000_000:03d}"
    return text if then[:3] == today[:3] else f"{time.strftime('%Y-%m-%d', then)} {text}"


def plural(count: int, noun: str, nouns: str = "") -> str:
    """`1 message`, `2 messages`; nouns where an s does not do."""
    return f"{count} {noun if count == 1 else nouns or noun + 's'}"
