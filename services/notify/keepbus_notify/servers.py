"""Virtual and real servers that come and go: what a reload and a stop of ipvs tell of them (features 12.5).

Pure. A reload that removes one takes it down first. When ipvs itself stops its states go too, and of that
nobody is told but who asked for it with `omega`: ipvs then says that they are down before they go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from keepbus.contracts.common import Status
from keepbus_notify.steps import DOWN, UP, Object, Step

SHUTTING_DOWN = "Shutting down"
REMOVING = "Removing"


class Servers:
    """What was last told of each virtual server."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, Object]] = {}
        self._all_stops = False

    def service(self, status: Status) -> None:
        """What ipvs says of itself."""
        self._all_stops = status is Status.STOPPING

    def knows(self, topic: str, key: str) -> bool:
        """True when this was told of before."""
        return key in self._known.get(topic, ())

    def news(self, topic: str, told: Iterable[Object]) -> Iterator[Object]:
        """What is told, after those that were up and are there no more."""
        present = {each.key: each for each in told}
        known = self._known.get(topic, {})
        for key, before in known.items():
            if key not in present and before.state == UP and not self._all_stops:
                number = before.newest + 1
                step = Step(number, DOWN, 0, 0, REMOVING)
                yield before._replace(newest=number, state=DOWN, steps=(step,))
        for each in present.values():
            if self._all_stops:
                steps = tuple(step._replace(detail=SHUTTING_DOWN) for step in each.steps)
                yield each._replace(steps=steps)
            else:
                yield each
        if present:
            self._known[topic] = present
        else:
            self._known.pop(topic, None)
