"""Conditions, definitions and repetition: text to text, before words are made of it (features 3.4 to 3.6).

One line becomes none, one or several. The order is keepalived's: condition, definition, repetition,
substitution, and from the beginning again until nothing changes.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping

_MOST_LINES = 100_000
_MOST_CHARACTERS = 65_536
_DEEPEST = 50
_RANDOM_RANGE = (0, 32_767)

_CONDITION = re.compile(r"@(\^?)(\S+)\s*(.*)", re.DOTALL)
_DEFINITION = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)=\s*(.*)", re.DOTALL)
_REPETITION = re.compile(r"~(SEQx?|LST)\(((?:[^(){}]|\{[^{}]*\})*)\)\s*(.*)", re.DOTALL)
_USE = re.compile(
    r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?:[ \t]+([^}]*))?\}|\$([A-Za-z_][A-Za-z0-9_]*)(?=[ \t,)]|$)", re.ASCII
)
_TUPLES = re.compile(r"\{([^{}]*)\}")


class LanguageError(ValueError):
    """The line can't be expanded; the text says why."""


def begins_definition(text: str) -> bool:
    """True for `$NAME=…`, also behind a condition."""
    condition = _CONDITION.match(text)
    return _DEFINITION.match(condition[3] if condition else text) is not None


def concerns(text: str) -> bool:
    """True when a line, without blanks around it, may have something to expand."""
    return text[:1] in ("@", "~") or "$" in text


class Language:
    """The definitions of a configuration, and the expansion of its lines."""

    def __init__(self, config_id: str) -> None:
        self._config_id = config_id
        self._definitions: dict[str, tuple[str, ...]] = {}
        """Lines by name; one line for an ordinary definition."""
        self._left = 0
        self._drawn = 0
        """How many random numbers there were."""

    def expand(self, lines: tuple[str, ...], directory: str) -> list[str]:
        """What stands for a line; more than one line only for a definition of several.

        The lines come without comments and without the backslashes at their ends. LanguageError when they
        can't be expanded.
        """
        self._left = _MOST_LINES
        return list(self._expand(lines[0], lines[1:], directory, 0))

    def _expand(self, text: str, more: tuple[str, ...], directory: str, depth: int) -> Iterator[str]:
        if depth > _DEEPEST:
            raise LanguageError("definitions use each other without end")
        while True:
            text = text.strip()
            if len(text) > _MOST_CHARACTERS:
                raise LanguageError(f"the expanded line has more than {_MOST_CHARACTERS:,} characters")
            condition = _CONDITION.match(text)
            if condition:
                if not condition[3]:
                    raise LanguageError("a condition needs something after it")
                if (condition[2] == self._config_id) is bool(condition[1]):
                    return
                text = condition[3]
                continue
            definition = _DEFINITION.match(text)
            if definition:
                self._define(definition[1], definition[2].strip(), more)
                return
            if text.startswith(("~SEQ", "~LST")):
                yield from self._repeat(text, directory, depth)
                return
            block = self._lines_at_end(text)
            if block:
                for line in block:
                    yield from self._expand(line, (), directory, depth + 1)
                return
            replaced = self._substitute(text, directory)
            if replaced == text:
                break
            text = replaced
            depth += 1
            if depth > _DEEPEST:
                raise LanguageError("definitions use each other without end")
        self._left -= 1
        if self._left < 0:
            raise LanguageError(f"the line expands to more than {_MOST_LINES:,} lines")
        yield text

    def _define(self, name: str, value: str, more: tuple[str, ...]) -> None:
        lines = (value, *more) if value or not more else more
        self._definitions[name] = lines

    def _lines_at_end(self, text: str) -> list[str]:
        """The lines for a definition of several that the text ends with, its beginning before the first."""
        for use in _USE.finditer(text):
            lines = self._definitions.get(use[1] or use[3], ())
            if len(lines) > 1 and use.end() == len(text):
                return [text[: use.start()] + lines[0], *lines[1:]]
        return []

    def _substitute(self, text: str, directory: str) -> str:
        def value(use: re.Match[str]) -> str:
            name = use[1] or use[3]
            if name.startswith("_"):
                return self._built_in(name, use, directory)
            lines = self._definitions.get(name, ())
            return lines[0] if len(lines) == 1 else use[0]

        return _USE.sub(value, text) if "$" in text else text

    def _built_in(self, name: str, use: re.Match[str], directory: str) -> str:
        if name == "_PWD":
            return os.path.abspath(directory)
        if name == "_INSTANCE":
            return self._config_id
        if name == "_ENV":
            return os.environ.get((use[2] or "").strip(), "")
        if name in ("_HASH", "_BANG"):
            character = "#" if name == "_HASH" else "!"
            quoted = use.string.count('"', 0, use.start()) % 2
            return character if quoted else f"\\{character}"
        if name == "_RANDOM":
            return str(self._random((use[2] or "").split()))
        return use[0]

    def _random(self, words: list[str]) -> int:
        """The same file gives the same number on the same node each time it is compiled: else every check,
        plan and reload would be another configuration. keepalived draws anew."""
        if len(words) > 2 or not all(word.isascii() and word.isdecimal() for word in words):
            raise LanguageError(f"`_RANDOM` takes at most two numbers from 0 on, not `{' '.join(words)}`")
        least, most = (*map(int, words), *_RANDOM_RANGE[len(words) :])
        if least > most:
            raise LanguageError(f"`_RANDOM` has no number from {least} to {most}")
        self._drawn += 1
        seed = f"{self._config_id}\0{self._drawn}".encode()
        return least + int.from_bytes(hashlib.sha256(seed).digest()) % (most - least + 1)

    def _repeat(self, text: str, directory: str, depth: int) -> Iterator[str]:
        repetition = _REPETITION.match(text)
        if not repetition:
            raise LanguageError("a repetition is `~SEQ(variable, start, step, end) TEXT` or `~LST(…) TEXT`")
        kind, arguments, body = repetition.groups()
        rounds = _list(arguments) if kind == "LST" else _sequence(arguments, hexadecimal=kind == "SEQx")
        for values in rounds:
            # A definition that the text uses may use the variable in its turn.
            hidden = {name: self._definitions.get(name) for name in values}
            self._definitions.update((name, (value,)) for name, value in values.items())
            yield from self._expand(_bind(body, values), (), directory, depth + 1)
            for name, lines in hidden.items():
                del self._definitions[name]
                if lines is not None:
                    self._definitions[name] = lines


def _bind(text: str, values: Mapping[str, str]) -> str:
    return _USE.sub(lambda use: values.get(use[1] or use[3], use[0]), text)


def _sequence(arguments: str, *, hexadecimal: bool) -> Iterator[dict[str, str]]:
    """VAR, END or VAR, START, END or VAR, START, STEP, END."""
    name, *rest = (word.strip() for word in arguments.split(","))
    numbers = [_number(word) for word in rest]
    if not name or not 1 <= len(numbers) <= 3:
        raise LanguageError("`~SEQ` takes a variable and one to three numbers")
    end = numbers[-1]
    start = numbers[0] if len(numbers) > 1 else -1 if end < 0 else 1
    step = numbers[1] if len(numbers) > 2 else -1 if end < start else 1
    if step == 0 or (end - start) * step < 0:
        raise LanguageError(f"`~SEQ` never gets from {start} to {end} in steps of {step}")
    if abs(end - start) // abs(step) >= _MOST_LINES:
        raise LanguageError(f"the line expands to more than {_MOST_LINES:,} lines")
    if hexadecimal and min(start, end) < 0:
        raise LanguageError("`~SEQx` takes no negative numbers")
    for number in range(start, end + (1 if step > 0 else -1), step):
        yield {name: f"{number:x}" if hexadecimal else str(number)}


def _number(word: str) -> int:
    try:
        return int(word, 8) if re.fullmatch(r"[+-]?0[0-7]+", word, re.ASCII) else int(word, 0)
    except ValueError:
        raise LanguageError(f"a number expected in `~SEQ`, not `{word}`") from None


def _list(arguments: str) -> Iterator[dict[str, str]]:
    """VAR, a, b, c or {VAR, VAR}, {a, b}, {c, d}; what is missing is empty."""
    if arguments.lstrip().startswith("{"):
        names, *rows = ([word.strip() for word in found.split(",")] for found in _TUPLES.findall(arguments))
    else:
        name, *items = (word.strip() for word in arguments.split(","))
        names, rows = [name], [[item] for item in items]
    if not all(names):
        raise LanguageError("`~LST` takes a variable and values")
    for row in rows:
        yield {name: row[index] if index < len(row) else "" for index, name in enumerate(names)}
