"""`regex` of a url: looked for in the body of an answer.

Law of this file: no more of a body is kept than its limit, and a match has a limit of steps, so that no
server can make checker grow or hold it up. A match that was given up is a failure with its reason, also
with regex_no_match: nobody knows what the body says.
"""

from __future__ import annotations

from functools import lru_cache

from keepbus.config.model.checker import Regex
from keepbus.config.pcre2 import MOST_STEPS, Pattern

MOST_OCTETS = 512 * 1024


class Search:
    """One answer's search."""

    __slots__ = ("_body", "_regex")

    def __init__(self, regex: Regex) -> None:
        self._regex = regex
        self._body = bytearray()

    def feed(self, octets: memoryview | bytes) -> None:
        """More of the body; what is beyond the limit is not searched."""
        self._body += octets[: MOST_OCTETS - len(self._body)]

    def end(self) -> tuple[bool, str]:
        """Whether the body is as wanted, and what was found."""
        regex = self._regex
        found = _pattern(regex.pattern, regex.options).search(bytes(self._body), regex.min_offset)
        if found.given_up:
            return False, f"regex given up after {MOST_STEPS} steps"
        matches = found.at >= 0 and (regex.max_offset is None or found.at <= regex.max_offset)
        if matches:
            words = f"regex matches at {found.at}"
        elif found.at >= 0:
            words = f"regex matches at {found.at} first"
        else:
            words = "regex does not match"
        return matches is not regex.no_match, words


@lru_cache(maxsize=4096)
def _pattern(pattern: str, options: tuple[str, ...]) -> Pattern:
    return Pattern(pattern, options)
