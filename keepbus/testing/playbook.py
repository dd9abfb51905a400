"""A notation for tests of machines: at this moment these events, then exactly these effects.

    play = Playbook(Machine(), ignore=(Log,))
    play.at(0, Configured(1, section, 0)) >> [ReadKernel()]
    play.at(1.5) >> []
    play.wakes_at(3.609375)

Times are seconds since the start of the play; the machine sees nanoseconds of CLOCK_BOOTTIME.
"""

from __future__ import annotations

from collections.abc import Sequence

from keepbus.runtime.machine import Effect, Event, Machine

EPOCH_NS = 1_000_000_000_000
"""CLOCK_BOOTTIME at second 0 of a play."""


def ns(seconds: float) -> int:
    """The moment `seconds` after the start, rounded to microseconds."""
    return EPOCH_NS + round(seconds * 1_000_000) * 1000


class Scene(list[Effect]):
    """The effects of one turn; `>>` compares them."""

    def __rshift__(self, expected: Sequence[Effect]) -> Scene:
        assert list(self) == list(expected), _difference(self, expected)
        return self

    def of(self, *kinds: type) -> list[Effect]:
        """Effects of these classes."""
        return [effect for effect in self if isinstance(effect, kinds)]

    def names(self) -> list[str]:
        """The effects' class names, for tests of order."""
        return [type(effect).__name__ for effect in self]


class Playbook:
    """Plays a machine."""

    def __init__(self, machine: Machine, *, ignore: tuple[type, ...] = ()) -> None:
        """Effects of the classes in `ignore` are left out of every scene."""
        self.machine = machine
        self.now_s = 0.0
        self._ignore = ignore

    def at(self, seconds: float, *events: Event) -> Scene:
        """One turn; time never goes back."""
        assert seconds >= self.now_s, "a play goes forward"
        self.now_s = seconds
        effects = self.machine.turn(ns(seconds), events)
        return Scene(effect for effect in effects if not isinstance(effect, self._ignore))

    def until(self, seconds: float) -> Scene:
        """All turns that the machine's deadlines call for up to this moment, each on time."""
        scene = Scene()
        while (wake_at_ns := self.machine.wake_at_ns()) is not None and wake_at_ns <= ns(seconds):
            self.now_s = max(self.now_s, (wake_at_ns - EPOCH_NS) / 1e9)
            effects = self.machine.turn(wake_at_ns, ())
            scene.extend(effect for effect in effects if not isinstance(effect, self._ignore))
        self.now_s = max(self.now_s, seconds)
        return scene

    def wakes_at(self, seconds: float | None) -> None:
        """The machine's next deadline is this, to the microsecond."""
        wake_at_ns = self.machine.wake_at_ns()
        expected = None if seconds is None else ns(seconds)
        found = None if wake_at_ns is None else (wake_at_ns - EPOCH_NS) / 1e9
        assert wake_at_ns == expected, f"wakes at {found}, expected {seconds}"


def _difference(found: Sequence[Effect], expected: Sequence[Effect]) -> str:
    lines = ["effects differ; found:"]
    lines.extend(f"  {effect!r}" for effect in found)
    lines.append("expected:")
    lines.extend(f"  {effect!r}" for effect in expected)
    return "\n".join(lines)
