"""A driver that writes nothing to the kernel: its table is a file that can be looked at."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from keepbus_ipvs import memory, words
from keepbus_ipvs.diff import Command, Verb, apply
from keepbus_ipvs.events import SettingsRead, SettingsWritten, TableRead, Written
from keepbus_ipvs.settings import Act, Adjustment, Daemon, Seconds
from keepbus_ipvs.table import Destination, Entry, FoundDestination, FoundService, Table

KERNEL_TIMEOUTS = (900, 120, 300)


class DryRun:
    """Keeps the table in RUNDIR/ipvs/dry-run.json. Removing the file is its `ipvsadm -C`."""

    name = "dry-run"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._daemons: dict[int, Daemon] = {}
        self._timeouts: Seconds = KERNEL_TIMEOUTS

    def read(self, *, further: bool = False) -> Iterable[TableRead]:
        """The table in the file; an empty one when there is no file or it is not whole. Never in slices."""
        started_ns = time.monotonic_ns()
        services = tuple(_found(entry) for entry in self._load().values())
        return [TableRead(services, time.monotonic_ns() - started_ns, time.time_ns())]

    def write(self, commands: Sequence[Command]) -> Iterable[Written]:
        """Change the file, refusing what the kernel would refuse for what is there (V8, V9)."""
        table = self._load()
        errors = [_carry_out(table, command) for command in commands]
        try:
            memory.save(self._path, [_to_plain(entry) for entry in table.values()])
        except OSError as error:
            errors = [f"cannot write {self._path}: {error.strerror}"] * len(errors)
        return [Written(tuple(errors), time.time_ns())]

    def read_settings(self) -> SettingsRead:
        """What was written, after a start nothing."""
        return SettingsRead(tuple(self._daemons.values()), self._timeouts)

    def write_settings(self, adjustments: Sequence[Adjustment]) -> SettingsWritten:
        """Keep it for as long as the process lives."""
        for act, daemon, seconds in adjustments:
            if daemon is None:
                self._timeouts = seconds
            elif act is Act.START:
                self._daemons[daemon.role] = daemon
            else:
                self._daemons.pop(daemon.role, None)
        return SettingsWritten(("",) * len(adjustments))

    def close(self) -> None:
        """Nothing is held."""

    def _load(self) -> Table:
        try:
            found = [memory.service_from_plain(item) for item in memory.load(self._path) or ()]
        except (KeyError, TypeError, ValueError):
            return {}
        return {service.service.key: service.entry() for service in found}


def _carry_out(table: Table, command: Command) -> str:
    verb, service, destination = command
    entry = table.get(service.key)
    if (verb is Verb.ADD_SERVICE) == (entry is not None):
        return "service exists already" if entry else "no such service"
    if destination is not None and entry is not None:
        present = destination.key in entry.destinations
        if (verb is Verb.ADD_DESTINATION) == present:
            return "destination exists already" if present else "no such destination"
    changed = apply(entry, command)
    if changed is None:
        del table[service.key]
    else:
        table[service.key] = changed
    return ""


def _found(entry: Entry) -> FoundService:
    return FoundService(entry.service, tuple(map(FoundDestination, entry.destinations.values())))


def _to_plain(entry: Entry) -> dict[str, object]:
    return {"ipvsadm": _lines(entry), **memory.service_to_plain(_found(entry))}


def _lines(entry: Entry) -> list[str]:
    """The entry as `ipvsadm -Ln` shows it."""
    key = entry.service.key
    protocol = words.PROTOCOLS.get(key.protocol, "?").upper()
    first = f"{protocol}  {words.of_endpoint(key)} {entry.service.scheduler}"
    if entry.service.timeout_s:
        first += f" persistent {entry.service.timeout_s}"
    return [first, *(_line(destination) for destination in entry.destinations.values())]


def _line(destination: Destination) -> str:
    method = words.FORWARDING_NAMES.get(destination.forwarding, "?")
    return f"  -> {words.of_endpoint(destination.key):<28} {method:<7} {destination.weight}"
