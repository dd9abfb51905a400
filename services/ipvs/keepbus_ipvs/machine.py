"""The ipvs machine: verdicts in, the least set of table commands out.

Law of this file: one request to the driver is in flight; nothing is written before the table was read and,
after a restart, before the retained verdicts had their chance to arrive; a key is remembered before it is
written and forgotten after it is removed, so that no death leaves an entry without an owner.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from keepbus.config.model import IpvsSection, VirtualServer
from keepbus.contracts import ipvs as contract
from keepbus.contracts.checker import CheckVerdict, Verdict
from keepbus.contracts.common import Status
from keepbus.contracts.message import Message
from keepbus.runtime.machine import BusMessage, Configured, Effect, Event, Exit, Report, StopRequested
from keepbus_ipvs import words
from keepbus_ipvs.announcer import Announcer
from keepbus_ipvs.diff import Command
from keepbus_ipvs.effects import Open, ReadTable, Recall, Remember, Write
from keepbus_ipvs.events import Opened, Recalled, TableRead, Written
from keepbus_ipvs.pool import Pool, pool_of
from keepbus_ipvs.reconciler import Reconciler
from keepbus_ipvs.table import ServiceKey

SETTLE_NS = 1_500_000_000
"""How long a restarted process waits for the verdicts that the hub retains."""
SHORTEST_COMPARISON_NS = 1_000_000_000
LONGEST_COMPARISON_NS = 60_000_000_000
READING_SHARE = 50
"""The next full comparison comes after so many times the time that reading took: two percent of a core."""
OPEN_AGAIN_NS = 5_000_000_000
STOP_LIMIT_NS = 1_500_000_000

Unsupported = Callable[[str, VirtualServer], str | None]
"""Driver and virtual server: why the one cannot carry the other, None when it can."""


class Machine:
    """Keeps the kernel's table as configuration and verdicts want it."""

    def __init__(self, unsupported: Unsupported, *, keep_table: bool = False) -> None:
        """keep_table leaves the entries in the kernel at a stop."""
        self._unsupported = unsupported
        self._keep_table = keep_table
        self._say = Announcer()
        self._table = Reconciler()
        self._pools: dict[str, Pool] = {}
        self._owners: dict[ServiceKey, Pool] = {}
        """The pool of each service."""
        self._users: dict[str, list[Pool]] = {}
        self._verdicts: dict[str, CheckVerdict] = {}
        self._touched: dict[str, Pool] = {}
        self._remembered: frozenset[ServiceKey] | None = None
        self._driver: str | None = None
        self._driver_detail = ""
        self._read_error = ""
        self._busy = False
        self._in_flight: tuple[Command, ...] = ()
        self._repairing: set[ServiceKey] = set()
        self._stopping = False
        self._wall_ns = 0
        self._now_ns = 0
        self._settle_at_ns: int | None = None
        self._read_at_ns: int | None = None
        self._open_at_ns: int | None = None
        self._stop_at_ns: int | None = None

    def turn(self, now_ns: int, events: Sequence[Event]) -> list[Effect]:
        """See keepbus.runtime.machine.Machine."""
        self._now_ns = now_ns
        self._say.effects = []
        for event in events:
            self._take(event)
        if self._settle_at_ns is not None and self._settled():
            self._settle_at_ns = None
            self._want(self._pools.values())
        # One batch a turn: between two turns the shell beats and reads the bus, however long the table is.
        self._ask_driver(may_write=not any(type(event) is Written for event in events))
        self._publish()
        return self._say.effects

    def wake_at_ns(self) -> int | None:
        """See keepbus.runtime.machine.Machine."""
        deadlines = [self._stop_at_ns]
        if not self._busy:
            deadlines += [self._open_at_ns, self._say.changes_at_ns()]
            if self._driver:
                deadlines += [self._settle_at_ns, self._read_at_ns]
                if self._settle_at_ns is None:
                    deadlines.append(self._table.write_at_ns(self._now_ns))
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    # Events

    def _take(self, event: Any) -> None:
        if type(event) is BusMessage:
            self._wall_ns = event.wall_ns
            self._hear(event.message)
        elif type(event) is Written:
            self._take_written(event)
        elif type(event) is TableRead:
            self._take_table(event)
        elif type(event) is Configured:
            self._wall_ns = event.wall_ns
            self._configure(event.section)
        elif type(event) is Recalled:
            self._recall(event)
        elif type(event) is Opened:
            self._opened(event)
        elif type(event) is StopRequested:
            self._wall_ns = event.wall_ns
            self._stop()

    def _configure(self, section: IpvsSection) -> None:
        earlier, self._pools, self._users = self._pools, {}, {}
        owned, self._owners = self._owners, {}
        fresh = []
        for virtual_server in section.virtual_servers:
            name = virtual_server.name
            pool = earlier.get(name)
            # What did not change is not touched.
            if pool is None or pool.virtual_server != virtual_server:
                try:
                    pool = pool_of(virtual_server)
                except ValueError as error:
                    self._say.log("error", f"virtual server {name} cannot be written: {error}")
                    continue
                if name in earlier:
                    pool.inherit(earlier[name])
                fresh.append(pool)
            if name in self._pools or not self._owners.keys().isdisjoint(pool.keys):
                self._say.log("warning", f"virtual server {name} is defined twice; the first one counts")
                continue
            self._pools[name] = pool
            self._owners.update(dict.fromkeys(pool.keys, pool))
            for check in pool.checks:
                self._users.setdefault(check, []).append(pool)
        fresh = [pool for pool in fresh if self._pools.get(pool.name) is pool]
        self._verdicts = {name: verdict for name, verdict in self._verdicts.items() if name in self._users}
        for key in owned.keys() - self._owners.keys():
            self._table.want(key, None)
        for name in earlier.keys() - self._pools.keys():
            self._touched.pop(name, None)
        self._say.withdraw(earlier.keys() - self._pools.keys())
        if self._remembered is None:
            self._say.effects.append(Recall())
        elif not self._stopping:
            if self._read_at_ns is None:
                self._read_at_ns = self._now_ns
            self._want(fresh)

    def _recall(self, event: Recalled) -> None:
        self._remembered = frozenset(event.owned)
        self._table.owned.update(event.owned)
        for key in event.owned:
            if key not in self._owners:
                self._table.want(key, None)
        if event.owned and self._users:
            self._settle_at_ns = self._now_ns + SETTLE_NS
        self._want(self._pools.values())

    def _opened(self, event: Opened) -> None:
        self._busy = False
        if event.detail and event.detail != self._driver_detail:
            self._say.log("warning", event.detail)
        self._driver, self._driver_detail = event.driver, event.detail
        if event.driver:
            self._open_at_ns, self._read_at_ns = None, self._now_ns
        else:
            self._open_at_ns = self._now_ns + OPEN_AGAIN_NS
        self._want(self._pools.values())

    def _hear(self, message: Message) -> None:
        body = message.body
        if type(body) is CheckVerdict:
            known = self._verdicts.get(body.check)
            # A checker that has just started knows nothing yet; what is known stands.
            if body.check not in self._users or (known is not None and body.verdict is Verdict.UNKNOWN):
                return
            self._verdicts[body.check] = body
            for pool in self._users[body.check]:
                pool.cause = message.header.id
                self._evaluate(pool)
        elif type(body) is contract.VirtualServer and self._settle_at_ns is not None:
            pool_before = self._pools.get(body.name)
            if pool_before is not None:
                pool_before.adopt(body)

    def _take_table(self, event: TableRead) -> None:
        self._busy = False
        self._wall_ns = event.wall_ns
        if event.error:
            if event.error != self._read_error:
                self._say.log("error", event.error)
            self._say.counts.errors += 1
            self._say.counts.last_error = self._read_error = event.error
            self._read_at_ns = self._now_ns + SHORTEST_COMPARISON_NS
            self._touched |= self._pools
            return
        if self._read_error:
            self._touched |= self._pools
        self._read_error = ""
        self._say.counts.reconciled_ns = event.wall_ns
        if not self._table.has_read and self._settle_at_ns is not None:
            for service in event.services:
                pool = self._owners.get(service.service.key)
                if pool is not None and service.service.key in self._table.owned:
                    pool.adopt_found(service, event.wall_ns)
        foreign = self._table.foreign
        for drift in self._table.found(event.services):
            self._repairing.add(drift.key)
            self._say.drift(self._name(drift.key), drift)
        if self._table.foreign != foreign:
            self._say.foreign(self._table.foreign)
        pause_ns = min(max(SHORTEST_COMPARISON_NS, event.took_ns * READING_SHARE), LONGEST_COMPARISON_NS)
        self._read_at_ns = self._now_ns + pause_ns
        if self._say.counters_due(self._now_ns):
            self._touched |= self._pools

    def _take_written(self, event: Written) -> None:
        self._busy = False
        self._wall_ns = event.wall_ns
        commands, self._in_flight = self._in_flight, ()
        failed = self._table.written(commands, event.errors, self._now_ns)
        for key in failed:
            # It is tried again after the table was read anew.
            retry = self._table.retries[key]
            self._read_at_ns = min(retry.at_ns, self._read_at_ns or retry.at_ns)
            if retry.failures == 1:
                self._say.log(
                    "error", f"{self._name(key)} is not in the table as it should be: {retry.error}"
                )
        counts = self._say.counts
        for command, error in zip(commands, event.errors, strict=True):
            key = command.service.key
            pool = self._owners.get(key)
            if pool is not None:
                self._touched[pool.name] = pool
            if error:
                counts.errors += 1
                counts.last_error = f"{words.of_command(command)}: {error}"
                continue
            counts.writes += 1
            counts.drift_repaired += key in self._repairing
            cause = "" if pool is None else pool.cause
            self._say.change(self._name(key), command, self._reason(command), cause)
        self._repairing -= {command.service.key for command in commands}

    def _stop(self) -> None:
        if self._keep_table or not self._driver or not self._table.owned:
            self._say.changes(self._now_ns, all_of_them=True)
            self._say.effects.append(Exit())
            return
        self._stopping = True
        self._stop_at_ns = self._now_ns + STOP_LIMIT_NS
        self._settle_at_ns = None
        for key in tuple(self._table.owned):
            self._table.want(key, None)

    # What is wanted

    def _want(self, pools: Iterable[Pool]) -> None:
        for pool in pools:
            pool.error = self._unsupported(self._driver or "", pool.virtual_server) or ""
            self._evaluate(pool)

    def _evaluate(self, pool: Pool) -> None:
        if self._settle_at_ns is not None or self._remembered is None or self._stopping:
            return
        first = not pool.evaluated
        # At the start a missing quorum is news only when the sorry server has to stand in.
        if pool.evaluate(self._verdicts, self._wall_ns) and (pool.has_sorry or not first):
            self._say.quorum(pool)
        self._say.servers(pool)
        self._touched[pool.name] = pool
        entries = dict.fromkeys(pool.keys) if pool.error else pool.entries()
        for key, entry in entries.items():
            if entry != self._table.wanted.get(key):
                self._table.want(key, entry)

    def _settled(self) -> bool:
        if self._settle_at_ns is None or self._now_ns >= self._settle_at_ns:
            return True
        return self._table.has_read and self._users.keys() <= self._verdicts.keys()

    # The driver

    def _ask_driver(self, *, may_write: bool) -> None:
        self._remember()
        if self._stop_at_ns is not None and self._now_ns >= self._stop_at_ns:
            self._say.log("error", "the table could not be cleared in time; its entries stay in the kernel")
            self._say.changes(self._now_ns, all_of_them=True)
            self._say.effects.append(Exit(1))
            self._stop_at_ns = None
        if self._busy or self._remembered is None:
            return
        if not self._pools and not self._table.owned and not self._stopping:
            self._read_at_ns = None
            return
        if not self._driver:
            if self._open_at_ns is None or self._now_ns >= self._open_at_ns:
                self._ask(Open())
            return
        if self._read_at_ns is not None and self._now_ns >= self._read_at_ns:
            self._ask(ReadTable())
            return
        if self._settle_at_ns is not None:
            return
        commands = self._table.batch(self._now_ns)
        self._remember()
        if commands and may_write:
            self._in_flight = commands
            self._ask(Write(commands))
        elif self._stopping and not self._table.owned:
            self._leave()

    def _ask(self, effect: Open | ReadTable | Write) -> None:
        self._busy = True
        self._say.effects.append(effect)

    def _remember(self) -> None:
        if self._remembered is not None and self._table.owned != self._remembered:
            self._remembered = frozenset(self._table.owned)
            self._say.effects.append(Remember(tuple(sorted(self._remembered))))

    def _leave(self) -> None:
        self._touched.clear()
        self._say.changes(self._now_ns, all_of_them=True)
        self._say.withdraw_all()
        self._stop_at_ns = self._read_at_ns = None
        self._say.effects.append(Exit())

    # Telling

    def _name(self, key: ServiceKey) -> str:
        pool = self._owners.get(key)
        return words.of_key(key) if pool is None else pool.name

    def _reason(self, command: Command) -> str:
        key = command.service.key
        pool = self._owners.get(key)
        if key in self._repairing:
            return "put back what somebody else changed"
        if self._stopping:
            return "ipvs stops"
        if pool is None:
            return "not in the configuration any more"
        return (
            "as configured" if command.destination is None else pool.reason_of(key, command.destination.key)
        )

    def _publish(self) -> None:
        if self._busy or self._stopping:
            return
        write_at_ns = self._table.write_at_ns(self._now_ns)
        if write_at_ns is not None and write_at_ns <= self._now_ns and self._settle_at_ns is None:
            # There is more to write, and that comes first.
            return
        self._say.changes(self._now_ns)
        if self._table.has_read or self._driver == "" or self._read_error:
            error = self._read_error or ("" if self._driver else self._driver_detail)
            self._say.virtual_servers(self._touched.values(), self._table, error, self._now_ns)
            self._touched.clear()
        if self._driver and self._table.has_read:
            self._say.table(self._driver, self._table, self._now_ns)
        self._say.counters_told(self._now_ns)
        self._say.effects.append(self._status())

    def _status(self) -> Report:
        if not self._pools and not self._table.owned:
            return Report(Status.IDLE, "no virtual servers configured")
        if self._driver == "" or self._read_error:
            return Report(Status.DEGRADED, self._read_error or self._driver_detail)
        if not self._driver or not self._table.has_read:
            return Report(Status.STARTING, "reading the table")
        if self._settle_at_ns is not None:
            return Report(Status.STARTING, "waiting for the verdicts of the checks")
        failing = {name: pool.error for name, pool in self._pools.items() if pool.error}
        failing |= {self._name(key): retry.error for key, retry in self._table.retries.items()}
        for name, error in failing.items():
            return Report(
                Status.DEGRADED, f"{len(failing)} virtual servers are not as configured: {name}: {error}"
            )
        noun = "virtual server" if len(self._pools) == 1 else "virtual servers"
        detail = f"keeps {len(self._pools)} {noun} with the {self._driver} driver"
        return Report(Status.READY, f"{detail}: {self._driver_detail}" if self._driver_detail else detail)
