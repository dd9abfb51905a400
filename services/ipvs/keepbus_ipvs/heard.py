"""What a check said, as far as it decides anything. Pure.

Law of this file: a verdict that is told again with nothing but newer numbers is the same one. Of tens of
thousands of checks this much is kept, and no more.
"""

from __future__ import annotations

from typing import NamedTuple

from keepbus.contracts.checker import CheckVerdict, Verdict


class Heard(NamedTuple):
    """The last verdict of one check."""

    verdict: Verdict
    since_ns: int
    """Wall clock of its last change."""
    reason: str
    """The evidence, in a sentence."""
    weight: int | None = None
    """What takes the place of the configured one; None: nothing does."""
    weight_added: int = 0


def heard(told: CheckVerdict) -> Heard:
    """What is kept of a message."""
    reason = f"{told.kind} {told.target} is {told.verdict}"
    if told.evidence is not None:
        reason = f"{reason}: {told.evidence.sent}: {told.evidence.received}"
    return Heard(told.verdict, told.since_ns, reason, told.weight, told.weight_added)
