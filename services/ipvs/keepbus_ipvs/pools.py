"""All virtual servers: which there are, which check concerns which, whose a service is.

Law of this file: a virtual server that did not change in a reload is the same object afterwards; a service
belongs to one virtual server, the first one in the file.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from keepbus.config.model.ipvs import VirtualServer
from keepbus.contracts import ipvs as contract
from keepbus.contracts.checker import CheckVerdict, Verdict
from keepbus_ipvs import words
from keepbus_ipvs.diff import Command
from keepbus_ipvs.heard import Heard, heard
from keepbus_ipvs.pool import Pool, pool_of
from keepbus_ipvs.table import ServiceKey


@dataclass(slots=True)
class Replaced:
    """What a new configuration changed."""

    fresh: list[Pool] = field(default_factory=list)
    """New ones, and those that are another now."""
    before: dict[str, Pool] = field(default_factory=dict)
    """The earlier form of those that are another now, and those that are gone."""
    gone: list[str] = field(default_factory=list)
    """Names of those that are gone."""
    keys: list[ServiceKey] = field(default_factory=list)
    """Services that nobody has any more."""
    complaints: list[str] = field(default_factory=list)


class Pools:
    """Every pool by its name, its services and its checks."""

    def __init__(self) -> None:
        self.by_name: dict[str, Pool] = {}
        self.owners: dict[ServiceKey, Pool] = {}
        """The pool of each service."""
        self.users: dict[str, tuple[Pool, ...]] = {}
        """The pools of each check."""
        self.verdicts: dict[str, Heard | None] = {}
        """Of each check; None: it has not been heard of."""
        self.refused: dict[str, str] = {}
        """Virtual servers that the driver cannot carry, and why."""

    def replace(self, virtual_servers: tuple[VirtualServer, ...]) -> Replaced:
        """Take a configuration."""
        earlier, owned = self.by_name, self.owners
        self.by_name, self.owners, self.users = {}, {}, {}
        replaced = Replaced()
        for virtual_server in virtual_servers:
            name = virtual_server.name
            pool = earlier.get(name)
            # What did not change is not touched.
            changed = pool is None or (
                pool.virtual_server is not virtual_server and pool.virtual_server != virtual_server
            )
            if pool is None or changed:
                try:
                    pool = pool_of(virtual_server)
                except ValueError as error:
                    replaced.complaints.append(f"virtual server {name} cannot be written: {error}")
                    continue
            if name in self.by_name or not self.owners.keys().isdisjoint(pool.keys):
                replaced.complaints.append(f"virtual server {name} is defined twice; the first one counts")
                continue
            if changed:
                replaced.fresh.append(pool)
                if name in earlier:
                    pool.inherit(earlier[name])
                    replaced.before[name] = earlier[name]
            self._add(pool)
        self.verdicts = {check: self.verdicts.get(check) for check in self.users}
        replaced.keys = list(owned.keys() - self.owners.keys())
        replaced.gone = [name for name in earlier if name not in self.by_name]
        for name in replaced.gone:
            self.refused.pop(name, None)
        replaced.before.update((name, earlier[name]) for name in replaced.gone)
        return replaced

    def hear(self, told: CheckVerdict, cause: str) -> tuple[Pool, ...]:
        """The pools that a verdict changes something for."""
        if told.check not in self.verdicts:
            return ()
        earlier, now = self.verdicts[told.check], heard(told)
        # A checker that has just started knows nothing yet; what is known stands.
        if earlier == now or (earlier is not None and now.verdict is Verdict.UNKNOWN):
            return ()
        self.verdicts[told.check] = now
        users = self.users[told.check]
        for pool in users:
            pool.cause = cause
        return users

    def refuse(self, pool: Pool, why: str) -> None:
        """The driver cannot carry it; empty: it can."""
        pool.error = why
        if why:
            self.refused[pool.name] = why
        else:
            self.refused.pop(pool.name, None)

    def adopt(self, earlier: contract.VirtualServer) -> None:
        """What an earlier process last said of a virtual server."""
        pool = self.by_name.get(earlier.name)
        if pool is not None:
            pool.adopt(earlier)

    def all_heard(self) -> bool:
        """True when every check has told something."""
        return None not in self.verdicts.values()

    def of(self, keys: Iterable[ServiceKey]) -> dict[str, Pool]:
        """The pools of services, by name."""
        return {pool.name: pool for key in keys if (pool := self.owners.get(key)) is not None}

    def name_of(self, key: ServiceKey) -> str:
        """The virtual server of a service; the service in ipvsadm's words when it has none any more."""
        pool = self.owners.get(key)
        return words.of_key(key) if pool is None else pool.name

    def reason_of(self, command: Command) -> str:
        """Why the configuration and the verdicts want this."""
        pool = self.owners.get(command.service.key)
        if pool is None:
            return "not in the configuration any more"
        if command.destination is None:
            return "as configured"
        return pool.reason_of(command.service.key, command.destination.key)

    def _add(self, pool: Pool) -> None:
        self.by_name[pool.name] = pool
        self.owners.update(dict.fromkeys(pool.keys, pool))
        for check in pool.checks:
            self.users[check] = (*self.users.get(check, ()), pool)
