"""Virtual and real servers that go: a reload that removes one takes it down first (features 12.5). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from keepbus_notify.steps import DOWN, UP, Object, Step


class Servers:
    """What was last told of each virtual server."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, Object]] = {}

    def with_removed(self, topic: str, told: Iterable[Object]) -> Iterator[Object]:
        """What is told, after those that were up and are there no more."""
        present = {each.key: each for each in told}
        known = self._known.get(topic, {})
        for key, before in known.items():
            if key not in present and before.state == UP:
                number = before.newest + 1
                step = Step(number, DOWN, 0, 0, "Removing")
                yield before._replace(newest=number, state=DOWN, steps=(step,))
        if present:
            self._known[topic] = present
        else:
            self._known.pop(topic, None)
        yield from present.values()
