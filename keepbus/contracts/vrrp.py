"""What vrrp publishes."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from keepbus.contracts.message import Body, contract


class VrrpState(enum.StrEnum):
    """keepalived's words for a virtual router's state."""

    INIT = "INIT"
    """Before the first election."""
    BACKUP = "BACKUP"
    """Another router is master, or nobody yet."""
    MASTER = "MASTER"
    """This router has the addresses."""
    FAULT = "FAULT"
    """Something it needs is missing; it takes no part."""
    STOP = "STOP"
    """Stopped; the last state of a life."""
    DELETED = "DELETED"
    """Not in the configuration any more; it ended as with STOP."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One change of state, with its cause and what was known at that moment."""

    number: int
    """Counts the instance's transitions; never repeats within a life."""
    from_state: VrrpState
    """Before."""
    to_state: VrrpState
    """After."""
    at_ns: int
    """Wall clock, nanoseconds."""
    cause: str
    """One sentence."""
    inputs: dict[str, str] = field(default_factory=dict)
    """The values that decided, by name: last advert age, priorities, addresses."""
    priority: int = 0
    """Effective priority at that moment, as notify scripts get it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracked(Body):
    """One thing that an instance tracks, and its part in the priority."""

    kind: str
    """interface, script, file, process or bfd."""
    name: str
    """In the file."""
    verdict: str
    """up, down, or unknown as long as nothing was heard of it."""
    weight: int
    """As configured; 0: down is a fault."""
    reverse: bool = False
    """The weight counts the other way round."""
    contribution: int = 0
    """What it adds to the priority now."""
    since_ns: int = 0
    """Wall clock of the verdict's last change, nanoseconds; 0 when unknown."""
    detail: str = ""
    """Why: how the script ended, the file's number, how many processes there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim(Body):
    """Another host that says that it has a virtual address (by ARP, or a neighbour advertisement)."""

    address: str
    """The virtual address."""
    mac: str
    """Of the other host, as it says."""
    interface: str
    """On which it was heard."""
    since_ns: int
    """First time, wall clock, nanoseconds."""
    last_ns: int
    """Last time, likewise."""
    times: int
    """How often."""


@contract("state/vrrp/instance", key="name")
@dataclass(frozen=True, slots=True, kw_only=True)
class Instance(Body):
    """A virtual router as this node sees it. History heals what a reader missed."""

    name: str
    """`vrrp_instance` in the file."""
    interface: str
    """On which it speaks."""
    family: str
    """IPv4 or IPv6."""
    virtual_router_id: int
    """1 to 255."""
    version: int
    """Of the protocol: 2 or 3."""
    life: str
    """Names the series in which `transitions` counts; a new life starts at 1."""
    state: VrrpState
    """Now."""
    transitions: int
    """Number of the last transition of this life."""
    since_ns: int
    """Wall clock of the last transition, nanoseconds."""
    cause: str
    """Of the last transition, one sentence."""
    base_priority: int
    """`priority` in the file."""
    effective_priority: int
    """The one that elections are held with."""
    advert_interval_us: int
    """In force now, microseconds; version 3 learns it from the master."""
    master_down_interval_us: int
    """In force now, microseconds."""
    master_address: str
    """Primary address of the master, own one included; empty when unknown."""
    master_priority: int
    """Of the last advert of the master, own one included; 0 when unknown."""
    virtual_addresses: tuple[str, ...]
    """With prefix, in the order of the file."""
    holds_addresses: bool
    """True when the virtual addresses are installed here."""
    lease_us: int
    """How long the kernel keeps the addresses without renewal; 0 when there is no lease."""
    lease_kind: str = ""
    """What ends with it: `lifetime`, the addresses' own; `gate`, a timeout in nftables without which they let
    nothing pass; empty without a lease."""
    virtual_routes: tuple[str, ...] = ()
    """Held together with the addresses, in the words of `ip route`."""
    virtual_rules: tuple[str, ...] = ()
    """Likewise, in the words of `ip rule`."""
    refused: tuple[str, ...] = ()
    """Routes and rules that the kernel refused, each with its reason."""
    contested: tuple[str, ...] = ()
    """Addresses, routes and rules that another program adds or removes: five times within a minute, the last
    time less than a minute ago."""
    kept: tuple[str, ...] = ()
    """Addresses that this router does not hold any more and the kernel does not let go, with its reason."""
    claims: tuple[Claim, ...] = ()
    """Other hosts that say that they have an address of this master; as it was when it was told last."""
    faults: tuple[str, ...] = ()
    """Why it is in FAULT, a sentence each."""
    trackers: tuple[Tracked, ...] = ()
    """What it tracks, in the order of the file. effective_priority is base_priority and their contributions,
    within 1 to 254; that of an owner (255) is never changed."""
    demoted: bool = False
    """By `keepbus demote`: it holds elections with priority 1 until that is undone."""
    unicast_peers: tuple[str, ...] = ()
    """To whom adverts go; empty when they go to the multicast group."""
    checksum_form: str = ""
    """Of the adverts that are sent: `message` or `pseudo`, as `v3_checksum` names them; empty where there is
    only one form."""
    vmacs: tuple[str, ...] = ()
    """Interfaces with a virtual MAC address, each as NAME MAC; up only while this router is master."""
    rivals: tuple[str, ...] = ()
    """Addresses of others who are master too, while this router is."""
    unheard: bool = False
    """True while one of the rivals shows that it does not hear this master."""
    history: tuple[Transition, ...] = ()
    """The last transitions, oldest first."""


@contract("state/vrrp/group", key="name")
@dataclass(frozen=True, slots=True, kw_only=True)
class SyncGroup(Body):
    """A sync group: virtual routers that change state together. History heals what a reader missed."""

    name: str
    """`vrrp_sync_group` in the file."""
    members: tuple[str, ...]
    """Names of the instances, in the order of the file."""
    life: str
    """Names the series in which `transitions` counts; a new life starts at 1."""
    state: VrrpState
    """Now, of all members together."""
    transitions: int
    """Number of the last transition of this life."""
    since_ns: int
    """Wall clock of the last transition, nanoseconds."""
    cause: str
    """Of the last transition, one sentence that names the member."""
    history: tuple[Transition, ...] = ()
    """The last transitions, oldest first; their priority is 0."""


@contract("state/vrrp/statistics", key="name")
@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics(Body):
    """Counters of an instance since the start of its life."""

    name: str
    """Of the instance."""
    adverts_received: int = 0
    """Adverts of others that were accepted."""
    adverts_sent: int = 0
    """Adverts that left."""
    became_master: int = 0
    """Transitions to MASTER."""
    released_master: int = 0
    """Transitions from MASTER."""
    priority_zero_received: int = 0
    """Adverts of masters that resigned."""
    priority_zero_sent: int = 0
    """Adverts by which this router resigned."""
    dropped: dict[str, int] = field(default_factory=dict)
    """Packets refused, by reason (conformance section 5)."""
    last_advert_ns: int = 0
    """Wall clock of the last advert accepted from another router; 0 before the first."""
    lateness_us_max: int = 0
    """Largest lateness of an advert or a timer, microseconds."""
    lateness_us_counts: tuple[int, ...] = ()
    """How many were late by less than 1, 2, 4, 8, … microseconds, each counted in the first that holds it."""
    clock_skews_us: dict[str, int] = field(default_factory=dict)
    """By sender of adverts with `auth_hmac`: how far its clock was ahead of ours at its last one,
    microseconds; the delay of the network counts as lateness. Empty where clocks do not count."""
    disagreements: tuple[str, ...] = ()
    """What others with this virtual router id are configured with otherwise, a sentence each that names the
    sender; it stands while adverts like that come."""


@contract("event/vrrp/transition", key="instance")
@dataclass(frozen=True, slots=True, kw_only=True)
class Transitioned(Body):
    """An instance changed state; the same content stands in the instance's history."""

    instance: str
    """Name of the instance."""
    life: str
    """In which the transition is numbered."""
    transition: Transition
    """What happened, and why."""


@contract("event/vrrp/group", key="group")
@dataclass(frozen=True, slots=True, kw_only=True)
class GroupTransitioned(Body):
    """A sync group changed state, after its members did; the same content stands in its history."""

    group: str
    """Name of the group."""
    life: str
    """In which the transition is numbered."""
    transition: Transition
    """What happened, and which member led to it."""


@contract("event/vrrp/priority", key="instance")
@dataclass(frozen=True, slots=True, kw_only=True)
class PriorityChanged(Body):
    """What an instance tracks changed its effective priority."""

    instance: str
    """Name of the instance."""
    before: int
    """The effective priority until now."""
    after: int
    """From now on."""
    cause: str
    """One sentence that names what changed."""
    state: VrrpState
    """Of the instance at that moment."""


class ConflictPhase(enum.StrEnum):
    """Of two masters at once."""

    BEGAN = "began"
    """Another master's advert was heard; the virtual addresses are announced again."""
    UNHEARD = "unheard"
    """It goes on after three intervals: it does not hear this router."""
    ENDED = "ended"
    """It was silent for three of its intervals, or this router is not master any more."""


@contract("event/vrrp/conflict", key="instance")
@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict(Body):
    """Two masters at once, as the better one sees it: who held the addresses from when to when."""

    instance: str
    """Name of the instance."""
    phase: ConflictPhase
    """What happened."""
    address: str
    """Of the other master."""
    priority: int
    """That it advertises."""
    own_priority: int
    """That this router advertises."""
    master_since_ns: int
    """Since when this router is master, wall clock."""
    began_ns: int
    """First advert of the other, wall clock."""
    ended_ns: int
    """Last advert of the other, wall clock; 0 while it goes on."""
    adverts: int
    """Heard from it so far."""
    detail: str
    """One sentence."""


@contract("command/vrrp/demote", key="instance")
@dataclass(frozen=True, slots=True, kw_only=True)
class Demote(Body):
    """Ask that mastership leaves this node and stays away, or (undo) may come back; answered by Demoted."""

    instance: str
    """Name of the instance."""
    undo: bool = False
    """Take part in elections as configured again."""


@contract("event/vrrp/demotion", key="instance")
@dataclass(frozen=True, slots=True, kw_only=True)
class Demoted(Body):
    """The answer to a Demote, which is its cause."""

    instance: str
    """As asked for."""
    known: bool
    """False when the node has no instance of this name."""
    demoted: bool
    """Whether it is demoted now."""
    detail: str
    """One sentence."""


@contract("event/vrrp/drop", key="interface")
@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped(Body):
    """An advert was refused; told at most once a minute per instance, source and reason."""

    interface: str
    """On which it came."""
    instance: str
    """Empty when no instance has its virtual router id."""
    source: str
    """Address of the sender."""
    reason: str
    """A word to count by."""
    detail: str
    """What was found and what was expected."""
    suppressed: int
    """How many of the same were not told since the last one."""


@contract("event/vrrp/address", key="instance")
@dataclass(frozen=True, slots=True, kw_only=True)
class AddressChanged(Body):
    """A virtual address was installed, removed, restored or lost, or is claimed by another host."""

    instance: str
    """Name of the instance."""
    address: str
    """The virtual address."""
    interface: str
    """Where it is or was installed."""
    action: str
    """added, removed, expired, restored, failed; kept, when the kernel does not let it go; claimed, when
    another host says that it has it."""
    detail: str = ""
    """Why, in a sentence."""


@contract("event/vrrp/holding", key="instance")
@dataclass(frozen=True, slots=True, kw_only=True)
class HoldingChanged(Body):
    """A virtual route or rule was lost, restored or refused."""

    instance: str
    """Name of the instance."""
    holding: str
    """In the words of `ip route` or `ip rule`."""
    action: str
    """lost, restored, failed."""
    detail: str = ""
    """Why, in a sentence."""


@contract("event/vrrp/resume", key="instance")
@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed(Body):
    """A new process took over a running instance within its lease, without a transition."""

    instance: str
    """Name of the instance."""
    life: str
    """The life that goes on."""
    state: VrrpState
    """The state that goes on."""
    silent_us: int
    """From the last advert of the dead process to the first of this one, microseconds; 0 for a backup."""
