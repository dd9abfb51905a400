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
    alive: bool = True
    """True while it may serve: no check is down, and alpha does not wait for one."""
    changes: int = 0
    """How often `alive` changed in this life of the virtual server; 0: it is what it was at the start."""
    drained: bool = False
    """True when an operator drained it: weight 0 until it is undone."""


@contract("state/ipvs/virtual_server", key="name")
@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualServer(Body):
    """A virtual server as wanted and as found."""

    name: str
    """[address]:protocol:port, `FWM mark` or `[group]:number`, as keepalived's FIFO writes it; ` inet6` after
    a mark of IPv6."""
    address: str
    """address:port, `fwmark MARK` or `group NAME`."""
    protocol: str
    """`TCP`, `UDP` or `SCTP`; of no meaning for marks."""
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
    """How often the quorum changed in this life; it begins with 1 when its beginning is news."""
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
    services: int = 1
    """How many services the kernel has for it: those of a group have one quorum."""
    life: str = ""
    """Names the series in which `changes` counts; it outlives the process, and a new one begins at 0."""
    suspended: bool = False
    """True when `ha_suspend` holds it: verdicts do not count, because its address is not here."""


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


@contract("event/ipvs/real_server", key="virtual_server")
@dataclass(frozen=True, slots=True, kw_only=True)
class RealServerChanged(Body):
    """A real server of a virtual server came up or went down."""

    virtual_server: str
    """Name of the virtual server."""
    real_server: str
    """address:port, IPv6 in brackets."""
    up: bool
    """True when it came up."""
    reason: str
    """Why, in a sentence: the evidence of the deciding check."""


@contract("state/ipvs/sync_daemon")
@dataclass(frozen=True, slots=True, kw_only=True)
class SyncDaemon(Body):
    """The kernel's connection synchronization, as `lvs_sync_daemon` wants it."""

    interface: str
    """On which it speaks and listens."""
    sync_id: int
    """Both sides have the same."""
    instance: str
    """The vrrp_instance that it follows; empty: it is master and backup at once."""
    wanted: str
    """`master`, `backup` or `master and backup`."""
    running: str
    """The same as found in the kernel; empty: none."""
    error: str = ""
    """Why it does not run as wanted; empty when it does."""


@contract("command/ipvs/drain")
@dataclass(frozen=True, slots=True, kw_only=True)
class Drain(Body):
    """Give a real server no new connections, or give it some again; the answer is event/ipvs/drain."""

    real_server: str
    """address:port as state/ipvs/virtual_server has it, or an address: every port of it."""
    virtual_server: str = ""
    """Name of a virtual server; empty: all that have the real server."""
    undo: bool = False
    """True: it gets new connections again."""


@contract("event/ipvs/drain", key="real_server")
@dataclass(frozen=True, slots=True, kw_only=True)
class DrainChanged(Body):
    """The answer to command/ipvs/drain, which is its cause."""

    real_server: str
    """As asked."""
    virtual_servers: tuple[str, ...]
    """Names of those in which it is now as asked."""
    drained: bool
    """True: it gets no new connections there."""
    error: str = ""
    """Why nothing was done; empty when it was."""
