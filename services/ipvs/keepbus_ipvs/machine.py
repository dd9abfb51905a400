"""The ipvs machine: verdicts in, the least set of table commands out.

Law of this file: one request to the driver is in flight, and a long table is read in slices and written in
batches, between which the loop has its turn; nothing is written before the table was read and,
after a restart, before the retained verdicts had their chance to arrive; a key is remembered before it is
written and forgotten after it is removed, so that no death leaves an entry without an owner. Writing comes
before telling: a server that refuses is out of the table before anybody hears of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any

from keepbus.config.model.ipvs import IpvsSection, VirtualServer
from keepbus.contracts import ipvs as contract
from keepbus.contracts.checker import CheckVerdict
from keepbus.contracts.message import Message
from keepbus.contracts.vrrp import Instance
from keepbus.runtime.machine import BusMessage, Configured, Effect, Event, Exit, StopRequested
from keepbus_ipvs import words
from keepbus_ipvs.announcer import Announcer, Change
from keepbus_ipvs.diff import Command
from keepbus_ipvs.drains import Departures, Drains
from keepbus_ipvs.effects import Open, ReadSettings, Recall, Remember, Write, WriteSettings
from keepbus_ipvs.events import Opened, Recalled, SettingsRead, SettingsWritten, TableRead, Written
from keepbus_ipvs.kept import Kept
from keepbus_ipvs.pool import Pool
from keepbus_ipvs.pools import Pools
from keepbus_ipvs.readings import Readings
from keepbus_ipvs.reconciler import Reconciler
from keepbus_ipvs.report import Driver, report
from keepbus_ipvs.settings import Settings
from keepbus_ipvs.table import ServiceKey

SETTLE_NS = 1_500_000_000
"""How long a restarted process waits for the verdicts that the hub retains."""
OPEN_AGAIN_NS = 5_000_000_000
STOP_LIMIT_NS = 1_500_000_000
_TOLD_AT_ONCE = 100
"""States of virtual servers; what happens meanwhile is heard before the next ones are told."""

_WRITING = (Remember, Write)

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
        self._readings = Readings()
        self._pools = Pools()
        self._drains = Drains()
        self._departures = Departures()
        self._settings = Settings()
        self._section = IpvsSection()
        self._touched: dict[str, Pool] = {}
        """There is something to tell of them."""
        self._tell_at_ns: int | None = None
        self._kept = Kept(self._table, self._drains, self._settings)
        self._first_start = False
        self._driver: str | None = None
        self._driver_detail = ""
        self._busy = False
        self._in_flight: tuple[Command, ...] = ()
        self._repairing: set[ServiceKey] = set()
        self._stopping = False
        self._wall_ns = 0
        self._now_ns = 0
        self._settle_at_ns: int | None = None
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
            self._want(self._pools.by_name.values())
        for pool in self._departures.end(self._now_ns, self._table, self._pools.by_name):
            self._evaluate(pool)
        self._ask_driver({type(event) for event in events})
        self._publish()
        return sorted(self._say.effects, key=_tells)

    def wake_at_ns(self) -> int | None:
        """See keepbus.runtime.machine.Machine."""
        deadlines = [self._stop_at_ns, self._departures.wake_at_ns()]
        if not self._busy:
            deadlines += [self._open_at_ns, self._say.changes_at_ns(), self._tell_at_ns]
            if self._driver:
                deadlines += [self._settle_at_ns, self._readings.at_ns]
                if self._settings.concerned:
                    deadlines.append(self._now_ns if self._settings.batch() else self._settings.read_at_ns)
                if self._settle_at_ns is None:
                    deadlines.append(self._table.write_at_ns(self._now_ns))
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    # Events

    def _take(self, event: Any) -> None:
        kind = type(event)
        self._wall_ns = getattr(event, "wall_ns", self._wall_ns)
        if kind is BusMessage:
            self._hear(event.message)
        elif kind is Written:
            self._take_written(event)
        elif kind is TableRead:
            self._take_table(event)
        elif kind is SettingsRead:
            self._busy = False
            self._settings.take(event.daemons, event.timeouts, event.error, self._now_ns)
        elif kind is SettingsWritten:
            self._busy = False
            self._settings.written(event.errors, self._now_ns)
        elif kind is Configured:
            self._configure(event.section)
        elif kind is Recalled:
            self._recall(event)
        elif kind is Opened:
            self._opened(event)
        elif kind is StopRequested:
            self._stop()

    def _configure(self, section: IpvsSection) -> None:
        replaced = self._pools.replace(section.virtual_servers)
        self._section = section
        for complaint in replaced.complaints:
            self._say.log("warning", complaint)
        self._settings.configure(section)
        for pool in replaced.fresh:
            self._drains.mark(pool)
        leave_at_ns = self._now_ns + section.drain_s * 1_000_000_000 if section.drain_s else None
        self._departures.begin(replaced, self._table, self._pools.owners, leave_at_ns)
        for name in replaced.gone:
            self._touched.pop(name, None)
        self._say.withdraw(replaced.gone)
        if not self._kept.is_known:
            self._say.effects.append(Recall())
        elif not self._stopping:
            if self._readings.at_ns is None:
                self._readings.anew(self._now_ns)
            self._want(replaced.fresh)

    def _recall(self, event: Recalled) -> None:
        self._kept.recall(event)
        self._first_start = not event.owned
        for pool in self._pools.by_name.values():
            self._drains.mark(pool)
        for key in event.owned:
            if key not in self._pools.owners:
                self._table.want(key, None)
        if event.owned and self._pools.users:
            self._settle_at_ns = self._now_ns + SETTLE_NS

    def _opened(self, event: Opened) -> None:
        self._busy = False
        if event.detail and event.detail != self._driver_detail:
            self._say.log("warning", event.detail)
        self._driver, self._driver_detail = event.driver, event.detail
        if event.driver:
            self._open_at_ns = None
            self._readings.anew(self._now_ns)
        else:
            self._open_at_ns = self._now_ns + OPEN_AGAIN_NS
        self._want(self._pools.by_name.values())

    def _hear(self, message: Message) -> None:
        body = message.body
        if type(body) is CheckVerdict:
            for pool in self._pools.hear(body, message.header.id):
                self._evaluate(pool)
        elif type(body) is Instance:
            self._settings.hear(body)
        elif type(body) is contract.Drain:
            answer, pools = self._drains.take(body, self._pools.by_name)
            self._say.drained(answer, message.header.id)
            for pool in pools:
                pool.cause = message.header.id
                self._evaluate(pool)
        elif type(body) is contract.VirtualServer and self._settle_at_ns is not None:
            self._pools.adopt(body)

    def _take_table(self, event: TableRead) -> None:
        self._busy = False
        self._wall_ns = event.wall_ns
        if event.error or self._readings.error:
            self._touched |= self._pools.by_name
        if self._readings.take(event, self._now_ns):
            self._say.log("error", event.error)
        if event.error:
            self._say.counts.errors += 1
            self._say.counts.last_error = event.error
            return
        if not self._table.has_read and self._settle_at_ns is not None:
            for service in event.services:
                pool = self._pools.owners.get(service.service.key)
                if pool is not None and service.service.key in self._table.owned:
                    pool.adopt_found(service, event.wall_ns)
        if not self._table.has_read and self._first_start and self._section.flush:
            self._table.take_over((service.service.key for service in event.services), self._pools.owners)
        foreign = self._table.foreign
        for drift in self._table.found(event.services, more=event.more):
            self._repairing.add(drift.key)
            self._say.drift(self._pools.name_of(drift.key), drift)
        if self._table.foreign != foreign:
            self._say.foreign(self._table.foreign)
        if self._say.counters_due(self._now_ns):
            self._touched |= self._pools.of(service.service.key for service in event.services)
        if not event.more:
            self._say.counts.reconciled_ns = event.wall_ns
            unsure_at_ns = self._table.read_at_ns()
            if unsure_at_ns is not None:
                self._readings.soon(unsure_at_ns)

    def _take_written(self, event: Written) -> None:
        self._busy = False
        self._wall_ns = event.wall_ns
        commands, self._in_flight = self._in_flight, ()
        failed = self._table.written(commands, event.errors, self._now_ns)
        for key in failed:
            retry = self._table.retries[key]
            self._readings.soon(retry.at_ns)
            if retry.failures == 1:
                self._say.log(
                    "error", f"{self._pools.name_of(key)} is not in the table as it should be: {retry.error}"
                )
        counts = self._say.counts
        keys = {command.service.key for command in commands}
        self._touched |= self._pools.of(keys)
        for command, error in zip(commands, event.errors, strict=True):
            key = command.service.key
            if error:
                counts.errors += 1
                counts.last_error = f"{words.of_command(command)}: {error}"
                continue
            counts.writes += 1
            counts.drift_repaired += key in self._repairing
            pool = self._pools.owners.get(key)
            cause = "" if pool is None else pool.cause
            self._say.change(Change(self._pools.name_of(key), command, self._reason(command), cause))
        self._repairing -= keys

    def _stop(self) -> None:
        if not self._keep_table and self._driver:
            self._settings.stop()
            if self._section.flush_on_stop:
                self._table.take_over(self._table.foreign, self._pools.owners)
                self._readings.anew(self._now_ns)
        nothing = not self._table.owned and not self._settings.to_undo
        if self._keep_table or not self._driver or nothing:
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
            self._pools.refuse(pool, self._unsupported(self._driver or "", pool.virtual_server) or "")
            self._evaluate(pool)

    def _evaluate(self, pool: Pool) -> None:
        if self._settle_at_ns is not None or not self._kept.is_known or self._stopping:
            return
        init_notifies = self._section.rs_init_notifies
        if pool.evaluate(self._pools.verdicts, self._wall_ns, init_notifies=init_notifies):
            self._say.quorum(pool)
        self._say.servers(pool)
        self._touched[pool.name] = pool
        entries = dict.fromkeys(pool.keys) if pool.error else pool.entries()
        for key, entry in entries.items():
            if entry != self._table.wanted.get(key):
                self._table.want(key, entry)

    def _settled(self) -> bool:
        late = self._now_ns >= (self._settle_at_ns or 0)
        heard = self._table.has_read and self._pools.all_heard()
        return heard or (late and not self._readings.under_way)

    # The driver

    def _ask_driver(self, taken: set[type]) -> None:
        """One batch and one slice a turn at most, in turns: between them the shell beats and reads the bus,
        however long the table is. taken are the kinds of this turn's events."""
        self._remember()
        if self._stop_at_ns is not None and self._now_ns >= self._stop_at_ns:
            self._say.log("error", "the table could not be cleared in time; its entries stay in the kernel")
            self._say.changes(self._now_ns, all_of_them=True)
            self._say.effects.append(Exit(1))
            self._stop_at_ns = None
        if self._busy or not self._kept.is_known:
            return
        idle = not self._pools.by_name and not self._table.owned and not self._settings.concerned
        if idle and not self._stopping and not self._section.flush:
            self._readings.at_ns = None
            return
        if not self._driver:
            if self._open_at_ns is None or self._now_ns >= self._open_at_ns:
                self._ask(Open())
            return
        adjustments = self._settings.next(self._now_ns)
        if adjustments is not None:
            self._remember()
            self._ask(WriteSettings(adjustments) if adjustments else ReadSettings())
            return
        readings = self._readings
        sliced = readings.under_way and TableRead in taken
        is_behind = self._settle_at_ns is None and self._table.is_behind(self._now_ns)
        if readings.begins(self._now_ns, is_behind=is_behind):
            self._table.begin()
            self._ask(readings.ask())
            return
        commands: tuple[Command, ...] = ()
        if self._settle_at_ns is None and Written not in taken and not sliced:
            commands = self._table.batch(self._now_ns)
            self._remember()
        if commands:
            self._in_flight = commands
            self._ask(Write(commands))
        elif self._stopping and not self._table.owned and not self._settings.to_undo:
            self._leave()
        elif readings.under_way and not sliced:
            self._ask(readings.ask())

    def _ask(self, effect: Effect) -> None:
        self._busy = True
        self._say.effects.append(effect)

    def _remember(self) -> None:
        changed = self._kept.changed()
        if changed is not None:
            self._say.effects.append(changed)

    def _leave(self) -> None:
        self._touched.clear()
        self._say.changes(self._now_ns, all_of_them=True)
        self._say.farewell(self._pools.by_name.values(), self._table, self._wall_ns)
        self._stop_at_ns = self._readings.at_ns = None
        self._say.effects.append(Exit())

    # Telling

    def _reason(self, command: Command) -> str:
        if command.service.key in self._repairing:
            return "put back what somebody else changed"
        return "ipvs stops" if self._stopping else self._pools.reason_of(command)

    def _publish(self) -> None:
        self._tell_at_ns = None
        if self._busy or self._stopping:
            return
        if self._settle_at_ns is None and self._table.is_behind(self._now_ns):
            # There is more to write, and that comes first.
            return
        self._say.changes(self._now_ns)
        self._touched |= self._pools.of(self._table.take_healed())
        read_error = self._readings.error
        if self._table.has_read or self._driver == "" or read_error:
            error = read_error or ("" if self._driver else self._driver_detail)
            names = list(islice(self._touched, _TOLD_AT_ONCE))
            pools = [self._touched.pop(name) for name in names]
            self._say.virtual_servers(pools, self._table, error, self._now_ns)
            self._tell_at_ns = self._now_ns if self._touched else None
        self._say.sync_daemon(self._settings.body())
        if not self._readings.under_way and not self._touched:
            if self._driver and self._table.has_read:
                self._say.table(self._driver, self._table, self._now_ns)
            self._say.counters_told(self._now_ns)
        self._say.effects.append(
            report(
                len(self._pools.by_name),
                self._pools.refused,
                self._table,
                self._settings,
                Driver(self._driver, self._driver_detail, read_error, self._settle_at_ns is not None),
                self._pools.name_of,
            )
        )


def _tells(effect: Effect) -> bool:
    """False for what comes before everything else."""
    return type(effect) not in _WRITING
