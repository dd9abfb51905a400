"""Findings of the compiler for people and for programs."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any

from keepbus.cli.terminal import Paint, plural
from keepbus.config.compiler import Compiled
from keepbus.config.diagnostics import Diagnostic, Place, Severity

_COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow"}
_TAB = "    "
_LINES_SHOWN = 8


def render(compiled: Compiled, paint: Paint) -> Iterator[str]:
    """The lines that show every finding, and the summary."""
    for diagnostic in compiled.diagnostics:
        yield from _finding(diagnostic, paint)
    yield summary(compiled, paint)


def summary(compiled: Compiled, paint: Paint) -> str:
    """What was found in the file, and how much is wrong with it, in one line."""
    errors, warnings = compiled.errors, compiled.warnings
    trouble = [
        paint(plural(len(found), noun), "bold", colour)
        for found, noun, colour in ((errors, "error", "red"), (warnings, "warning", "yellow"))
        if found
    ]
    verdict = " and ".join(trouble) or paint("nothing to complain of", "green")
    configuration = compiled.configuration
    if configuration is None:
        way_out = (
            "; --permissive would turn every error into a warning"
            if all(error.lenient for error in errors)
            else ""
        )
        return f"{verdict}; the file can't be used{way_out}"
    found = ", ".join(
        (
            plural(len(configuration.vrrp.instances), "VRRP instance"),
            plural(len(configuration.ipvs.virtual_servers), "virtual server"),
            plural(len(configuration.checker.checks), "distinct check"),
        )
    )
    return f"{found}; {verdict}"


def as_json(diagnostics: Iterable[Diagnostic]) -> str:
    """The findings as a JSON list of objects."""
    return json.dumps([_object(diagnostic) for diagnostic in diagnostics], ensure_ascii=False, indent=2)


def _object(diagnostic: Diagnostic) -> dict[str, Any]:
    result: dict[str, Any] = {
        **_place_object(diagnostic.place),
        "severity": str(diagnostic.severity),
        "code": diagnostic.code,
        "text": diagnostic.text,
        "help": diagnostic.help,
        "lenient": diagnostic.lenient,
        "more": diagnostic.more,
        "more_lines": list(diagnostic.more_lines),
        "note": None,
    }
    if diagnostic.note is not None:
        result["note"] = {**_place_object(diagnostic.note.place), "text": diagnostic.note.text}
    return result


def _place_object(place: Place) -> dict[str, Any]:
    return {
        "file": place.file,
        "line": place.line,
        "column": place.column,
        "length": place.length,
        "excerpt": place.excerpt,
    }


def _finding(diagnostic: Diagnostic, paint: Paint) -> Iterator[str]:
    place, colour = diagnostic.place, _COLOURS[diagnostic.severity]
    title = f"{paint(f'{diagnostic.severity}:', 'bold', colour)} {paint(_safe(diagnostic.text), 'bold')}"
    yield f"{paint(_position(place), 'bold')}{title} {paint(f'[{diagnostic.code}]', 'dim')}"
    yield from _excerpt(place, paint, colour)
    gutter = " " * max(4, len(str(place.line)))
    if diagnostic.more:
        yield f"{gutter} = and {_more(diagnostic)}"
    if diagnostic.help:
        yield f"{gutter} = {paint('help:', 'bold', 'green')} {_safe(diagnostic.help)}"
    note = diagnostic.note
    if note is not None:
        yield f"{paint(_position(note.place), 'bold')}{paint('note:', 'bold', 'cyan')} {_safe(note.text)}"
        yield from _excerpt(note.place, paint, "cyan")


def _position(place: Place) -> str:
    if not place.line:
        return f"{_safe(place.file)}: "
    return f"{_safe(place.file)}:{place.line}:{place.column}: "


def _more(diagnostic: Diagnostic) -> str:
    lines = diagnostic.more_lines[:_LINES_SHOWN]
    named = ", ".join(map(str, lines))
    if diagnostic.more == 1:
        return f"1 more line: {named}"
    more = ", …" if diagnostic.more > len(lines) else ""
    return f"{diagnostic.more} more lines: {named}{more}"


def _excerpt(place: Place, paint: Paint, colour: str) -> Iterator[str]:
    if not place.line:
        return
    width = max(4, len(str(place.line)))
    gutter = paint(f"{place.line:>{width}} |", "dim")
    yield f"{gutter} {''.join(map(_shown, place.excerpt)).rstrip()}"
    start = place.excerpt_column - 1
    before = sum(map(_width, place.excerpt[:start]))
    under = sum(map(_width, place.excerpt[start : start + place.length])) or 1
    yield f"{paint(f'{chr(32):>{width}} |', 'dim')} {' ' * before}{paint('^' * under, 'bold', colour)}"


def _shown(character: str) -> str:
    """What a terminal may be given for a character of the file."""
    if character == "\t":
        return _TAB
    if character.isprintable():
        return character
    # White space that is not plain is shown, because it is what the finding is about.
    return "␣" if character.isspace() else "�"


def _width(character: str) -> int:
    """Columns that `_shown` takes on a terminal."""
    if character == "\t":
        return len(_TAB)
    if not character.isprintable():
        return 1
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _safe(text: str) -> str:
    return "".join(character if character.isprintable() else "�" for character in text)
