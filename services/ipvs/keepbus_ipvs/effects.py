"""What the ipvs machine wishes to be done, besides the effects that every service has."""

from __future__ import annotations

from typing import NamedTuple

from keepbus_ipvs.diff import Command
from keepbus_ipvs.drains import Drained
from keepbus_ipvs.settings import Adjustment, Seconds
from keepbus_ipvs.table import ServiceKey


class Recall(NamedTuple):
    """Tell which services an earlier process wrote; answered by `Recalled`."""


class Remember(NamedTuple):
    """Keep this over the death of this process; see `Recalled`."""

    owned: tuple[ServiceKey, ...]
    drained: tuple[Drained, ...] = ()
    sync_daemon: bool = False
    timeouts: Seconds | None = None


class Open(NamedTuple):
    """Get a driver; answered by `Opened`."""


class ReadTable(NamedTuple):
    """Read the table, or a slice of it; answered by `TableRead`."""

    further: bool = False
    """True: the next slice of the reading under way; False: a reading from the beginning."""


class ReadSettings(NamedTuple):
    """Read what IPVS has for the whole host; answered by `SettingsRead`."""


class WriteSettings(NamedTuple):
    """Change it, in order, each by itself; answered by `SettingsWritten`."""

    adjustments: tuple[Adjustment, ...]


class Write(NamedTuple):
    """Carry out commands, in order, each by itself; answered by `Written`."""

    commands: tuple[Command, ...]
