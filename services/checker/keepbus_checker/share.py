"""Which checks are this process's, when several probe: by the target's address, so each target has one.

The first process is the service `checker`; it has everything that is not probed over the network, too. The
others are `checker-2`, `checker-3`, …: each with a lock, a heartbeat and a place under supervision of its
own, and each tells its own verdicts.
"""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import NamedTuple

from keepbus.config.model.checker import CheckerSection


class Share(NamedTuple):
    """`number` of `processes`, from 1."""

    number: int = 1
    processes: int = 1

    @classmethod
    def of(cls, text: str) -> Share:
        """`2/4`: the second of four. Raises ValueError."""
        number, slash, processes = text.partition("/")
        if not slash or not 1 <= int(number) <= int(processes):
            raise ValueError(f"NUMBER/PROCESSES expected, not {text}")
        return cls(int(number), int(processes))

    @property
    def name(self) -> str:
        """Of the service that this process is."""
        return "checker" if self.number == 1 else f"checker-{self.number}"

    def part(self, section: CheckerSection) -> CheckerSection:
        """What this process does of a configuration."""
        if self.processes == 1:
            return section
        mine = tuple(check for check in section.checks if self._has(check.address))
        if self.number == 1:
            return replace(section, checks=mine)
        return replace(section, checks=mine, track_scripts=(), track_processes=(), track_files=())

    def _has(self, address: str) -> bool:
        """Scripts, files and sessions have no address: the first process has them."""
        place = zlib.crc32(address.encode()) % self.processes if address else 0
        return place == self.number - 1
