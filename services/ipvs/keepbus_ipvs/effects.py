"""What the ipvs machine wishes to be done, besides the effects that every service has."""

from __future__ import annotations

from typing import NamedTuple

from keepbus_ipvs.diff import Command
from keepbus_ipvs.table import ServiceKey


class Recall(NamedTuple):
    """Tell which services an earlier process wrote; answered by `Recalled`."""


class Remember(NamedTuple):
    """Keep these keys over the death of this process."""

    owned: tuple[ServiceKey, ...]


class Open(NamedTuple):
    """Get a driver; answered by `Opened`."""


class ReadTable(NamedTuple):
    """Read the whole table; answered by `TableRead`."""


class Write(NamedTuple):
    """Carry out commands, in order, each by itself; answered by `Written`."""

    commands: tuple[Command, ...]
