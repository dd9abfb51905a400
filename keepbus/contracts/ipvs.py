"""What ipvs publishes: the table that it keeps, and what it did to it."""

from __future__ import annotations

from dataclasses import dataclass

from keepbus.contracts.checker import Verdict
from keepbus.contracts.message import Body, contract


@dataclass(frozen=True, slots=True, kw_only=True)
class RealServer:
    """A real server of one virtual server."""

    address: str
    """address:port, IPv6 in brackets."""
    configured_weight: int
    weight: int
    """Weight in the kernel now; 0 when it is not there."""
    verdict: Verdict
    in_table: bool
    since_ns: int
    """Wall clock of the last change of verdict."""
    checks: tuple[str, ...]
    reason: str
    """Why it is where it is, in a sentence: the evidence of the deciding check."""
    active_connections: int = 0
    inactive_connections: int = 0


@contract("state/ipvs/virtual_server", key="name")
@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualServer(Body):
    """A virtual server as wanted and as found."""

    name: str
    """[address]:protocol:port, as keepalived's FIFO writes it."""
    address: str
    """address:port"""
    protocol: str
    scheduler: str
    forwarding: str
    persistence_timeout_s: int
    """0 when off."""
    quorum: int
    quorum_up: bool
    weight_up: int
    """Sum of the weights of living real servers."""
    changes: int
    """How often quorum changed since this process started."""
    since_ns: int
    sorry_server: str
    """address:port, empty when there is none."""
    sorry_server_active: bool
    real_servers: tuple[RealServer, ...]
    error: str = ""
    """Why the kernel has not what is wanted; empty when it has."""


@contract("state/ipvs/table")
@dataclass(frozen=True, slots=True, kw_only=True)
class Table(Body):
    """The driver and the whole table in numbers."""

    driver: str
    services: int
    destinations: int
    foreign: int
    """Entries found that keepbus did not write and leaves alone."""
    drift_repaired: int
    writes: int
    errors: int
    last_error: str
    reconciled_ns: int
    """Wall clock of the last full comparison with the kernel."""


@contract("event/ipvs/change", key="virtual_server")
@dataclass(frozen=True, slots=True, kw_only=True)
class Changed(Body):
    """One change that was written: `add`, `edit` or `remove` of a service or destination."""

    virtual_server: str
    action: str
    what: str
    """In ipvsadm's words: `-a -t 172.16.1.254:80 -r 172.16.1.3:80 -g -w 1`."""
    reason: str


@contract("event/ipvs/drift", key="virtual_server")
@dataclass(frozen=True, slots=True, kw_only=True)
class Drift(Body):
    """Somebody else changed what keepbus owns; it was put back."""

    virtual_server: str
    found: str
    repaired: str


@contract("event/ipvs/quorum", key="virtual_server")
@dataclass(frozen=True, slots=True, kw_only=True)
class QuorumChanged(Body):
    """A virtual server gained or lost its quorum."""

    virtual_server: str
    up: bool
    weight_up: int
    quorum: int
    reason: str
