"""Numbers that spread the first starts of checks: the same seed gives the same sequence."""

from __future__ import annotations

_64_BITS = 0xFFFFFFFFFFFFFFFF


class Spread:
    """The sequence that a seed begins (splitmix64)."""

    def __init__(self, seed: int) -> None:
        self._state = seed

    def below(self, bound: int) -> int:
        """The next number, from 0 to bound - 1."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _64_BITS
        mixed = self._state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _64_BITS
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _64_BITS
        return (mixed ^ (mixed >> 31)) % bound
