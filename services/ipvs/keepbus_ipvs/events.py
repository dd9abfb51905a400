"""What happens to the ipvs machine, besides the events that every service has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from keepbus.runtime.machine import Configured, StopRequested
from keepbus_ipvs.drains import Drained
from keepbus_ipvs.settings import Daemon, Seconds
from keepbus_ipvs.table import (
    Destination,
    DestinationKey,
    FoundDestination,
    FoundService,
    Service,
    ServiceKey,
)


class Recalled(NamedTuple):
    """What an earlier process remembered; empty at a first start."""

    owned: tuple[ServiceKey, ...]
    drained: tuple[Drained, ...] = ()
    sync_daemon: bool = False
    """True when it had started one."""
    timeouts: Seconds | None = None
    """As they were before it changed them."""


class Opened(NamedTuple):
    """A driver is there, or none can be had."""

    driver: str
    """`ipvs`, `nftables` or `dry-run`; empty when there is none."""
    detail: str
    """A sentence for the operator: why this driver, or why none and what to do; empty when it was named."""


class TableRead(NamedTuple):
    """The table or a slice of it, or why it cannot be read."""

    services: tuple[FoundService, ...]
    took_ns: int
    wall_ns: int
    error: str = ""
    more: bool = False
    """True: there is more of the table, for the next request; False: this was all or the last of it."""


class Written(NamedTuple):
    """The outcome of the last `Write`, one sentence per command in its order; empty: done."""

    errors: tuple[str, ...]
    wall_ns: int


class SettingsRead(NamedTuple):
    """What IPVS has for the whole host, or why it cannot be read."""

    daemons: tuple[Daemon, ...]
    timeouts: Seconds
    error: str = ""


class SettingsWritten(NamedTuple):
    """The outcome of the last `WriteSettings`, one sentence each in its order; empty: done."""

    errors: tuple[str, ...]


def _recalled(
    owned: Sequence[Sequence[Any]],
    drained: Sequence[Sequence[str]] = (),
    sync_daemon: bool = False,
    timeouts: Sequence[int] | None = None,
) -> Recalled:
    return Recalled(
        tuple(ServiceKey(*key) for key in owned),
        tuple((name, server) for name, server in drained),
        sync_daemon,
        None if timeouts is None else (timeouts[0], timeouts[1], timeouts[2]),
    )


def _settings_read(daemons: Sequence[Any], timeouts: Sequence[int], error: str) -> SettingsRead:
    tcp, fin, udp = timeouts
    return SettingsRead(tuple(Daemon(*each) for each in daemons), (tcp, fin, udp), error)


def _table_read(
    services: Sequence[Any], took_ns: int, wall_ns: int, error: str, more: bool = False
) -> TableRead:
    found = tuple(_found_service(*service) for service in services)
    return TableRead(found, took_ns, wall_ns, error, more)


def _found_service(service: Sequence[Any], destinations: Sequence[Any]) -> FoundService:
    key, *settings = service
    return FoundService(
        Service(ServiceKey(*key), *settings), tuple(_found_destination(*each) for each in destinations)
    )


def _found_destination(
    destination: Sequence[Any], active: int, inactive: int, total: int = 0
) -> FoundDestination:
    key, *settings = destination
    return FoundDestination(Destination(DestinationKey(*key), *settings), active, inactive, total)


RECORDED: Mapping[str, Callable[..., Any]] = {
    "Configured": Configured,
    "Recalled": _recalled,
    "Opened": Opened,
    "TableRead": _table_read,
    "Written": Written,
    "SettingsRead": _settings_read,
    "SettingsWritten": SettingsWritten,
    "StopRequested": StopRequested,
}
"""What builds each event of this service from a recording (keepbus.runtime.recorder.turns)."""
