"""What has a state and numbers its changes: instances and sync groups.

Law of this file: a change gets its number here and nowhere else, so that a number never repeats within a
life (N1).
"""

from __future__ import annotations

from keepbus.contracts.vrrp import Transition, VrrpState
from keepbus_vrrp.record import GroupRecord, Record
from keepbus_vrrp.turn import Turn

HISTORY_LENGTH = 16


class Series:
    """A state and the numbered changes that led to it."""

    def __init__(self, turn: Turn, life: str) -> None:
        self.turn = turn
        self.life = life
        self.state = VrrpState.INIT
        self.transitions = 0
        self.since_ns = 0
        self.entered_at_ns = 0
        """CLOCK_BOOTTIME of the last transition."""
        self.cause = ""
        self.history: tuple[Transition, ...] = ()

    @property
    def effective_priority(self) -> int:
        """What scripts are told; 0 where there is none."""
        return 0

    def adopt(self, left: Record | GroupRecord) -> None:
        """Count on where an earlier process ended (N1); the state is not taken over here."""
        self.life = left.life
        self.transitions = left.transitions
        self.since_ns = left.since_ns
        self.cause = left.cause
        self.history = left.history

    def note(self, cause: str, inputs: dict[str, str]) -> None:
        """Number what changes no state, but others must learn of (N2): from MASTER to MASTER."""
        self._number(self.state, cause, inputs)

    def _transition(self, to_state: VrrpState, cause: str, inputs: dict[str, str]) -> None:
        """Number and note the change; the caller sets the state."""
        self.since_ns = self.turn.wall_ns
        self.entered_at_ns = self.turn.now_ns
        self.cause = cause
        self._number(to_state, cause, inputs)

    def _number(self, to_state: VrrpState, cause: str, inputs: dict[str, str]) -> None:
        self.transitions += 1
        self.turn.transitions += 1
        transition = Transition(
            number=self.transitions,
            from_state=self.state,
            to_state=to_state,
            at_ns=self.turn.wall_ns,
            cause=cause,
            inputs=inputs,
            priority=self.effective_priority,
        )
        self.history = (*self.history[1 - HISTORY_LENGTH :], transition)
