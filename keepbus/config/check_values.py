"""Kinds of argument that only checkers have: words to values, as in keepbus.config.values."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import NamedTuple

from keepbus.config import include
from keepbus.config.pcre2 import OPTIONS
from keepbus.config.values import Invalid, integer, split_command, unescaped

_HEX = re.compile(r"[0-9A-Fa-f]+", re.ASCII)
_PATTERN = re.compile(r"[0-9A-Fa-fXx]+", re.ASCII)
_LONGEST_NAME, _LONGEST_LABEL = 253, 63
_MOST_PAYLOAD_OCTETS = 1024
_WEIGHTS = "-2147483647..2147483647"
_VALUES = "-2147483648..2147483647"


class FileWeight(NamedTuple):
    """`weight` of a track_file and of FILE_CHECK."""

    weight: int
    reverse: bool | None
    """None where the line doesn't say."""


class InitFile(NamedTuple):
    """`init_file`."""

    value: int
    overwrite: bool


def path(words: Sequence[str], parameters: str) -> str:
    """An absolute path."""
    if not words[0].startswith("/"):
        raise Invalid(f"a path that begins with `/` expected, not `{words[0]}`")
    return words[0]


def fifo(words: Sequence[str], parameters: str) -> tuple[str, str, str]:
    """An absolute path, then USER and GROUP."""
    user = words[1] if len(words) > 1 else ""
    group = words[2].removeprefix(":") if len(words) > 2 else ""
    return path(words[:1], ""), user, group


def command(words: Sequence[str], parameters: str) -> tuple[str, ...]:
    """A command with its arguments in one quoted word."""
    argv = split_command(words[0])
    if not argv:
        raise Invalid("a command expected")
    return argv


def regex(words: Sequence[str], parameters: str) -> str:
    """A pattern in one quoted word, in which a backslash must be written twice (features 3.2)."""
    return unescaped(words[0])


def regex_options(words: Sequence[str], parameters: str) -> tuple[str, ...]:
    """PCRE2's compile options, by keepalived's words."""
    for index, word in enumerate(words):
        if word not in OPTIONS:
            similar = difflib.get_close_matches(word, OPTIONS, n=1)
            meant = f"did you mean `{similar[0]}`?" if similar else f"there are {', '.join(OPTIONS)}"
            raise Invalid(f"`{word}` is no option of a regex; {meant}", index)
    return tuple(sorted(set(words)))


def hexadecimal(words: Sequence[str], parameters: str) -> str:
    """Groups of digits to two digits per octet; a group's odd last digit is an octet of its own."""
    return _octets(words, _HEX, "hexadecimal digits expected")


def pattern(words: Sequence[str], parameters: str) -> str:
    """The same with `x` for any digit; nothing is a pattern, too."""
    return _octets(words, _PATTERN, "hexadecimal digits or `x` expected")


def dns_name(words: Sequence[str], parameters: str) -> str:
    """A domain name; `.` is the root."""
    name = words[0]
    labels = name.removesuffix(".").split(".") if name != "." else []
    if not name.isascii() or not name.isprintable():
        raise Invalid(f"`{name}` has characters that are not ASCII; write its form for DNS (`xn--…`)")
    if any(not 0 < len(label) <= _LONGEST_LABEL for label in labels):
        raise Invalid(f"`{name}` has an empty part, or one of more than {_LONGEST_LABEL} characters")
    if len(name.removesuffix(".")) > _LONGEST_NAME:
        raise Invalid(f"`{name}` is longer than {_LONGEST_NAME} characters")
    return name


def upper_of(words: Sequence[str], parameters: str) -> str:
    """One of the words in the parameters, in any case."""
    allowed = parameters.split()
    if words[0].upper() not in allowed:
        raise Invalid(f"one of {', '.join(allowed)} expected, not `{words[0]}`")
    return words[0].upper()


def file_weight(words: Sequence[str], parameters: str) -> FileWeight:
    """A number within the limits, then `reverse` or `noreverse`."""
    weight = integer(words[:1], parameters or _WEIGHTS)
    if len(words) == 1:
        return FileWeight(weight, None)
    if words[1] not in ("reverse", "noreverse"):
        raise Invalid(f"`reverse` or `noreverse` expected, not `{words[1]}`", 1)
    return FileWeight(weight, words[1] == "reverse")


def init_file(words: Sequence[str], parameters: str) -> InitFile:
    """A number and `overwrite`, in any order, each may be missing."""
    value = 0
    numbers = [index for index, word in enumerate(words) if word != "overwrite"]
    if len(numbers) > 1 or len(words) - len(numbers) > 1:
        raise Invalid("a number and `overwrite` expected, each at most once", 1)
    for index in numbers:
        try:
            value = integer(words[index : index + 1], _VALUES)
        except Invalid as error:
            raise Invalid(str(error), index) from None

    return InitFile(value, overwrite=len(words) > len(numbers))


def _octets(words: Sequence[str], allowed: re.Pattern[str], expected: str) -> str:
    digits: list[str] = []
    for index, word in enumerate(words):
        if not allowed.fullmatch(word):
            raise Invalid(f"{expected}, not `{word}`", index)
        digits.append(word if len(word) % 2 == 0 else f"{word[:-1]}0{word[-1]}")
    octets = "".join(digits).lower()
    if len(octets) > 2 * _MOST_PAYLOAD_OCTETS:
        raise Invalid(f"more than {_MOST_PAYLOAD_OCTETS} octets")
    return octets


def include_check(words: Sequence[str], parameters: str) -> bool:
    """`[[+|-]OPTION ...]`; it has been obeyed when the file was read."""
    for index, word in enumerate(words):
        if word.lstrip("+-") not in include.OPTIONS:
            raise Invalid(f"`{word}` is none of {', '.join(include.OPTIONS)}", index)
    return True
