"""What hub publishes."""

from __future__ import annotations

from dataclasses import dataclass, field

from keepbus.contracts.message import Body, contract


@contract("state/hub/statistics")
@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics(Body):
    """Counters of the hub since its start."""

    received: int = 0
    """Messages that came, refused ones too."""
    forwarded: int = 0
    """Messages that were passed on."""
    retained: int = 0
    """State topics whose last message is kept."""
    rejected: dict[str, int] = field(default_factory=dict)
    """Refused messages by reason."""
    subscriptions: int = 0
    """Of all listeners together."""
