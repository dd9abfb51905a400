"""What must outlive this process, and whether it is another than when it was last kept. Pure.

Law of this file: a turn in which nothing of it changed costs nothing, however many services there are.
"""

from __future__ import annotations

from keepbus_ipvs.drains import Drains
from keepbus_ipvs.effects import Remember
from keepbus_ipvs.events import Recalled
from keepbus_ipvs.reconciler import Reconciler
from keepbus_ipvs.settings import Settings


class Kept:
    """What was recalled, and since then remembered."""

    def __init__(self, table: Reconciler, drains: Drains, settings: Settings) -> None:
        """The three that have something to remember."""
        self._table = table
        self._drains = drains
        self._settings = settings
        self._last: Remember | None = None
        self._claims = 0

    @property
    def is_known(self) -> bool:
        """True when what an earlier process kept has been recalled."""
        return self._last is not None

    def recall(self, event: Recalled) -> None:
        """Go on with what an earlier process kept."""
        self._last = Remember(*event)
        self._table.claim(event.owned)
        self._claims = self._table.claims
        self._drains.all.update(event.drained)
        self._settings.mine, self._settings.original = event.sync_daemon, event.timeouts

    def changed(self) -> Remember | None:
        """What is to be kept instead from now on; None when it is as it was."""
        if self._last is None:
            return None
        drained = tuple(sorted(self._drains.all))
        now = Remember(self._last.owned, drained, self._settings.mine, self._settings.original)
        if self._claims != self._table.claims:
            self._claims = self._table.claims
            now = now._replace(owned=tuple(sorted(self._table.owned)))
        if now == self._last:
            return None
        self._last = now
        return now
