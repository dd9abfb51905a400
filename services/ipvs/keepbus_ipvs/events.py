"""What happens to the ipvs machine, besides the events that every service has."""

from __future__ import annotations

from typing import NamedTuple

from keepbus_ipvs.table import FoundService, ServiceKey


class Recalled(NamedTuple):
    """The keys of the services that an earlier process wrote; empty at a first start."""

    owned: tuple[ServiceKey, ...]


class Opened(NamedTuple):
    """A driver is there, or none can be had."""

    driver: str
    """`ipvs`, `nftables` or `dry-run`; empty when there is none."""
    detail: str
    """A sentence for the operator: why this driver, or why none and what to do; empty when it was named."""


class TableRead(NamedTuple):
    """The whole table, or why it cannot be read."""

    services: tuple[FoundService, ...]
    took_ns: int
    wall_ns: int
    error: str = ""


class Written(NamedTuple):
    """The outcome of the last `Write`, one sentence per command in its order; empty: done."""

    errors: tuple[str, ...]
    wall_ns: int
