"""Servers that get no new connections because somebody said so: an operator, or a reload that took them out.

Pure. What an operator drained stays so until it is undone, over restarts and reloads, also of a server that
is not in the file for a while. What a reload took out stays with weight 0 for as long as the reload gave it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from keepbus.contracts import ipvs as contract
from keepbus_ipvs.pool import Pool
from keepbus_ipvs.pools import Replaced
from keepbus_ipvs.reconciler import Reconciler
from keepbus_ipvs.table import Destination, Entry, ServiceKey, Table, endpoint

Drained = tuple[str, str]
"""Name of a virtual server, address:port of a real server."""


class Drains:
    """What operators drained."""

    def __init__(self) -> None:
        self.all: set[Drained] = set()

    def take(
        self, command: contract.Drain, pools: Mapping[str, Pool]
    ) -> tuple[contract.DrainChanged, list[Pool]]:
        """Carry out a command: the answer, and the pools that it changed."""
        named = [pool for name, pool in pools.items() if command.virtual_server in ("", name)]
        found = [pool for pool in named if _members(pool, command.real_server)]
        for pool in found:
            for server in _members(pool, command.real_server):
                if command.undo:
                    self.all.discard((pool.name, server))
                else:
                    self.all.add((pool.name, server))
            self.mark(pool)
        return (
            contract.DrainChanged(
                real_server=command.real_server,
                virtual_servers=tuple(pool.name for pool in found),
                drained=bool(found) and not command.undo,
                error="" if found else _missing(command, named),
            ),
            found,
        )

    def mark(self, pool: Pool) -> None:
        """Tell a pool which of its members are drained."""
        for member in pool.members:
            member.drained = (pool.name, endpoint(*member.key)) in self.all


class Departures:
    """Servers and services that a reload took out and that are still there with weight 0."""

    def __init__(self) -> None:
        self._until_ns: dict[str, int] = {}
        """By virtual server."""
        self._services: dict[ServiceKey, int] = {}

    def begin(
        self,
        replaced: Replaced,
        table: Reconciler,
        owners: Mapping[ServiceKey, Pool],
        leave_at_ns: int | None,
    ) -> None:
        """What is not in the configuration any more goes, at that moment or (None) at once."""
        for key in self._services.keys() & owners.keys():
            del self._services[key]
        for key in replaced.keys:
            entry = table.wanted.get(key)
            if leave_at_ns is None or entry is None:
                table.want(key, None)
                continue
            self._services[key] = leave_at_ns
            table.want(key, _quiesced(entry, entry.destinations.values()))
        if leave_at_ns is not None:
            for pool in replaced.fresh:
                if pool.name in replaced.before:
                    pool.leaving = leaving(replaced.before[pool.name], pool)
                    self._until_ns[pool.name] = leave_at_ns

    def end(self, now_ns: int, table: Reconciler, pools: Mapping[str, Pool]) -> list[Pool]:
        """Remove what had its time; the pools that lost something by that."""
        changed = []
        for name in [name for name, at_ns in self._until_ns.items() if at_ns <= now_ns]:
            del self._until_ns[name]
            if name in pools:
                pools[name].leaving = {}
                changed.append(pools[name])
        for key in [key for key, at_ns in self._services.items() if at_ns <= now_ns]:
            del self._services[key]
            table.want(key, None)
        return changed

    def wake_at_ns(self) -> int | None:
        """When the next one leaves."""
        return min((*self._until_ns.values(), *self._services.values()), default=None)


def leaving(before: Pool, after: Pool) -> Table:
    """What `before` had and `after` has not, by service: with weight 0."""
    table: Table = {}
    earlier = before.entries()
    for placement in after.placements:
        entry = earlier.get(placement.service.key)
        if entry is not None:
            kept = {destination.key for destination in placement.destinations}
            gone = [item for item in entry.destinations.values() if item.key not in kept]
            if gone:
                table[placement.service.key] = _quiesced(entry, gone)
    return table


def _quiesced(entry: Entry, destinations: Iterable[Destination]) -> Entry:
    return Entry(entry.service, {each.key: each._replace(weight=0) for each in destinations})


def _members(pool: Pool, real_server: str) -> list[str]:
    """address:port of the members that are meant by that, or by an address."""
    return [
        endpoint(*member.key)
        for member in pool.members
        if real_server in (endpoint(*member.key), member.key.address)
    ]


def _missing(command: contract.Drain, named: list[Pool]) -> str:
    if not named:
        return f"there is no virtual server {command.virtual_server}"
    where = f"the virtual server {command.virtual_server}" if command.virtual_server else "any virtual server"
    return f"there is no real server {command.real_server} in {where}"
