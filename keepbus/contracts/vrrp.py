"""What vrrp publishes."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from keepbus.contracts.message import Body, contract


class VrrpState(enum.StrEnum):
    """keepalived's words for a virtual router's state."""

    INIT = "INIT"
    BACKUP = "BACKUP"
    MASTER = "MASTER"
    FAULT = "FAULT"
    STOP = "STOP"


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One change of state, with its cause and what was known at that moment."""

    number: int
    """Counts the instance's transitions; never repeats within a life."""
    from_state: VrrpState
    to_state: VrrpState
    at_ns: int
    """Wall clock, nanoseconds."""
    cause: str
    """One sentence."""
    inputs: dict[str, str] = field(default_factory=dict)
    """The values that decided, by name: last advert age, priorities, addresses."""
    priority: int = 0
    """Effective priority at that moment, as notify scripts get it."""


@contract("state/vrrp/instance", key="name")
@dataclass(frozen=True, slots=True, kw_only=True)
class Instance(Body):
    """A virtual router as this node sees it. History heals what a reader missed."""

    name: str
    interface: str
    family: str
    """IPv4 or IPv6."""
    virtual_router_id: int
    version: int
    life: str
    """Names the series in which `transitions` counts; a new life starts at 1."""
    state: VrrpState
    transitions: int
    since_ns: int
    cause: str
    base_priority: int
    effective_priority: int
    advert_interval_us: int
    master_down_interval_us: int
    master_address: str
    """Primary address of the master, own one included; empty when unknown."""
    master_priority: int
    virtual_addresses: tuple[str, ...]
    holds_addresses: bool
    """True when the virtual addresses are installed here."""
    lease_us: int
    """How long the kernel keeps the addresses without renewal; 0 when there is no lease."""
    faults: tuple[str, ...] = ()
    """Why it is in FAULT, a sentence each."""
    history: tuple[Transition, ...] = ()
    """The last transitions, oldest first."""


@contract("state/vrrp/statistics", key="name")
@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics(Body):
    """Counters of an instance since the start of its life."""

    name: str
    adverts_received: int = 0
    adverts_sent: int = 0
    became_master: int = 0
    released_master: int = 0
    priority_zero_received: int = 0
    priority_zero_sent: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    """Packets refused, by reason (conformance section 5)."""
    last_advert_ns: int = 0
    """Wall clock of the last advert accepted from another router; 0 before the first."""
    lateness_us_max: int = 0


@contract("event/vrrp/transition", key="instance")
@dataclass(frozen=True, slots=True, kw_only=True)
class Transitioned(Body):
    """An instance changed state; the same content stands in the instance's history."""

    instance: str
    life: str
    transition: Transition


@contract("event/vrrp/drop", key="interface")
@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped(Body):
    """An advert was refused; told at most once a minute per instance, source and reason."""

    interface: str
    instance: str
    """Empty when no instance has its virtual router id."""
    source: str
    reason: str
    detail: str
    suppressed: int
    """How many of the same were not told since the last one."""


@contract("event/vrrp/address", key="instance")
@dataclass(frozen=True, slots=True, kw_only=True)
class AddressChanged(Body):
    """A virtual address was installed, removed, restored or lost."""

    instance: str
    address: str
    interface: str
    action: str
    """added, removed, expired, restored, failed."""
    detail: str = ""


@contract("event/vrrp/resume", key="instance")
@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed(Body):
    """A new process took over a running instance within its lease, without a transition."""

    instance: str
    life: str
    state: VrrpState
    silent_us: int
    """From the last advert of the dead process to the first of this one, microseconds; 0 for a backup."""
