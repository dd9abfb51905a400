"""What an instance has counted, as `keepbus status` shows it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from keepbus.cli.terminal import Paint, clean, duration
from keepbus.contracts import vrrp

_US = 1000


def adverts(counted: vrrp.Statistics, *, verbose: bool) -> Iterator[str]:
    """Lines about adverts, transitions, errors and lateness; zeros only with verbose."""
    numbers = (
        ("sent", counted.adverts_sent),
        ("received", counted.adverts_received),
        ("resignations sent", counted.priority_zero_sent),
        ("resignations received", counted.priority_zero_received),
    )
    shown = [f"{number} {what}" for what, number in numbers if number or verbose]
    became = counted.became_master
    if became or verbose:
        shown.append(f"master {became} time{'s' * (became != 1)}, released {counted.released_master}")
    if shown:
        yield f"adverts: {', '.join(shown)}"
    if counted.clock_skews_us:
        skews = (
            f"{clean(sender)} {_skew(skew_us)}" for sender, skew_us in sorted(counted.clock_skews_us.items())
        )
        yield f"clocks of senders: {', '.join(skews)}"
    lateness = _lateness(counted)
    if lateness:
        yield lateness


def errors(counted: vrrp.Statistics, paint: Paint, *, verbose: bool) -> Iterator[str]:
    """The packets that were refused or odd, by reason."""
    found = [f"{clean(reason)} {count}" for reason, count in sorted(counted.dropped.items()) if count]
    if found:
        yield paint(f"refused or odd: {', '.join(found)}", "yellow")
    elif verbose:
        yield "refused or odd: none"


def _skew(skew_us: int) -> str:
    return f"{lateness(abs(skew_us))} {'ahead' if skew_us > 0 else 'behind'}"


def _lateness(counted: vrrp.Statistics) -> str:
    counts = counted.lateness_us_counts
    if not sum(counts):
        return ""
    most_us = counted.lateness_us_max
    half, most = (quantile_us(counts, part, most_us) for part in (0.5, 0.99))
    words = (("p50", half), ("p99", most), ("max", most_us))
    return "timers late: " + ", ".join(f"{name} {lateness(value)}" for name, value in words)


def quantile_us(counts: Sequence[int], part: float, most_us: int) -> float:
    """The lateness that this part of them stays within, interpolated in its bucket and never above most_us.

    counts is that of the contract: the bucket k holds what is below 2 ** k and not below 2 ** (k - 1).
    """
    wanted = part * sum(counts)
    seen = 0
    for bucket, count in enumerate(counts):
        if count and seen + count >= wanted:
            low = 1 << (bucket - 1) if bucket else 0
            high = 1 << bucket
            return min(low + (high - low) * (wanted - seen) / count, most_us)
        seen += count
    return most_us


def lateness(value_us: float) -> str:
    """In microseconds below one millisecond, else in words."""
    return f"{value_us:.0f} us" if value_us < _US else duration(round(value_us) * _US)
