"""A page about a node's states, drawn anew when one changes and every second for the ages in it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from keepbus.cli.bus import Ear
from keepbus.cli.screen import Screen, fit
from keepbus.contracts.common import Service
from keepbus.contracts.message import Message

Page = Callable[[Mapping[str, Message], int], list[str]]
"""States that stand, by topic, and a width in columns, to lines; the last paragraph matters most."""

_LEAST_GAP_S = 0.25
_MOST_GAP_S = 1.0
_BURST_S = 0.2
"""The states that the hub retains come in one burst; the first page waits for them."""
_LEAST_COLUMNS = 20
_QUIT = ("q", "Q")


def follow(run_dir: Path, page: Page) -> None:
    """Show the page until q, Ctrl-C or SIGTERM. Raises NoNode when there is nobody to listen to."""
    with Ear(run_dir, ("state/",)) as ear:
        try:
            with Screen() as screen:
                _follow(ear, screen, page)
        except KeyboardInterrupt:
            return


def _follow(ear: Ear, screen: Screen, page: Page) -> None:
    pace = Pace(time.monotonic())
    states: dict[str, Message] = {}
    while True:
        if learn(states, ear.hear(max(0.0, pace.due_at_s() - time.monotonic()), repeats=True)):
            pace.changed = True
        ear.listener.gaps.clear()
        ear.listener.rejects.clear()
        if any(letter in _QUIT for letter in screen.key()):
            return
        now_s = time.monotonic()
        if now_s >= pace.due_at_s() or (screen.stale and pace.drawn):
            width, rows = screen.size()
            lines = page(states, max(_LEAST_COLUMNS, width))
            screen.draw(fit(lines, rows, last_paragraph(lines)))
            pace.draw(now_s)


class Pace:
    """When to draw: soon after a change, but not too often, and every second anyway."""

    def __init__(self, now_s: float) -> None:
        self.changed = False
        self.drawn = False
        """At least once."""
        self._drawn_at_s = now_s + _BURST_S - _MOST_GAP_S

    def due_at_s(self) -> float:
        """The moment of the next page."""
        return self._drawn_at_s + (_LEAST_GAP_S if self.changed and self.drawn else _MOST_GAP_S)

    def draw(self, now_s: float) -> None:
        """A page was drawn."""
        self._drawn_at_s = now_s
        self.changed = False
        self.drawn = True


def learn(states: dict[str, Message], messages: Iterable[Message]) -> bool:
    """Put messages in their places; True when one of them is worth a page of its own."""
    news = False
    for message in messages:
        before = states.get(message.topic)
        if message.body is None:
            news |= states.pop(message.topic, None) is not None
            continue
        states[message.topic] = message
        news |= before is None or _essence(before) != _essence(message)
    return news


def last_paragraph(lines: list[str]) -> int:
    """How many lines come after the last empty one."""
    for count, line in enumerate(reversed(lines)):
        if not line:
            return count
    return len(lines)


def _essence(message: Message) -> object:
    """What of a state is news: not that a heart beats or a counter runs."""
    body = message.body
    if isinstance(body, Service):
        return body.pid, body.generation, body.status, body.detail
    if message.topic.split("/", 3)[2:3] == ["statistics"]:
        return None
    return body
