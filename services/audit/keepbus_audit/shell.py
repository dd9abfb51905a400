"""Carries out what the audit machine wishes."""

from __future__ import annotations

import time

from keepbus.runtime.machine import Effect, Event
from keepbus_audit.effects import Append, Open
from keepbus_audit.events import Opened, Wrote
from keepbus_audit.journal import Journal


class Shell:
    """The journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def perform(self, effect: Effect, _now_ns: int) -> list[Event] | None:
        """One effect; what comes of it at once."""
        journal = self._journal
        error = ""
        try:
            if type(effect) is Open:
                journal.open()
            elif type(effect) is Append:
                journal.append(effect.lines)
            else:
                return None
        except OSError as failure:
            error = failure.strerror or str(failure)
        answers: list[Event] = []
        if type(effect) is Open:
            answers.append(Opened(str(journal.path), time.time_ns()))
        answers.append(Wrote(journal.octets, journal.rotations, journal.lost, error))
        return answers
