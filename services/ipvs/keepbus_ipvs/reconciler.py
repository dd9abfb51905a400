"""Wanted against found: what to write now, what to try again when, what somebody else changed.

Law of this file: only keys in `owned` are ever written; after an error the service counts as unsure and is
written again only after the table was read (V23); each service waits for itself alone (W21). A reading may
come in slices, and what is written between two of them is newer than what the reading says of it.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import NamedTuple

from keepbus_ipvs.diff import Command, Verb, apply, difference
from keepbus_ipvs.table import DestinationKey, Entry, FoundService, ServiceKey, Table

_FIRST_RETRY_NS = 100_000_000
_LONGEST_RETRY_NS = 30_000_000_000
_LONGEST_BATCH = 1000


class Drift(NamedTuple):
    """A service that was as wanted and is not any more."""

    key: ServiceKey
    found: Entry | None
    repair: tuple[Command, ...]


class Retry(NamedTuple):
    """A service whose last write failed."""

    failures: int
    at_ns: int
    error: str


class Reconciler:
    """The wanted table, the last known one, and what lies between."""

    def __init__(self) -> None:
        self.owned: set[ServiceKey] = set()
        """Services that this node wrote, or is about to write. Written by `claim` and `_settle` alone."""
        self.claims = 0
        """Counts the changes of `owned`."""
        self.wanted: Table = {}
        self.known: Table = {}
        """Owned services as last read or written."""
        self.connections: dict[ServiceKey, dict[DestinationKey, tuple[int, int, int]]] = {}
        """Active, inactive, and all since the destination was written; of those that had any."""
        self.foreign: frozenset[ServiceKey] = frozenset()
        self.retries: dict[ServiceKey, Retry] = {}
        self.has_read = False
        # Insertion order is the order of writing; a dict, because a set has none.
        self._dirty: dict[ServiceKey, None] = {}
        self._unsure: set[ServiceKey] = set()
        self._healed: set[ServiceKey] = set()
        self._listed: set[ServiceKey] = set()
        """Services that the reading under way has found so far."""
        self._newer: set[ServiceKey] = set()
        """Services that were written since it began."""

    def want(self, key: ServiceKey, entry: Entry | None) -> None:
        """Set what is wanted of one service; None: that it is not there."""
        if entry is None:
            self.wanted.pop(key, None)
            if key not in self.owned:
                # It was never written (its driver cannot carry it): there is nothing to take back.
                return
        else:
            self.wanted[key] = entry
            self.claim((key,))
        self._dirty[key] = None

    def claim(self, keys: Iterable[ServiceKey]) -> None:
        """These are ours."""
        before = len(self.owned)
        self.owned.update(keys)
        self.claims += len(self.owned) - before

    def take_over(self, keys: Iterable[ServiceKey], configured: Container[ServiceKey]) -> None:
        """Whatever is there is ours from now on; what is not in the configuration goes."""
        for key in keys:
            self.claim((key,))
            self._unsure.add(key)
            if key not in configured:
                self.want(key, None)

    def begin(self) -> None:
        """A reading of the table begins; an earlier one that did not come to its end counts for nothing."""
        self._listed.clear()
        self._newer.clear()

    def found(self, services: Iterable[FoundService], *, more: bool = False) -> list[Drift]:
        """Take in a slice of a reading, the last one unless there are more; the drift in it."""
        drifts = []
        for service in services:
            key = service.service.key
            self._listed.add(key)
            if key in self.owned:
                self.connections[key] = {
                    item.destination.key: (item.active, item.inactive, item.total)
                    for item in service.destinations
                    if item.total or item.active or item.inactive
                }
                drifts += self._compare(key, service.entry())
        if more:
            return drifts
        for key in self.owned - self._listed:
            drifts += self._compare(key, None)
        self.has_read = True
        self.foreign = frozenset(self._listed - self.owned)
        for key in self.connections.keys() - self._listed:
            del self.connections[key]
        self.begin()
        return drifts

    def _compare(self, key: ServiceKey, entry: Entry | None) -> list[Drift]:
        """Take in what was found of one service; its drift, if it has any."""
        if key in self._newer:
            return []
        wanted = self.wanted.get(key)
        repair = difference(wanted, entry)
        settled = self.has_read and key not in self._dirty and key not in self._unsure
        self._unsure.discard(key)
        if repair:
            self._dirty[key] = None
        if entry is None:
            self.known.pop(key, None)
        else:
            # Of what is the same one copy is enough.
            self.known[key] = entry if repair or wanted is None else wanted
        drifted = repair and settled and key not in self.retries
        return [Drift(key, entry, tuple(repair))] if drifted else []

    def batch(self, now_ns: int) -> tuple[Command, ...]:
        """The commands to write now, at most about a thousand; empty when there is nothing to do yet."""
        if not self.has_read:
            return ()
        additions: list[Command] = []
        removals: list[Command] = []
        for key in list(self._dirty):
            if key in self._unsure or (key in self.retries and self.retries[key].at_ns > now_ns):
                continue
            commands = difference(self.wanted.get(key), self.known.get(key))
            if not commands:
                self._settle(key)
            elif commands[0].verb is Verb.REMOVE_SERVICE:
                removals += commands
            else:
                additions += commands
            if len(additions) + len(removals) >= _LONGEST_BATCH:
                break
        # A service that moves to another address is at the new one before it leaves the old one.
        return tuple(additions + removals)

    def written(
        self, commands: Sequence[Command], errors: Sequence[str], now_ns: int
    ) -> dict[ServiceKey, str]:
        """Take in the outcome of a batch; services that failed, each with its first error."""
        failed: dict[ServiceKey, str] = {}
        self._newer.update(command.service.key for command in commands)
        for command, error in zip(commands, errors, strict=True):
            key = command.service.key
            if error:
                failed.setdefault(key, error)
                continue
            entry = apply(self.known.get(key), command)
            if entry is None:
                self.known.pop(key, None)
            else:
                self.known[key] = entry
        for key, error in failed.items():
            failures = self.retries[key].failures + 1 if key in self.retries else 1
            delay_ns = min(_FIRST_RETRY_NS << min(failures - 1, 20), _LONGEST_RETRY_NS)
            self.retries[key] = Retry(failures, now_ns + delay_ns, error)
            self._unsure.add(key)
        for key in {command.service.key for command in commands} - failed.keys():
            if not difference(self.wanted.get(key), self.known.get(key)):
                self._settle(key)
        return failed

    def take_healed(self) -> set[ServiceKey]:
        """Services that are right again after an error, since the last call."""
        healed, self._healed = self._healed, set()
        return healed

    def read_at_ns(self) -> int | None:
        """When what failed is to be written again and has to be read before; None: nothing waits for that."""
        return min((self.retries[key].at_ns for key in self._unsure & self.retries.keys()), default=None)

    def write_at_ns(self, now_ns: int) -> int | None:
        """When `batch` may next have something to give: now, at a retry, or None."""
        if not self.has_read:
            return None
        due_at_ns = [
            self.retries[key].at_ns if key in self.retries else now_ns
            for key in self._dirty
            if key not in self._unsure
        ]
        return min(due_at_ns, default=None)

    def is_behind(self, now_ns: int) -> bool:
        """True while there is something to write."""
        at_ns = self.write_at_ns(now_ns)
        return at_ns is not None and at_ns <= now_ns

    def _settle(self, key: ServiceKey) -> None:
        self._dirty.pop(key, None)
        if self.retries.pop(key, None) is not None:
            self._healed.add(key)
        if key not in self.wanted and key in self.owned:
            self.owned.remove(key)
            self.claims += 1
            self.connections.pop(key, None)
