"""What checker wishes besides what every service may."""

from __future__ import annotations

from typing import NamedTuple

from keepbus.config.model import Check


class StartProbe(NamedTuple):
    """Probe the target once; ends with ProbeEnded, unless AbortProbe comes first."""

    probe: int
    """Never used twice by a process."""
    check: Check
    url: int
    """Index into check.urls; 0 for checks without."""


class AbortProbe(NamedTuple):
    """Close the probe's descriptor; no event follows."""

    probe: int


class ForgetCheck(NamedTuple):
    """The check is no longer configured: drop what was prepared for it."""

    check: str
