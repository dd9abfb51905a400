"""NAT through nftables, for kernels without ip_vs: `nft --json`, one process at a time, never waited for.

What was written is kept in a file together with the hash of how `nft` lists it. A service counts as found
while its listing still has that hash; so a reader needs no understanding of rules, a restart finds its work
again, and a table that somebody flushed is seen.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from keepbus.runtime.loop import Loop
from keepbus_ipvs import memory, rules
from keepbus_ipvs.diff import Command, apply
from keepbus_ipvs.events import SettingsRead, SettingsWritten, TableRead, Written
from keepbus_ipvs.settings import Adjustment
from keepbus_ipvs.table import Entry, FoundDestination, FoundService, ServiceKey

_NFT = "nft"
_CANNOT_RUN = 127
"""As a shell says it."""
NO_SETTINGS = "the nftables driver has no lvs_sync_daemon and lvs_timeouts; use the ipvs driver"
_LIST = ("--json", "--terse", "list", "table", rules.FAMILY, rules.TABLE)
"""Without the content of sets: they hold every client that is remembered."""
_LIST_MAPS = ("--json", "list", "maps", rules.FAMILY)
_TIME_LIMIT_NS = 5_000_000_000
_SECOND_NS = 1_000_000_000
_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"


class Finished(NamedTuple):
    """How a run of nft ended."""

    status: int
    output: str
    error: str
    """Last line of standard error."""


class Ask(NamedTuple):
    """A run of nft: arguments, and what it reads."""

    arguments: tuple[str, ...]
    script: str = ""


Answer = TableRead | Written
Steps = Generator[Ask, Finished, Answer]
Listing = dict[str, list[dict[str, Any]]]


class Nftables:
    """The table `inet keepbus` in this network namespace."""

    name = "nftables"

    def __init__(self, path: Path, loop: Loop) -> None:
        """path is the file that remembers what was written."""
        self._path = path
        self._loop = loop
        self._entries: dict[ServiceKey, Entry] = {}
        self._digests: dict[ServiceKey, str] = {}
        self._base = ""
        self._present = rules.Present()
        """As last listed."""
        self._running: _Run | None = None
        self._recall()
        loop.every(_SECOND_NS, self._end_late)

    @classmethod
    def missing(cls) -> str:
        """Why nft cannot be used and what to do; empty when it can."""
        command = shutil.which(_NFT, path=_PATH)
        if command is None:
            return "there is no nft command: install the package nftables"
        try:
            probe = subprocess.run([command, "list", "tables"], capture_output=True, timeout=5, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"nft does not run ({error}): install the package nftables anew"
        if probe.returncode:
            return (
                f"nft may not list tables ({_last_line(probe.stderr.decode(errors='replace'))}): "
                "run the node as root, or in a user namespace with `unshare -Urnm`"
            )
        return ""

    def read(self, *, further: bool = False) -> Iterable[TableRead] | None:
        """List the table, never in slices; the answer comes later, or at once when nft cannot be run."""
        return self._begin(self._read_steps())

    def write(self, commands: Sequence[Command]) -> Iterable[Written] | None:
        """Write the changed services in one transaction, singly if that fails; the answer comes later."""
        return self._begin(self._write_steps(commands))

    def read_settings(self) -> SettingsRead:
        """There is nothing of this kind."""
        return SettingsRead((), (0, 0, 0), NO_SETTINGS)

    def write_settings(self, adjustments: Sequence[Adjustment]) -> SettingsWritten:
        """Nothing can be changed."""
        return SettingsWritten((NO_SETTINGS,) * len(adjustments))

    def close(self) -> None:
        """End a running nft; the table stays."""
        if self._running is not None:
            self._running.process.kill()
            self._running.process.wait()
            self._forget_run()

    def _read_steps(self) -> Steps:
        started_ns = time.monotonic_ns()
        listing, error = yield from self._list()
        found = rules.digests(listing)
        if rules.base_digest(found) != self._base:
            found = {}
        services = []
        for key, entry in self._entries.items():
            if rules.digest(entry, found) == self._digests.get(key):
                counted = rules.connections(entry, listing)
                destinations = (
                    FoundDestination(each, total=counted[each.key]) for each in entry.destinations.values()
                )
                services.append(FoundService(entry.service, tuple(destinations)))
        return TableRead(tuple(services), time.monotonic_ns() - started_ns, time.time_ns(), error)

    def _write_steps(self, commands: Sequence[Command]) -> Steps:
        wanted = dict(self._entries)
        for command in commands:
            entry = apply(wanted.get(command.service.key), command)
            if entry is None:
                wanted.pop(command.service.key, None)
            else:
                wanted[command.service.key] = entry
        keys = list(dict.fromkeys(command.service.key for command in commands))
        failed: dict[ServiceKey, str] = {}
        written = yield self._transaction(keys, wanted)
        if written.status:
            for key in keys:
                single = yield self._transaction([key], wanted)
                if single.status:
                    failed[key] = f"nft refuses it: {single.error}"
        for key in keys:
            if key in failed:
                continue
            self._entries.pop(key, None)
            if key in wanted:
                self._entries[key] = wanted[key]
        if not self._entries and not failed:
            yield Ask(("--json", "--file", "-"), _script(rules.clear()))
        listing, _error = yield from self._list()
        found = rules.digests(listing)
        self._base = rules.base_digest(found)
        for key in keys:
            self._digests.pop(key, None)
            if key in self._entries:
                self._digests[key] = rules.digest(self._entries[key], found)
        self._remember()
        return Written(tuple(failed.get(command.service.key, "") for command in commands), time.time_ns())

    def _list(self) -> Generator[Ask, Finished, tuple[Listing, str]]:
        """The table, and why there is none."""
        listed = yield Ask(_LIST)
        if listed.status:
            self._present = rules.Present()
            error = "" if "No such file" in listed.error else listed.error
            return {}, error and f"cannot list the nftables table: {error}"
        maps = yield Ask(_LIST_MAPS)
        if maps.status:
            return {}, f"cannot list the nftables maps: {maps.error}"
        listing: Listing = json.loads(listed.output)
        listing["nftables"] = [item for item in listing["nftables"] if "map" not in item]
        listing["nftables"] += (
            item
            for item in json.loads(maps.output)["nftables"]
            if item.get("map", {}).get("table") == rules.TABLE
        )
        self._present = rules.Present.of(listing)
        return listing, ""

    def _transaction(self, keys: Iterable[ServiceKey], wanted: dict[ServiceKey, Entry]) -> Ask:
        commands = rules.base()
        for key in keys:
            commands += (
                rules.install(wanted[key], self._present)
                if key in wanted
                else rules.remove(key, self._present)
            )
        return Ask(("--json", "--file", "-"), _script(commands))

    # One process at a time

    def _begin(self, steps: Steps) -> list[Any]:
        assert self._running is None, "the machine has one request in flight"
        return self._go_on(steps, next(steps))

    def _go_on(self, steps: Steps, ask: Ask) -> list[Any]:
        """Run what is asked for; the answer when the steps end before nft could be run again."""
        while True:
            try:
                self._running = _run(steps, ask)
            except OSError as error:
                try:
                    ask = steps.send(Finished(_CANNOT_RUN, "", f"nft cannot be run: {error.strerror}"))
                except StopIteration as stop:
                    return [stop.value]
            else:
                self._loop.watch(self._running.pidfd, self._ended)
                return []

    def _ended(self, _mask: int) -> list[Answer]:
        run = self._running
        if run is None:
            return []
        status = run.process.wait()
        output, error = (_content(fd) for fd in run.files[1:])
        self._forget_run()
        try:
            ask = run.steps.send(Finished(status, output, _last_line(error)))
        except StopIteration as stop:
            return [stop.value]
        return self._go_on(run.steps, ask)

    def _end_late(self, _now_ns: int) -> None:
        if self._running is not None and time.monotonic_ns() > self._running.end_at_ns:
            self._running.process.kill()

    def _forget_run(self) -> None:
        run = self._running
        self._running = None
        if run is not None:
            self._loop.unwatch(run.pidfd)
            for fd in (run.pidfd, *run.files):
                os.close(fd)

    # Memory

    def _recall(self) -> None:
        data = memory.load(self._path)
        try:
            self._base = data["base"]
            for item in data["services"]:
                found = memory.service_from_plain(item)
                self._entries[found.service.key] = found.entry()
                self._digests[found.service.key] = item["digest"]
        except (KeyError, TypeError, ValueError):
            self._entries, self._digests, self._base = {}, {}, ""

    def _remember(self) -> None:
        services = []
        for key, entry in self._entries.items():
            found = FoundService(entry.service, tuple(map(FoundDestination, entry.destinations.values())))
            services.append({**memory.service_to_plain(found), "digest": self._digests[key]})
        try:
            memory.save(self._path, {"base": self._base, "services": services})
        except OSError:
            # Without it a restart finds nothing of its own and writes every service anew: no harm.
            return


class _Run(NamedTuple):
    steps: Steps
    process: subprocess.Popen[bytes]
    pidfd: int
    files: list[int]
    end_at_ns: int


def _run(steps: Steps, ask: Ask) -> _Run:
    """Start nft. Raises OSError when it cannot be started, or there are not the descriptors for it."""
    with contextlib.ExitStack() as undone:
        files = []
        for name in ("input", "output", "error"):
            files.append(os.memfd_create(name, os.MFD_CLOEXEC))
            undone.callback(os.close, files[-1])
        os.pwrite(files[0], ask.script.encode(), 0)
        process = subprocess.Popen(
            [shutil.which(_NFT, path=_PATH) or _NFT, *ask.arguments],
            stdin=files[0],
            stdout=files[1],
            stderr=files[2],
        )
        undone.callback(process.wait)
        undone.callback(process.kill)
        pidfd = os.pidfd_open(process.pid)
        undone.pop_all()
    return _Run(steps, process, pidfd, files, time.monotonic_ns() + _TIME_LIMIT_NS)


def _script(commands: list[rules.Object]) -> str:
    return json.dumps({"nftables": commands})


def _content(fd: int) -> str:
    return os.pread(fd, os.fstat(fd).st_size, 0).decode(errors="replace")


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip(" ^~")]
    return lines[0].strip() if lines else "no reason given"
