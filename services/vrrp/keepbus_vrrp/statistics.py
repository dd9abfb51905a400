"""When the counters of the instances are told."""

from __future__ import annotations

from collections.abc import Mapping

from keepbus.runtime.machine import Publish
from keepbus_vrrp import publication
from keepbus_vrrp.effects import Count
from keepbus_vrrp.instance import Instance
from keepbus_vrrp.timers import Timer
from keepbus_vrrp.turn import Turn

_INTERVAL_NS = 5_000_000_000
_LEAST_GAP_NS = 2_000_000_000
_MOST_PER_TURN = 10


class Statistics:
    """Tells each instance's counters about every 5 s, and no more than 5 a second of all together."""

    def __init__(self, turn: Turn, instances: Mapping[str, Instance]) -> None:
        """instances are those of the machine, by key; looked at whenever it is time."""
        self._turn = turn
        self._instances = instances
        self._timer = Timer(self._tell)
        self._next = 0

    def begin(self) -> None:
        """There may be other instances now."""
        if self._instances:
            self._turn.timers.arm(self._timer, self._turn.now_ns + _INTERVAL_NS)

    def _tell(self, _due_at_ns: int) -> None:
        """Ten in one turn: that takes half a millisecond, and ten turns for them would cost several times
        as much."""
        instances = list(self._instances.values())
        if not instances:
            return
        count = min(len(instances), _MOST_PER_TURN)
        for _ in range(count):
            self._next = (self._next + 1) % len(instances)
            self._tell_of(instances[self._next])
        gap_ns = max(_INTERVAL_NS * count // len(instances), _LEAST_GAP_NS)
        self._turn.timers.arm(self._timer, self._turn.now_ns + gap_ns)

    def _tell_of(self, instance: Instance) -> None:
        statistics = publication.statistics(instance)
        told = instance.counters.published
        if statistics == told:
            return
        instance.counters.published = statistics
        self._turn.effects.append(Count(instance.key, instance.counters.kept()))
        self._turn.effects.append(Publish(statistics))
        if statistics.dropped != ({} if told is None else told.dropped):
            instance.remember()
