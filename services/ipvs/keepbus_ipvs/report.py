"""What the service says of itself in its heartbeat: how far it is, and what is wrong first. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from keepbus.contracts.common import Status
from keepbus.runtime.machine import Report
from keepbus_ipvs.reconciler import Reconciler
from keepbus_ipvs.settings import Settings
from keepbus_ipvs.table import ServiceKey


class Driver(NamedTuple):
    """Where the driver is."""

    name: str | None
    """None: not asked yet; empty: none can be had."""
    detail: str
    read_error: str
    settling: bool
    """True while the verdicts that the hub retains may still come."""


def report(
    virtual_servers: int,
    refused: dict[str, str],
    table: Reconciler,
    settings: Settings,
    driver: Driver,
    name_of: Callable[[ServiceKey], str],
) -> Report:
    """The report; refused: what the driver cannot carry, by name; name_of gives the virtual server of a
    service. It is asked for in each turn, however many virtual servers there are."""
    if not virtual_servers and not table.owned and not settings.concerned:
        return Report(Status.IDLE, "no virtual servers configured")
    if driver.name == "" or driver.read_error:
        return Report(Status.DEGRADED, driver.read_error or driver.detail)
    if not driver.name or not table.has_read:
        return Report(Status.STARTING, "reading the table")
    if driver.settling:
        return Report(Status.STARTING, "waiting for the verdicts of the checks")
    failing = refused | {name_of(key): retry.error for key, retry in table.retries.items()}
    for name, error in failing.items():
        return Report(
            Status.DEGRADED, f"{len(failing)} virtual servers are not as configured: {name}: {error}"
        )
    if settings.error:
        return Report(Status.DEGRADED, settings.error)
    noun = "virtual server" if virtual_servers == 1 else "virtual servers"
    detail = f"keeps {virtual_servers} {noun} with the {driver.name} driver"
    return Report(Status.READY, f"{detail}: {driver.detail}" if driver.detail else detail)
