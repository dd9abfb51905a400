"""What the shell asks of a driver, and how one is chosen. Only the chosen one is imported."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

from keepbus.runtime.loop import Loop
from keepbus_ipvs.diff import Command
from keepbus_ipvs.events import SettingsRead, SettingsWritten, TableRead, Written
from keepbus_ipvs.settings import Adjustment

CHOICES = ("auto", "ipvs", "nftables", "dry-run")


class DriverError(Exception):
    """No driver can be had; the message says what to do."""


class Driver(Protocol):
    """Carries out one request at a time. What takes time answers None, and later through the loop."""

    name: str

    def read(self, *, further: bool = False) -> Iterable[TableRead] | None:
        """Read the table, or a slice of it; further: the next slice of the reading under way."""
        ...

    def write(self, commands: Sequence[Command]) -> Iterable[Written] | None:
        """Carry out commands in order; one that fails does not stop the next."""
        ...

    def read_settings(self) -> SettingsRead:
        """What there is once for the whole host."""
        ...

    def write_settings(self, adjustments: Sequence[Adjustment]) -> SettingsWritten:
        """Change it."""
        ...

    def close(self) -> None:
        """Let go of sockets and processes; the table stays."""
        ...


def open_driver(choice: str, run_dir: Path, loop: Loop) -> tuple[Driver, str]:
    """The driver, and a sentence when `auto` had to settle for less; raises DriverError."""
    if choice == "dry-run":
        from keepbus_ipvs.dry_run import DryRun

        return DryRun(run_dir / "ipvs" / "dry-run.json"), ""
    if choice == "nftables":
        return _open_nftables(run_dir, loop), ""
    from keepbus_ipvs.kernel import Kernel

    missing = Kernel.missing()
    if not missing:
        return Kernel(), ""
    if choice == "ipvs":
        raise DriverError(f"{missing}, or use --ipvs-driver nftables")
    try:
        driver = _open_nftables(run_dir, loop)
    except DriverError as error:
        raise DriverError(f"{missing}; {error}") from None
    return driver, f"{missing}; NAT through nftables stands in"


def _open_nftables(run_dir: Path, loop: Loop) -> Driver:
    from keepbus_ipvs.nftables import Nftables

    missing = Nftables.missing()
    if missing:
        raise DriverError(missing)
    return Nftables(run_dir / "ipvs" / "nftables.json", loop)


Opener = Callable[[], tuple[Driver, str]]
