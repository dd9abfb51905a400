"""The typed model of a configuration: what the text means, and nothing of how it was written.

Frozen and comparable: a reload is a comparison of two of these. Each service gets one section and loads
nothing else, so that a change elsewhere in the file cannot touch it. Durations are in microseconds (`_us`)
or in the seconds that the kernel takes (`_s`). Names are keepalived's.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field


class InitialState(enum.StrEnum):
    """`state` of an instance: a wish for the first election, nothing more."""

    MASTER = "MASTER"
    BACKUP = "BACKUP"


class AuthType(enum.StrEnum):
    """`auth_type`."""

    PASS = "PASS"


class Forwarding(enum.StrEnum):
    """`lvs_method` / `lb_kind`."""

    NAT = "NAT"
    DR = "DR"
    TUN = "TUN"


class Protocol(enum.StrEnum):
    """`protocol` of a virtual server."""

    TCP = "TCP"
    UDP = "UDP"


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalDefs:
    """`global_defs`: what concerns the node as a whole."""

    router_id: str = ""
    notification_email: tuple[str, ...] = ()
    notification_email_from: str = ""
    smtp_server: str = ""
    smtp_connect_timeout_us: int = 30_000_000
    script_user: str = ""
    """USER[:GROUP] for scripts that name none; empty: keepalived_script, if that user exists."""
    enable_script_security: bool = False
    address_lease: bool = True
    """keepbus's own: `address_lease no` leaves virtual addresses in the kernel without a lifetime."""


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
    """Kernel number: 0 global, 200 site, 253 link, 254 host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Authentication:
    """`authentication` block. repr never shows the password."""

    auth_type: AuthType
    auth_pass: str = field(repr=False)


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
    interval_us: int = 0
    """Least spacing between two gratuitous ARPs on an interface."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VrrpInstance:
    """`vrrp_instance`, as the protocol machine needs it (conformance sections 6 to 9)."""

    name: str
    interface: str
    virtual_router_id: int
    version: int = 2
    state: InitialState = InitialState.BACKUP
    priority: int = 100
    advert_interval_us: int = 1_000_000
    authentication: Authentication | None = None
    nopreempt: bool = False
    preempt_delay_us: int = 0
    mcast_group4: str = "224.0.0.18"
    mcast_src_ip: str = ""
    virtual_addresses: tuple[VirtualAddress, ...] = ()
    virtual_addresses_excluded: tuple[VirtualAddress, ...] = ()
    garp: GratuitousArp = GratuitousArp()
    lower_prio_no_advert: bool = False
    higher_prio_send_advert: bool = False
    down_timer_adverts: int = 3
    skip_check_adv_addr: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A command to run: argument vector, and as whom."""

    argv: tuple[str, ...]
    user: str = ""
    """Empty: the node's script_user."""
    group: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyTarget:
    """The scripts of one VRRP instance. A missing one is None."""

    name: str
    """The instance's name."""
    notify_master: Script | None = None
    notify_backup: Script | None = None
    notify_fault: Script | None = None
    notify_stop: Script | None = None
    notify: Script | None = None
    """Run at each transition with INSTANCE, name, state and priority added."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Url:
    """`url` of HTTP_GET and SSL_GET."""

    path: str
    digest: str = ""
    """MD5 in lower case hex; empty: not compared."""
    status_codes: tuple[StatusRange, ...] = ()
    """Accepted codes; the default 200-299 is filled in when the configuration is compiled."""
    virtualhost: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusRange:
    """Status codes from `low` to `high`, both included."""

    low: int
    high: int


class CheckKind(enum.StrEnum):
    """The checker's keyword."""

    TCP_CHECK = "TCP_CHECK"
    HTTP_GET = "HTTP_GET"
    SSL_GET = "SSL_GET"
    SMTP_CHECK = "SMTP_CHECK"
    DNS_CHECK = "DNS_CHECK"
    UDP_CHECK = "UDP_CHECK"
    PING_CHECK = "PING_CHECK"
    MISC_CHECK = "MISC_CHECK"
    FILE_CHECK = "FILE_CHECK"


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsQuestion:
    """`type` and `name` of DNS_CHECK."""

    type: str = "SOA"
    name: str = "."


@dataclass(frozen=True, slots=True, kw_only=True)
class UdpExchange:
    """What UDP_CHECK sends, and what it wants back."""

    payload: str = ""
    """Hexadecimal digits, two per octet; empty: a text of keepbus's own."""
    require_reply: bool = False
    reply_pattern: str = ""
    """Hexadecimal digits in lower case, two per octet, `x` for any; what a reply begins with."""
    min_reply_length: int = 0
    max_reply_length: int = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class MiscCommand:
    """What MISC_CHECK runs."""

    script: Script
    timeout_us: int
    """misc_timeout, else the virtual server's delay_loop."""
    dynamic: bool = False
    """misc_dynamic: exit status 2 to 255 is success, and a weight of two less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedFile:
    """FILE_CHECK and the track_file that it names."""

    name: str
    path: str
    weight: int = 1
    """The file's value times this is added to the real server's weight; 0: any value but 0 is down."""
    reverse: bool = False
    """Subtracted instead; with weight 0: the value 0 is down."""
    init_value: int | None = None
    """What a file that is missing is made with; None: it isn't made."""
    init_overwrite: bool = False
    """The file is made with init_value even when there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One distinct target and check. Two real servers whose checks are equal share one of these."""

    id: str
    """KIND:address:port plus, where the rest is not default, `#` and 8 hex digits of its hash."""
    kind: CheckKind
    address: str
    """Empty for MISC_CHECK and FILE_CHECK."""
    port: int
    """0 for those, and for PING_CHECK."""
    bind_address: str = ""
    bind_port: int = 0
    connect_timeout_us: int = 5_000_000
    delay_loop_us: int = 60_000_000
    retry: int = 1
    delay_before_retry_us: int = 1_000_000
    warmup_us: int = 60_000_000
    virtualhost: str = ""
    http_protocol: str = "1.0"
    """1.0, 1.0C or 1.1"""
    fast_recovery: bool = False
    sni_name: str = ""
    """Server name for SSL_GET; empty: none is sent."""
    urls: tuple[Url, ...] = ()
    helo_name: str = ""
    """Name for SMTP_CHECK."""
    dns: DnsQuestion | None = None
    udp: UdpExchange | None = None
    misc: MiscCommand | None = None
    file: TrackedFile | None = None
    """Each of these for its own kind, and None for the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckUse:
    """A real server's use of a check."""

    check: str
    """Check.id"""
    alpha: bool = False
    """Unknown counts as down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SorryServer:
    """`sorry_server`."""

    address: str
    port: int
    forwarding: Forwarding
    inhibit: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RealServer:
    """`real_server`."""

    address: str
    port: int
    weight: int = 1
    forwarding: Forwarding = Forwarding.NAT
    inhibit_on_failure: bool = False
    uthreshold: int = 0
    lthreshold: int = 0
    checks: tuple[CheckUse, ...] = ()
    notify_up: Script | None = None
    notify_down: Script | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualServer:
    """`virtual_server` by address and port."""

    address: str
    port: int
    protocol: Protocol = Protocol.TCP
    scheduler: str = "wlc"
    forwarding: Forwarding = Forwarding.NAT
    persistence_timeout_s: int = 0
    """0: not persistent."""
    persistence_granularity: str = "255.255.255.255"
    quorum: int = 1
    hysteresis: int = 0
    alpha: bool = False
    omega: bool = False
    sorry_server: SorryServer | None = None
    real_servers: tuple[RealServer, ...] = ()
    quorum_up: Script | None = None
    quorum_down: Script | None = None

    @property
    def name(self) -> str:
        """`[address]:protocol:port`, as keepalived's FIFO names it."""
        return f"[{self.address}]:{self.protocol.lower()}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class VrrpSection:
    """All that vrrp reads."""

    instances: tuple[VrrpInstance, ...] = ()
    address_lease: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckerSection:
    """All that checker reads."""

    checks: tuple[Check, ...] = ()
    script_user: str = ""
    """USER[:GROUP] for a MISC_CHECK that names none, from global_defs."""
    enable_script_security: bool = False
    """From global_defs: a script that root would run from a path that others can change is not run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IpvsSection:
    """All that ipvs reads."""

    virtual_servers: tuple[VirtualServer, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifySection:
    """All that notify reads."""

    targets: tuple[NotifyTarget, ...] = ()
    script_user: str = ""
    """USER[:GROUP] for scripts that name none, from global_defs."""
    enable_script_security: bool = False
    """From global_defs: a script that root would run from a path that others can change is not run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """A whole configuration: the node's own settings and one section per service."""

    global_defs: GlobalDefs = GlobalDefs()
    vrrp: VrrpSection = VrrpSection()
    checker: CheckerSection = CheckerSection()
    ipvs: IpvsSection = IpvsSection()
    notify: NotifySection = NotifySection()
