"""`include` and its five variants: which files, and what is an error (features 3.7)."""

from __future__ import annotations

import glob
import os
import re
import stat
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from keepbus.config.diagnostics import Findings

if TYPE_CHECKING:
    from keepbus.config.syntax import Statement


class Checks(NamedTuple):
    """What a variant treats as an error instead of passing over it with a warning."""

    readable: bool
    name: bool
    wildcard: bool
    brace: bool


OPTIONS = {
    "readable": "readable",
    "read": "readable",
    "match": "name",
    "wildcard_match": "wildcard",
    "brace_match": "brace",
}
"""Words of `include_check`; the manual has the first where keepalived's code has the second."""
CHECKS = {
    "include": Checks(False, False, False, False),
    "includer": Checks(True, False, False, False),
    "includem": Checks(True, True, False, False),
    "includew": Checks(True, True, True, False),
    "includeb": Checks(True, False, False, True),
    "includea": Checks(True, True, True, True),
}

_MOST_NAMES = 10_000
_BRACES = re.compile(r"\{([^{}]*)\}")
_WILDCARD = re.compile(r"[*?\[]")


def adjusted(checks: Checks, words: Sequence[str]) -> Checks:
    """What plain `include` treats as an error after `include_check` with these words; without any: all of it.
    `+` before words adds to what was, `-` takes from it. Unknown words are left out."""
    if not words:
        return CHECKS["includea"]
    if words[0][0] not in "+-":
        checks = CHECKS["include"]
    for word in words:
        field = OPTIONS.get(word.lstrip("+-"))
        if field is not None:
            checks = checks._replace(**{field: not word.startswith("-")})
    return checks


def resolve(statement: Statement, findings: Findings, plain: Checks) -> Iterator[tuple[Path, str]]:
    """The files that an include statement names, in glob order: resolved path, and name for findings. plain:
    what `include` treats as an error here."""
    checks = plain if statement.keyword == "include" else CHECKS[statement.keyword]
    if len(statement.words) < 2:
        findings.error("missing-argument", f"`{statement.keyword}` needs a file name", statement.at())
        return
    directory = os.path.dirname(statement.source.name)
    members = expand(statement.words[1])
    for member in members:
        wildcard = _WILDCARD.search(member) is not None
        found = sorted(glob.glob(member, root_dir=directory or None)) if wildcard else [member]
        names = [name for entry in found if os.path.lexists(name := os.path.join(directory, entry))]
        if not names:
            fatal = checks.wildcard if wildcard else checks.name
            if len(members) > 1:
                fatal = checks.brace
            _complain(findings, statement, f"no file matches `{member}`", fatal)
        for name in names[:_MOST_NAMES]:
            path = Path(name)
            reason = _unusable(path)
            if reason:
                _complain(findings, statement, f"{name} {reason} and is skipped", checks.readable)
            else:
                yield path.resolve(), name


def expand(pattern: str) -> list[str]:
    """The pattern with `{a,b}` written out, leftmost innermost first; at most 10,000 names."""
    done: list[str] = []
    waiting = [pattern]
    while waiting and len(done) + len(waiting) < _MOST_NAMES:
        text = waiting.pop()
        brace = _BRACES.search(text)
        if brace is None:
            done.append(text)
            continue
        for member in reversed(brace[1].split(",")):
            waiting.append(text[: brace.start()] + member + text[brace.end() :])
    return done


def character_name(character: str) -> str:
    """`U+00A0 NO-BREAK SPACE`."""
    name = unicodedata.name(character, "")
    return f"U+{ord(character):04X} {name}".strip()


def _unusable(path: Path) -> str:
    try:
        status = path.stat()
    except OSError as error:
        return f"can't be read ({error.strerror})"
    if not stat.S_ISREG(status.st_mode):
        return "is not a regular file"
    if status.st_mode & 0o111:
        return "is executable"
    return ""


def _complain(findings: Findings, statement: Statement, text: str, fatal: bool) -> None:
    if fatal:
        findings.error("include", text, statement.at(1), lenient=True)
    else:
        findings.warning("include", text, statement.at(1))
