"""A table of many services, read in slices, while somebody removes some of them."""

from __future__ import annotations

from typing import Any

from keepbus_ipvs import kernel as driver
from keepbus_ipvs.diff import Command, Verb
from keepbus_ipvs.events import TableRead
from keepbus_ipvs.table import AF_INET, DIRECT, TCP, Destination, DestinationKey, Service, ServiceKey
from rig import ipvsadm

SERVICES = 40


def run() -> dict[str, Any]:
    ipvsadm("-C")
    kernel = driver.Kernel()
    services = [
        Service(ServiceKey(AF_INET, TCP, f"192.0.2.{number + 1}", 80), "rr") for number in range(SERVICES)
    ]
    destination = Destination(DestinationKey("198.51.100.1", 80), DIRECT)
    kernel.write([Command(Verb.ADD_SERVICE, service) for service in services])
    # The last one has no destination, and that is no reason to take it for one that is gone.
    kernel.write([Command(Verb.ADD_DESTINATION, service, destination) for service in services[:-1]])
    usual_ns, driver._SLICE_NS = driver._SLICE_NS, 0
    try:
        slices = read(kernel, ())
        with_removals = read(kernel, ("192.0.2.39:80", "192.0.2.40:80"))
    finally:
        driver._SLICE_NS = usual_ns
        kernel.close()
        ipvsadm("-C")
    return {
        "lengths": [len(part.services) for part in slices],
        "more": [part.more for part in slices],
        "destinations": [len(found.destinations) for part in slices for found in part.services],
        "after_removals": [len(found.destinations) for part in with_removals for found in part.services],
        "errors": [part.error for part in slices + with_removals if part.error],
    }


def read(kernel: driver.Kernel, removals: tuple[str, ...]) -> list[TableRead]:
    """All slices; after the first one these services are removed."""
    parts = list(kernel.read())
    for endpoint in removals:
        ipvsadm("-D", "-t", endpoint)
    while parts[-1].more:
        parts += kernel.read(further=True)
    return parts
