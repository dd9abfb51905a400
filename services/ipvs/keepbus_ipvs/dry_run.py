"""A driver that writes nothing to the kernel: its table is a file that can be looked at.

Law of this file: the file is the table, whoever wrote it. As long as it is the one that was written last it
is not read again, and the text of a service that is as it was is at hand.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from keepbus_ipvs import memory, words
from keepbus_ipvs.diff import Command, Verb, apply
from keepbus_ipvs.events import SettingsRead, SettingsWritten, TableRead, Written
from keepbus_ipvs.settings import Act, Adjustment, Daemon, Seconds
from keepbus_ipvs.table import Destination, Entry, FoundDestination, FoundService, ServiceKey, Table

KERNEL_TIMEOUTS = (900, 120, 300)


class DryRun:
    """Keeps the table in RUNDIR/ipvs/dry-run.json. Removing the file is its `ipvsadm -C`."""

    name = "dry-run"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._table: Table = {}
        self._texts: dict[ServiceKey, str] = {}
        self._stamp: tuple[int, int] | None = None
        """Of the file that holds this table; None: of none."""
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
        for key in dict.fromkeys(command.service.key for command in commands):
            if key in table:
                self._texts[key] = _text(table[key])
            else:
                self._texts.pop(key, None)
        try:
            memory.replace(self._path, "[\n{}\n]\n".format(",\n".join(self._texts.values())))
            self._stamp = self._stamp_now()
        except OSError as error:
            self._stamp = None
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
        stamp = self._stamp_now()
        if stamp is None or stamp != self._stamp:
            try:
                found = [memory.service_from_plain(item) for item in memory.load(self._path) or ()]
            except (KeyError, TypeError, ValueError):
                found = []
            self._table = {service.service.key: service.entry() for service in found}
            self._texts = {key: _text(entry) for key, entry in self._table.items()}
            self._stamp = stamp
        return self._table

    def _stamp_now(self) -> tuple[int, int] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns


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


def _text(entry: Entry) -> str:
    """The entry as JSON, on top of it the lines that `ipvsadm -Ln` would show."""
    lines = ",\n  ".join(map(json.dumps, _lines(entry)))
    data = json.dumps(memory.service_to_plain(_found(entry)))
    return f'{{"ipvsadm": [\n  {lines}],\n {data[1:]}'


def _lines(entry: Entry) -> list[str]:
    key = entry.service.key
    protocol = words.PROTOCOLS.get(key.protocol, "?").upper()
    first = f"{protocol}  {words.of_endpoint(key)} {entry.service.scheduler}"
    if entry.service.timeout_s:
        first += f" persistent {entry.service.timeout_s}"
    return [first, *(_line(destination) for destination in entry.destinations.values())]


def _line(destination: Destination) -> str:
    method = words.FORWARDING_NAMES.get(destination.forwarding, "?")
    return f"  -> {words.of_endpoint(destination.key):<28} {method:<7} {destination.weight}"
