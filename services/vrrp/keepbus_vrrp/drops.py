"""Which refused packets are told: the first of its kind, then one a minute with the number untold (D16)."""

from __future__ import annotations

from keepbus.contracts.vrrp import Dropped
from keepbus.runtime.machine import Effect, Log, Publish

_QUIET_NS = 60_000_000_000
_MOST_KINDS = 1024
"""Sources can be forged; beyond this many kinds nothing more is told until some are old."""


class Drops:
    """Remembers what was told when."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str, str, str], list[int]] = {}

    def tell(
        self,
        now_ns: int,
        interface: str,
        instance: str,
        source: str,
        reason: str,
        detail: str,
        count: int = 1,
    ) -> list[Effect]:
        """Effects for refused packets; none when their kind was told within the last minute."""
        key = (interface, instance, source, reason)
        told = self._told.get(key)
        if told is not None and now_ns - told[0] < _QUIET_NS:
            told[1] += count
            return []
        if told is None and len(self._told) >= _MOST_KINDS:
            self._told = {kind: told for kind, told in self._told.items() if now_ns - told[0] < _QUIET_NS}
            if len(self._told) >= _MOST_KINDS:
                return []
        suppressed = 0 if told is None else told[1]
        self._told[key] = [now_ns, count - 1]
        body = Dropped(
            interface=interface,
            instance=instance,
            source=source,
            reason=reason,
            detail=detail,
            suppressed=suppressed,
        )
        text = f"{instance or interface}: packet of {source} dropped: {detail} ({reason})"
        return [Publish(body), Log("warning", text, {"suppressed": suppressed} if suppressed else {})]
