"""The model of virtual routers: what vrrp reads."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from keepbus.config.model.routes import Route, Rule
from keepbus.config.model.tracking import Track

FOREVER_S = 0xFFFFFFFF
"""A lifetime that does not end, as the kernel writes it."""


class AddressFamily(enum.StrEnum):
    """Of an instance: how it speaks, and which addresses its adverts can name."""

    IPV4 = "IPv4"
    IPV6 = "IPv6"


class ChecksumForm(enum.StrEnum):
    """Which checksum a version 3 advert over IPv4 carries: the documents differ (conformance C2)."""

    AUTO = "auto"
    """With the pseudo-header, until the master uses the other form."""
    PSEUDO = "pseudo"
    """Over pseudo-header and message, as RFC 5798 is read."""
    MESSAGE = "message"
    """Over the message only (RFC 9568)."""


class InitialState(enum.StrEnum):
    """`state` of an instance: a wish for the first election, nothing more."""

    MASTER = "MASTER"
    BACKUP = "BACKUP"


class AuthType(enum.StrEnum):
    """`auth_type`."""

    PASS = "PASS"
    AH = "AH"


class HmacMode(enum.StrEnum):
    """`mode` of auth_hmac: the three steps of an upgrade, in this order (X4)."""

    RECEIVE_ONLY = "receive-only"
    PERMISSIVE = "permissive"
    ENFORCE = "enforce"


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualAddress:
    """A line of `virtual_ipaddress`, with the instance's interface filled in."""

    address: str
    prefix: int
    interface: str
    broadcast: str = ""
    """Empty: none. keepalived's `brd -` and `+` are resolved when the configuration is compiled."""
    label: str = ""
    scope: int = 0
    """Kernel number: 0 global, 200 site, 253 link, 254 host. IPv4 only."""
    peer: str = ""
    """Other end of a point-to-point link; `prefix` is its then."""
    flags: int = 0
    """Kernel numbers: nodad 0x2, home 0x10, mngtmpaddr 0x100, noprefixroute 0x200, autojoin 0x400."""
    preferred_s: int = FOREVER_S
    """Preferred lifetime; 0: never chosen as a source address."""
    no_track: bool = False
    """Neither its interface nor its removal by somebody else concerns the instance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualMac:
    """A macvlan in private mode with a virtual router's MAC address (features 6.5)."""

    name: str
    """Of the interface that is made."""
    interface: str
    """On which it is made."""
    mac: str
    """Six octets in hexadecimal with colons."""
    group: int | None = None
    """Link group; None: that of the interface below."""


class IpvlanFlag(enum.StrEnum):
    """Of all ipvlans on one interface: whom they reach beside the outside (linux/if_link.h)."""

    BRIDGE = "bridge"
    """Each other."""
    PRIVATE = "private"
    """Nobody."""
    VEPA = "vepa"
    """Each other, through the switch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ipvlan:
    """`use_ipvlan`: an ipvlan in mode L2, which has the MAC address of the interface below (features 6.5)."""

    name: str
    """Of the interface that is made."""
    interface: str
    """On which it is made."""
    address: VirtualAddress | None = None
    """Its own, whoever is master; None: the kernel's IPv6 link-local one."""
    flag: IpvlanFlag = IpvlanFlag.BRIDGE
    group: int | None = None
    """Link group; None: that of the interface below."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnicastPeer:
    """A line of `unicast_peer`: adverts go there, and within these limits of TTL are taken from there."""

    address: str
    min_ttl: int = 0
    max_ttl: int = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Authentication:
    """`authentication` block. repr never shows the password."""

    auth_type: AuthType
    auth_pass: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class HmacKey:
    """`key` of auth_hmac. repr never shows it."""

    key_id: int
    octets: str = field(repr=False)
    """Hexadecimal, 32 to 64 octets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthHmac:
    """`auth_hmac` block."""

    keys: tuple[HmacKey, ...]
    active_key: int
    """The one that is sent with."""
    mode: HmacMode = HmacMode.ENFORCE
    time_window_us: int = 0
    """Allowed difference of clocks; 0: `anti_replay monotonic`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GratuitousArp:
    """`garp_*` of an instance, keepalived's defaults."""

    master_delay_us: int = 5_000_000
    """Second burst after this; 0: no second burst."""
    master_repeat: int = 5
    master_refresh_us: int = 0
    """Periodic announcement while master; 0: none."""
    master_refresh_repeat: int = 1
    lower_prio_delay_us: int = 5_000_000
    lower_prio_repeat: int = 5
    extra_us: int = 0
    """While master, every other interface with addresses is announced at this interval; 0: none is."""
    extra_all: bool = False
    """Those without a virtual MAC too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GarpGroup:
    """`garp_group`: interfaces that share one pace of announcements."""

    interfaces: tuple[str, ...]
    garp_interval_us: int = 0
    gna_interval_us: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class VrrpInstance:
    """`vrrp_instance`, as the protocol machine needs it (conformance sections 6 to 9)."""

    name: str
    interface: str
    virtual_router_id: int
    family: AddressFamily = AddressFamily.IPV4
    version: int = 2
    state: InitialState = InitialState.BACKUP
    priority: int = 100
    advert_interval_us: int = 1_000_000
    authentication: Authentication | None = None
    auth_hmac: AuthHmac | None = None
    nopreempt: bool = False
    preempt_delay_us: int = 0
    mcast_group: str = ""
    """Empty: the family's own, 224.0.0.18 or ff02::12."""
    mcast_src_ip: str = ""
    """Source of adverts, unicast ones too; empty: the interface's."""
    track_src_ip: bool = False
    """FAULT while the interface does not have mcast_src_ip."""
    unicast_peers: tuple[UnicastPeer, ...] | None = None
    """None: multicast. Empty, by `unicast_fault_no_peer`: FAULT."""
    unicast_ttl: int = 255
    checksum: ChecksumForm = ChecksumForm.AUTO
    checksum_strict: bool = False
    """Adverts with the form that is not `checksum` are refused."""
    old_unicast_checksum: bool = False
    """Version 3 over IPv4: unicast adverts have the group in the pseudo-header (keepalived up to 1.3.6)."""
    vmac: VirtualMac | None = None
    """Has the addresses that name no interface of their own; adverts leave through it."""
    vmac_xmit_base: bool = False
    """Adverts leave through `interface` all the same."""
    ipvlan: Ipvlan | None = None
    """`interface` is this one."""
    accept: bool = True
    """Packets to the addresses are accepted."""
    address_vmacs: tuple[VirtualMac, ...] = ()
    """Have addresses of other interfaces (`use_vmac` of an address, `use_vmac_addr`)."""
    virtual_addresses: tuple[VirtualAddress, ...] = ()
    virtual_addresses_excluded: tuple[VirtualAddress, ...] = ()
    garp: GratuitousArp = GratuitousArp()
    lower_prio_no_advert: bool = False
    higher_prio_send_advert: bool | None = None
    """None: a master yields with one more advert only when silence had made it master."""
    down_timer_adverts: int = 3
    skip_check_adv_addr: bool = False
    owner_ignore_adverts: bool = False
    """Priority 255 only: adverts of others are dropped."""
    promote_secondaries: bool = False
    """The kernel keeps secondary addresses of the interface when their primary one goes."""
    virtual_routes: tuple[Route, ...] = ()
    virtual_rules: tuple[Rule, ...] = ()
    static_interfaces: tuple[str, ...] = ()
    """Interfaces of the static objects that are tied to this instance by a `track_group`."""
    trackers: tuple[Track, ...] = ()
    """In the order of the file; no kind and name twice."""
    dont_track_primary: bool = False
    """A link that is down is no fault, as far as it is `interface`'s own."""
    one_way_yield_us: int = 0
    """keepbus's own: a master that is not heard gives way for so long; 0: it goes on (R-L11)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InterfaceDelay:
    """A line of `interface_up_down_delays`: what is over sooner is not seen (features 6.6)."""

    interface: str
    down_us: int
    up_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Statics:
    """`static_ipaddress`, `static_routes`, `static_rules`: held whoever is master (features 9)."""

    addresses: tuple[VirtualAddress, ...] = ()
    routes: tuple[Route, ...] = ()
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncGroup:
    """`vrrp_sync_group`: instances that change state together."""

    name: str
    members: tuple[str, ...]
    """Names of instances, in the order of the file; an instance is in one group at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VrrpSection:
    """All that vrrp reads."""

    instances: tuple[VrrpInstance, ...] = ()
    sync_groups: tuple[SyncGroup, ...] = ()
    statics: Statics = Statics()
    address_lease: bool = True
    startup_delay_us: int = 0
    """Instances begin so long after the process, and not before `delay_after_boot_us` after the boot."""
    delay_after_boot_us: int = 0
    garp_interval_us: int = 0
    """Least spacing between two gratuitous ARPs on an interface."""
    gna_interval_us: int = 0
    """The same for neighbour advertisements."""
    garp_groups: tuple[GarpGroup, ...] = ()
    interface_delays: tuple[InterfaceDelay, ...] = ()
    disable_local_igmp: bool = False
    """The kernel reports no membership of link-local groups, 224.0.0.18 among them."""
    nftables: str = "keepalived"
    """Name of the tables that drop packets to addresses of instances without `accept`."""
    nftables_priority: int = -1
    """Of their chains."""
    nftables_counters: bool = False
    """Their rules count."""
