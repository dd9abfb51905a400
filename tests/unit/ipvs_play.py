"""The playbook of the ipvs machine: events in, effects out, a table that can be made to fail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from keepbus_ipvs.diff import Command, apply
from keepbus_ipvs.effects import (
    Open,
    ReadSettings,
    ReadTable,
    Recall,
    Remember,
    Write,
    WriteSettings,
)
from keepbus_ipvs.events import Opened, Recalled, SettingsRead, SettingsWritten, TableRead, Written
from keepbus_ipvs.machine import Machine
from keepbus_ipvs.pool import Pool
from keepbus_ipvs.settings import Act, Adjustment, Daemon
from keepbus_ipvs.table import Entry, FoundDestination, FoundService, ServiceKey
from keepbus_ipvs.words import of_command

from keepbus.config import ipvs_drivers
from keepbus.config.model.ipvs import (
    CheckUse,
    Forwarding,
    IpvsSection,
    RealServer,
    SorryServer,
    VirtualServer,
)
from keepbus.contracts.checker import CheckVerdict, Evidence, Verdict
from keepbus.contracts.message import Header, Message, topic_of
from keepbus.runtime.machine import (
    BusMessage,
    Configured,
    Exit,
    Log,
    Publish,
    Report,
    StopRequested,
    Withdraw,
)

SECOND = 1_000_000_000
WALL_NS = 1_700_000_000 * SECOND
T = TypeVar("T")


class Play:
    """A machine and its world: a table, a memory, a clock."""

    def __init__(
        self, table: dict[ServiceKey, Entry] | None = None, owned: Sequence[ServiceKey] = (), **options: Any
    ) -> None:
        self.machine = Machine(ipvs_drivers.unsupported, **options)
        self.table: dict[ServiceKey, Entry] = {} if table is None else table
        self.memory = Remember(tuple(owned))
        """What outlives the process."""
        self.daemons: dict[int, Daemon] = {}
        self.timeouts = (900, 120, 300)
        self.settings_error = ""
        """The error that every change of daemons and time-outs meets; empty: none."""
        self.adjusted: list[Adjustment] = []
        self.now_ns = 1000 * SECOND
        self.driver = Opened("ipvs", "")
        self.fails: dict[str, str] = {}
        """Words of a command: the error that it meets."""
        self.refuses = ""
        """The error that every command meets; empty: none."""
        self.loses_answers = False
        """True: commands are carried out and said to have failed."""
        self.read_error = ""
        self.reading_took_ns = 1000
        self.silent = False
        """True: the driver's answer to a write does not come by itself."""
        self.deaf = False
        """True: the driver's answer to a reading does not come by itself."""
        self.slice = 1_000_000
        """A reading has so many services in each of its slices."""
        self._unread: list[FoundService] = []
        self.turns: list[tuple[int, list[Any], list[Any]]] = []
        """Every turn so far: its moment, events and effects."""
        self.effects: list[Any] = []
        self.written: list[str] = []
        self.batches: list[list[str]] = []
        self.status: Report | None = None
        self._sequence = 0

    def turn(self, *events: Any) -> None:
        """A turn, and those that its answers call for."""
        answers: list[Any] = list(events)
        for _ in range(1000):
            effects = self.machine.turn(self.now_ns, answers)
            self.turns.append((self.now_ns, answers, effects))
            answers = [answer for effect in effects for answer in self._perform(effect)]
            due_at_ns = self.machine.wake_at_ns()
            if not answers and (due_at_ns is None or due_at_ns > self.now_ns):
                return
        raise AssertionError("the machine is due again and again without doing anything")

    def wait(self, seconds: float) -> None:
        """Let time pass, turning whenever the machine is due."""
        end_ns = self.now_ns + int(seconds * SECOND)
        while True:
            due_at_ns = self.machine.wake_at_ns()
            if due_at_ns is None or due_at_ns > end_ns:
                break
            self.now_ns = max(due_at_ns, self.now_ns)
            self.turn()
        self.now_ns = end_ns

    @property
    def owned(self) -> tuple[ServiceKey, ...]:
        """Keys of the services that it says are its own."""
        return self.memory.owned

    def configure(self, *servers: VirtualServer, **settings: Any) -> None:
        self.turn(Configured(1, IpvsSection(virtual_servers=servers, **settings), WALL_NS))

    def hear(self, body: Any, source: str = "cli") -> str:
        """Any message from the bus; its id."""
        self._sequence += 1
        header = Header(1, "node", source, "boot", self._sequence, 1, WALL_NS, WALL_NS, "")
        self.turn(BusMessage(Message(topic_of(body, source), header, body), WALL_NS))
        return header.id

    def verdict(self, check: str, verdict: Verdict, received: str = "connected") -> str:
        """A verdict comes; its id."""
        message = self.message(check, verdict, received)
        self.turn(BusMessage(message, WALL_NS))
        return message.header.id

    def message(self, check: str, verdict: Verdict, received: str = "connected") -> Message:
        """A verdict with the next number."""
        self._sequence += 1
        return verdict_message(check, verdict, received, self._sequence)

    def stop(self) -> None:
        self.turn(StopRequested(WALL_NS))

    def take(self) -> list[str]:
        """Commands carried out or refused since the last call."""
        written, self.written = self.written, []
        return written

    def told(self, kind: type[T]) -> list[T]:
        """Bodies of one class, oldest first."""
        return [
            effect.body
            for effect in self.effects
            if isinstance(effect, Publish) and isinstance(effect.body, kind)
        ]

    def published(self, kind: type) -> list[Publish]:
        return [
            effect for effect in self.effects if isinstance(effect, Publish) and type(effect.body) is kind
        ]

    def of(self, kind: type[T]) -> list[T]:
        """Effects of one class."""
        return [effect for effect in self.effects if isinstance(effect, kind)]

    def _perform(self, effect: Any) -> list[Any]:
        self.effects.append(effect)
        if isinstance(effect, Report):
            self.status = effect
        if isinstance(effect, Recall):
            return [Recalled(*self.memory)]
        if isinstance(effect, Remember):
            self.memory = effect
        if isinstance(effect, ReadSettings):
            return [SettingsRead(tuple(self.daemons.values()), self.timeouts)]
        if isinstance(effect, WriteSettings):
            return [SettingsWritten(tuple(map(self._adjust, effect.adjustments)))]
        if isinstance(effect, Open):
            return [self.driver]
        if isinstance(effect, ReadTable):
            return [] if self.deaf else [self.reading(further=effect.further)]
        if isinstance(effect, Write):
            return self._write(effect.commands)
        assert isinstance(effect, Recall | Remember | Publish | Withdraw | Report | Log | Exit), effect
        return []

    def reading(self, *, further: bool = False) -> TableRead:
        """What the driver answers to a reading now: as the kernel does, with services as they were when the
        reading began and destinations as they are."""
        if not further:
            self._unread = list(self.found())
        part, self._unread = self._unread[: self.slice], self._unread[self.slice :]
        now = {found.service.key: found for found in self.found()}
        services = tuple(
            FoundService(found.service, now[found.service.key].destinations)
            for found in part
            if found.service.key in now
        )
        more = bool(self._unread) and not self.read_error
        return TableRead(services, self.reading_took_ns, WALL_NS, self.read_error, more)

    def found(self) -> tuple[FoundService, ...]:
        if self.read_error:
            return ()
        return tuple(
            FoundService(entry.service, tuple(map(FoundDestination, entry.destinations.values())))
            for entry in self.table.values()
        )

    def _adjust(self, adjustment: Adjustment) -> str:
        """The kernel's answers (V21)."""
        if self.settings_error:
            return self.settings_error
        act, daemon, seconds = adjustment
        self.adjusted.append(adjustment)
        if daemon is None:
            self.timeouts = seconds
        elif act is Act.START:
            assert daemon.role not in self.daemons, "EEXIST"
            self.daemons[daemon.role] = daemon
        else:
            del self.daemons[daemon.role]
        return ""

    def _write(self, commands: Sequence[Command]) -> list[Any]:
        self.batches.append([of_command(command) for command in commands])
        self.written += self.batches[-1]
        if self.silent:
            return []
        errors = []
        for command in commands:
            error = self.refuses or self.fails.get(of_command(command), "")
            errors.append("the kernel's answer was lost" if self.loses_answers else error)
            if error:
                continue
            entry = apply(self.table.get(command.service.key), command)
            if entry is None:
                self.table.pop(command.service.key, None)
            else:
                self.table[command.service.key] = entry
        return [Written(tuple(errors), WALL_NS)]


def verdict_message(check: str, verdict: Verdict, received: str = "connected", sequence: int = 1) -> Message:
    body = CheckVerdict(
        check=check,
        kind="TCP_CHECK",
        target=check.partition(":")[2],
        verdict=verdict,
        changes=1,
        since_ns=WALL_NS + sequence,
        probes=1,
        failures=0,
        evidence=Evidence(sent="TCP connect", received=received, took_us=10, at_ns=WALL_NS),
    )
    header = Header(1, "node", "checker", "boot", sequence, 1, WALL_NS, WALL_NS, "")
    return Message(topic_of(body, "checker"), header, body)


def check_of(address: str, port: int = 80) -> str:
    return f"TCP_CHECK:{address}:{port}"


def real(
    address: str, weight: int = 1, *, alpha: bool = False, checked: bool = True, **fields: Any
) -> RealServer:
    checks = (CheckUse(check=check_of(address), alpha=alpha),) if checked else ()
    fields.setdefault("forwarding", Forwarding.DR)
    return RealServer(address=address, port=80, weight=weight, checks=checks, **fields)


def virtual(
    *servers: RealServer, address: str = "172.16.1.254", sorry: str = "", **fields: Any
) -> VirtualServer:
    fields.setdefault("scheduler", "rr")
    fields.setdefault("forwarding", Forwarding.DR)
    sorry_inhibit = fields.pop("sorry_inhibit", False)
    sorry_server = (
        SorryServer(address=sorry, port=80, forwarding=fields["forwarding"], inhibit=sorry_inhibit)
        if sorry
        else None
    )
    return VirtualServer(address=address, port=80, sorry_server=sorry_server, real_servers=servers, **fields)


def only_entry(pool: Pool) -> Entry:
    """What the table should hold of a virtual server that is one service."""
    (entry,) = pool.entries().values()
    return entry
