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
    """`weight` in the file."""
    weight: int
    """Weight in the kernel now; 0 when it is not there."""
    verdict: Verdict
    """What its checks say together."""
    in_table: bool
    """True when the kernel has it."""
    since_ns: int
    """Wall clock of the last change of verdict."""
    checks: tuple[str, ...]
    """Ids of its checks."""
    reason: str
    """Why it is where it is, in a sentence: the evidence of the deciding check."""
    active_connections: int = 0
    """As the kernel counts them."""
    inactive_connections: int = 0
    """As the kernel counts them."""
    total_connections: int = 0
    """Since it was written to the table; 0 with a driver that does not count."""


@contract("state/ipvs/virtual_server", key="name")
@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualServer(Body):
    """A virtual server as wanted and as found."""

    name: str
    """[address]:protocol:port, as keepalived's FIFO writes it."""
    address: str
    """address:port"""
    protocol: str
    """`TCP` or `UDP`."""
    scheduler: str
    """As in the file: rr, wrr, lc, wlc, sh."""
    forwarding: str
    """`NAT`, `DR` or `TUN`."""
    persistence_timeout_s: int
    """0 when off."""
    quorum: int
    """The configured quorum."""
    quorum_up: bool
    """True when it is reached."""
    weight_up: int
    """Sum of the weights of living real servers."""
    changes: int
    """How often quorum changed since this process started."""
    since_ns: int
    """Wall clock of the last change of quorum, nanoseconds."""
    sorry_server: str
    """address:port, empty when there is none."""
    sorry_server_active: bool
    """True when the sorry server answers in the place of the real ones."""
    real_servers: tuple[RealServer, ...]
    """In the order of the file."""
    error: str = ""
    """Why the kernel has not what is wanted; empty when it has."""


@contract("state/ipvs/table")
@dataclass(frozen=True, slots=True, kw_only=True)
class Table(Body):
    """The driver and the whole table in numbers."""

    driver: str
    """`ipvs`, `nftables` or `dry-run`."""
    services: int
    """Virtual servers in the table."""
    destinations: int
    """Real servers in the table."""
    foreign: int
    """Entries found that keepbus did not write and leaves alone."""
    drift_repaired: int
    """Entries that others changed and that were put back, since this process started."""
    writes: int
    """Changes written since this process started."""
    errors: int
    """Changes that the kernel refused since this process started."""
    last_error: str
    """The last refusal, in a sentence; empty when there was none."""
    reconciled_ns: int
    """Wall clock of the last full comparison with the kernel."""


@contract("event/ipvs/change", key="virtual_server")
@dataclass(frozen=True, slots=True, kw_only=True)
class Changed(Body):
    """One change that was written: `add`, `edit` or `remove` of a service or destination."""

    virtual_server: str
    """Name of the virtual server."""
    action: str
    """`add`, `edit` or `remove`."""
    what: str
    """In ipvsadm's words: `-a -t 172.16.1.254:80 -r 172.16.1.3:80 -g -w 1`."""
    reason: str
    """Why, in a sentence."""


@contract("event/ipvs/drift", key="virtual_server")
@dataclass(frozen=True, slots=True, kw_only=True)
class Drift(Body):
    """Somebody else changed what keepbus owns; it was put back."""

    virtual_server: str
    """Name of the virtual server."""
    found: str
    """What was in the kernel, in ipvsadm's words."""
    repaired: str
    """What was put there again, in ipvsadm's words."""


@contract("event/ipvs/quorum", key="virtual_server")
@dataclass(frozen=True, slots=True, kw_only=True)
class QuorumChanged(Body):
    """A virtual server gained or lost its quorum."""

    virtual_server: str
    """Name of the virtual server."""
    up: bool
    """True when it was gained."""
    weight_up: int
    """Sum of the weights of living real servers."""
    quorum: int
    """The configured quorum."""
    reason: str
    """Why, in a sentence."""
