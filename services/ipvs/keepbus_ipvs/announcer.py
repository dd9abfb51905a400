"""What the machine tells: log lines, events and states, gathered as the effects of a turn."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from keepbus.contracts import ipvs as contract
from keepbus.contracts.message import quote
from keepbus.runtime.machine import Effect, Log, Publish, Withdraw
from keepbus_ipvs import account, words
from keepbus_ipvs.diff import Command
from keepbus_ipvs.pool import Pool
from keepbus_ipvs.reconciler import Drift, Reconciler
from keepbus_ipvs.table import ServiceKey, endpoint

COUNTERS_NS = 5_000_000_000
"""Connection counts alone are published this often."""
_CHANGES_AT_ONCE = 250
_CHANGES_EVERY_NS = 50_000_000


class Change(NamedTuple):
    """A command that was carried out, and why."""

    name: str
    """Of the virtual server."""
    command: Command
    reason: str
    cause: str
    """Id of the message that led to it."""


@dataclass(slots=True)
class Counts:
    """What happened to the table since the start of the process."""

    drift_repaired: int = 0
    writes: int = 0
    errors: int = 0
    last_error: str = ""
    reconciled_ns: int = 0


class Announcer:
    """Says each thing once, and a state only when it changed."""

    def __init__(self) -> None:
        self.effects: list[Effect] = []
        self.counts = Counts()
        self._published: dict[str, tuple[int, int]] = {}
        """Fingerprints of the states of virtual servers: they are many and long."""
        self._published_table: tuple[object, ...] = ()
        self._published_daemon: contract.SyncDaemon | None = None
        self._counters_at_ns = 0
        self._changes: deque[Change] = deque()
        self._changes_at_ns = 0

    def log(self, level: str, text: str, **fields: object) -> None:
        """A line for the operator."""
        self.effects.append(Log(level, text, fields))

    def change(self, change: Change) -> None:
        """A command that was carried out. It is told by `changes`, because writing comes before telling."""
        self._changes.append(change)

    def changes(self, now_ns: int, *, all_of_them: bool = False) -> None:
        """Tell of changes, so many at once that neither the hub nor the heartbeat is held up."""
        if not all_of_them and now_ns < self._changes_at_ns:
            return
        for _ in range(len(self._changes) if all_of_them else min(len(self._changes), _CHANGES_AT_ONCE)):
            name, command, reason, cause = self._changes.popleft()
            what, action = words.of_command(command), words.action(command)
            body = contract.Changed(virtual_server=name, action=action, what=what, reason=reason)
            self.log("info", f"ipvsadm {what}", reason=reason)
            self.effects.append(Publish(body, cause))
        if self._changes:
            self._changes_at_ns = now_ns + _CHANGES_EVERY_NS

    def changes_at_ns(self) -> int | None:
        """When `changes` has something to tell."""
        return self._changes_at_ns if self._changes else None

    def quorum(self, pool: Pool) -> None:
        """A quorum that was gained or lost."""
        name, sentence = pool.name, pool.quorum_sentence()
        self.log("info" if pool.quorum_up else "warning", f"{name}: {sentence}")
        body = contract.QuorumChanged(
            virtual_server=name,
            up=pool.quorum_up,
            weight_up=pool.weight_up,
            quorum=pool.virtual_server.quorum,
            reason=sentence,
        )
        self.effects.append(Publish(body, pool.cause))

    def servers(self, pool: Pool) -> None:
        """Real servers that came up or went down."""
        for member in pool.news:
            server = endpoint(*member.key)
            self.log(
                "info" if member.alive else "warning",
                f"{pool.name}: {server} is {'up' if member.alive else 'down'}",
                reason=member.reason,
            )
            body = contract.RealServerChanged(
                virtual_server=pool.name, real_server=server, up=member.alive, reason=member.reason
            )
            self.effects.append(Publish(body, pool.cause))
        pool.news = []

    def drained(self, answer: contract.DrainChanged, cause: str) -> None:
        """What an operator asked for."""
        what = "drained" if answer.drained else "not drained any more"
        text = f"{answer.real_server}: {answer.error}" if answer.error else f"{answer.real_server} is {what}"
        self.log("warning" if answer.error else "info", text, virtual_servers=answer.virtual_servers)
        self.effects.append(Publish(answer, cause))

    def drift(self, name: str, drift: Drift) -> None:
        """What somebody else did to a service of ours."""
        found = words.of_entry(drift.found)
        repaired = "; ".join(words.of_command(command) for command in drift.repair)
        self.log("warning", f"{name} was changed by somebody else", found=found, repaired=repaired)
        self.effects.append(Publish(contract.Drift(virtual_server=name, found=found, repaired=repaired)))

    def foreign(self, keys: Iterable[ServiceKey]) -> None:
        """Services of somebody else."""
        names = sorted(words.of_key(key) for key in keys)
        self.log(
            "info",
            f"{len(names)} services in the table are not keepbus's and are left alone",
            first=names[:5],
        )

    def virtual_servers(self, pools: Iterable[Pool], table: Reconciler, error: str, now_ns: int) -> None:
        """The states of these pools, where they changed; connection counts alone only when they are due."""
        due = self.counters_due(now_ns)
        for pool in pools:
            body = account.virtual_server(pool, table, error)
            now, before = account.fingerprint(body), self._published.get(body.name)
            if now != before and (due or before is None or now[0] != before[0]):
                self._published[body.name] = now
                self.effects.append(Publish(body, pool.cause))

    def table(self, driver: str, table: Reconciler, now_ns: int) -> None:
        """The table in numbers, where they changed or every few seconds."""
        counts = self.counts
        marks = (driver, counts.writes, counts.errors, counts.drift_repaired, len(table.foreign))
        if marks == self._published_table and not self.counters_due(now_ns):
            return
        self._published_table = marks
        body = contract.Table(
            driver=driver,
            services=len(table.known),
            destinations=sum(len(entry.destinations) for entry in table.known.values()),
            foreign=len(table.foreign),
            drift_repaired=counts.drift_repaired,
            writes=counts.writes,
            errors=counts.errors,
            last_error=counts.last_error,
            reconciled_ns=counts.reconciled_ns,
        )
        self.effects.append(Publish(body))

    def sync_daemon(self, body: contract.SyncDaemon | None) -> None:
        """What became of lvs_sync_daemon; None: the configuration has none."""
        if body == self._published_daemon:
            return
        if body is None:
            self.effects.append(Withdraw(contract.SyncDaemon.TOPIC))
        else:
            self.effects.append(Publish(body))
            if body.error and (self._published_daemon is None or body.error != self._published_daemon.error):
                self.log("error", body.error)
        self._published_daemon = body

    def counters_due(self, now_ns: int) -> bool:
        """True when connection counts alone are worth a publication."""
        return now_ns >= self._counters_at_ns

    def counters_told(self, now_ns: int) -> None:
        """Begin the next interval of connection counts, if one is over."""
        if self.counters_due(now_ns):
            self._counters_at_ns = now_ns + COUNTERS_NS

    def withdraw(self, names: Iterable[str]) -> None:
        """These virtual servers are no more."""
        for name in names:
            if self._published.pop(name, None) is not None:
                self.effects.append(Withdraw(f"{contract.VirtualServer.TOPIC}/{quote(name)}"))

    def farewell(self, pools: Iterable[Pool], table: Reconciler, wall_ns: int) -> None:
        """Nothing is kept any more: with omega its servers are told as down first."""
        for pool in pools:
            if pool.virtual_server.omega and pool.name in self._published:
                pool.shut_down(wall_ns)
                self.effects.append(Publish(account.virtual_server(pool, table)))
        self.withdraw(list(self._published))
