"""The model of virtual routers: what vrrp reads."""

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
    """Kernel number: 0 global, 200 site, 253 link, 254 host."""


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
    auth_hmac: AuthHmac | None = None
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
class VrrpSection:
    """All that vrrp reads."""

    instances: tuple[VrrpInstance, ...] = ()
    address_lease: bool = True
