"""Kinds of argument that only tracking has: words to values, as in keepbus.config.values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from keepbus.config.check_values import file_weight
from keepbus.config.model.tracking import ParamMatch
from keepbus.config.values import Invalid

_MATCHES = {"initial": ParamMatch.INITIAL, "partial": ParamMatch.PARTIAL}


class TrackLine(NamedTuple):
    """A line of a `track_…` block."""

    name: str
    weight: int | None
    """None where the line doesn't say: the tracker's own."""
    reverse: bool | None


def track(words: Sequence[str], parameters: str) -> TrackLine:
    """NAME, then `weight` and a number within the limits, then `reverse` or `noreverse`."""
    if len(words) == 1:
        return TrackLine(words[0], None, None)
    if words[1] != "weight":
        raise Invalid(f"`weight` expected after the name, not `{words[1]}`", 1)
    if len(words) == 2:
        raise Invalid("`weight` needs a number", 1)
    try:
        given = file_weight(words[2:], parameters)
    except Invalid as error:
        raise Invalid(str(error), error.index + 2) from None
    return TrackLine(words[0], given.weight, given.reverse)


def param_match(words: Sequence[str], parameters: str) -> ParamMatch:
    """`initial`, `partial` or nothing."""
    if not words:
        return ParamMatch.EXACT
    if words[0] not in _MATCHES:
        raise Invalid(f"one of {', '.join(_MATCHES)} expected, not `{words[0]}`")
    return _MATCHES[words[0]]
