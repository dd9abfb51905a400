"""When the table is read, and how far a reading is.

Law of this file: a long table is read in slices, each a turn of its own, so that no verdict, no reload and no
heartbeat waits for the whole of it. Between two slices may be written; what was written since a reading began
is left to the next one (reconciler.py).
"""

from __future__ import annotations

from keepbus_ipvs.effects import ReadTable
from keepbus_ipvs.events import TableRead

SHORTEST_PAUSE_NS = 1_000_000_000
LONGEST_PAUSE_NS = 60_000_000_000
LONGEST_WAIT_NS = 10_000_000_000
"""For what is to be written before."""
SHARE = 50
"""The next reading comes after so many times the time that the last one took: two percent of a core."""


class Readings:
    """One reading after the other."""

    def __init__(self) -> None:
        self.at_ns: int | None = None
        """When the table is read next, or on; None: nothing calls for it."""
        self.under_way = False
        """True between the first slice of a reading and its last one."""
        self.error = ""
        """Why the last one failed; empty when it did not."""
        self._took_ns = 0

    def is_due(self, now_ns: int) -> bool:
        """True when it is time for the next slice."""
        return self.at_ns is not None and now_ns >= self.at_ns

    def begins(self, now_ns: int, *, is_behind: bool) -> bool:
        """True when it is time for another reading. Of what is being written it would show nothing that
        counts, so that it waits for that, but not for ever."""
        if self.under_way or not self.is_due(now_ns):
            return False
        return not is_behind or now_ns >= (self.at_ns or 0) + LONGEST_WAIT_NS

    def ask(self) -> ReadTable:
        """The request for the next slice."""
        return ReadTable(further=self.under_way)

    def soon(self, at_ns: int) -> None:
        """Read at this moment, or as planned when that is sooner."""
        self.at_ns = at_ns if self.at_ns is None else min(at_ns, self.at_ns)

    def anew(self, now_ns: int) -> None:
        """Read the whole table now, from its beginning."""
        self.at_ns, self.under_way, self._took_ns = now_ns, False, 0

    def take(self, event: TableRead, now_ns: int) -> bool:
        """Plan the next slice or reading; True when it failed with another error than the last one."""
        earlier, self.error = self.error, event.error
        self.under_way = event.more
        self._took_ns += event.took_ns
        if event.more:
            self.at_ns = now_ns
            return False
        pause_ns = SHORTEST_PAUSE_NS if event.error else self._took_ns * SHARE
        self.at_ns = now_ns + min(max(SHORTEST_PAUSE_NS, pause_ns), LONGEST_PAUSE_NS)
        self._took_ns = 0
        return event.error not in ("", earlier)
