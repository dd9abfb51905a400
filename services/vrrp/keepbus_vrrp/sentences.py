"""Words for operators."""

from __future__ import annotations


def seconds(duration_us: int) -> str:
    """A duration with the resolution that tells something: `3.609 s`, `0.037 s`."""
    return f"{duration_us / 1_000_000:.3f} s"
