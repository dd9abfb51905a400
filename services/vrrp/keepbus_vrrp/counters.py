"""What an instance counts. A successor of a dead process counts on (D18)."""

from __future__ import annotations

from keepbus.contracts.vrrp import Statistics

_BUCKETS = 32
"""The last one holds what is later than 18 minutes."""


class Counters:
    """Plain numbers; whoever sees the thing moves the counter."""

    __slots__ = (
        "adverts_received",
        "adverts_sent",
        "became_master",
        "dropped",
        "lateness",
        "lateness_ns_max",
        "priority_zero_received",
        "priority_zero_sent",
        "published",
        "released_master",
    )

    def __init__(self) -> None:
        self.adverts_received = 0
        self.adverts_sent = 0
        self.became_master = 0
        self.released_master = 0
        self.priority_zero_received = 0
        self.priority_zero_sent = 0
        self.dropped: dict[str, int] = {}
        """Refused packets by reason."""
        self.lateness_ns_max = 0
        """Of the instance's timer."""
        self.lateness = [0] * _BUCKETS
        """How often the timer was late by 0, under 2, 4, 8, … microseconds."""
        self.published: Statistics | None = None
        """As last told on the bus."""

    def drop(self, reason: str, count: int = 1) -> None:
        """Packets for this instance were refused."""
        self.dropped[reason] = self.dropped.get(reason, 0) + count

    def late(self, lateness_ns: int) -> None:
        """The instance's timer was served so late."""
        if lateness_ns > self.lateness_ns_max:
            self.lateness_ns_max = lateness_ns
        self.lateness[min((lateness_ns // 1000).bit_length(), _BUCKETS - 1)] += 1

    def lateness_counts(self) -> tuple[int, ...]:
        """Without the empty buckets at the end."""
        used = _BUCKETS
        while used and not self.lateness[used - 1]:
            used -= 1
        return tuple(self.lateness[:used])

    def kept(self) -> tuple[int, int, int, int, int, int]:
        """What is remembered between records: see effects.Count."""
        return (
            self.adverts_received,
            self.adverts_sent,
            self.became_master,
            self.released_master,
            self.priority_zero_received,
            self.priority_zero_sent,
        )

    def adopt(self, kept: tuple[int, ...], dropped: dict[str, int]) -> None:
        """Count on where an earlier process ended."""
        (
            self.adverts_received,
            self.adverts_sent,
            self.became_master,
            self.released_master,
            self.priority_zero_received,
            self.priority_zero_sent,
        ) = kept
        self.dropped = dict(dropped)
