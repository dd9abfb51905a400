"""The model of health checks: what checker reads."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from keepbus.config.model.scripts import Script
from keepbus.config.model.tracking import TrackProcess, TrackScript


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
    BFD_CHECK = "BFD_CHECK"
    PLUGIN = "plug-in"
    """Its keyword is its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusRange:
    """Status codes from `low` to `high`, both included."""

    low: int
    high: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsClient:
    """The `SSL` block: what SSL_GETs show to servers, and what they want of them. Paths; empty: none."""

    ca: str = ""
    certificate: str = ""
    """Shown only together with `key`, as in keepalived."""
    key: str = ""
    password: str = field(default="", repr=False)
    """Of the key."""
    verify: bool = False
    """keepbus's own: a server's certificate must be good, and of the name that is asked for by SNI."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Url:
    """`url` of HTTP_GET and SSL_GET."""

    path: str
    digest: str = ""
    """MD5 in lower case hex; empty: not compared."""
    status_codes: tuple[StatusRange, ...] = ()
    """Accepted codes; the default 200-299 is filled in when the configuration is compiled."""
    virtualhost: str = ""
    tls_compliant: bool = False
    """A connection that ends without TLS's farewell is a failure, and ours ends with it."""
    regex: Regex | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Regex:
    """`regex…` of a url: what the body must match, as PCRE2 reads it."""

    pattern: str
    options: tuple[str, ...] = ()
    """Words of keepbus.config.pcre2.OPTIONS, sorted."""
    no_match: bool = False
    """The body must not match."""
    min_offset: int = 0
    """First octet of the body where a match may start."""
    max_offset: int | None = None
    """Last one; None: any."""


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
class PluginSetting:
    """A word of a plug-in's own."""

    word: str
    argument: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginCheck:
    """A checker that another package brings (keepbus.config.plugins)."""

    keyword: str
    settings: tuple[PluginSetting, ...] = ()


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
    """Empty for MISC_CHECK, FILE_CHECK and BFD_CHECK."""
    port: int
    """0 for those, and for PING_CHECK."""
    bind_address: str = ""
    bind_port: int = 0
    bind_interface: str = ""
    fwmark: int = 0
    """0: packets are not marked."""
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
    tls: TlsClient | None = None
    urls: tuple[Url, ...] = ()
    helo_name: str = ""
    """Name for SMTP_CHECK."""
    # Each of these for its own kind, and nothing for the others.
    dns: DnsQuestion | None = None
    udp: UdpExchange | None = None
    misc: MiscCommand | None = None
    file: TrackedFile | None = None
    plugin: PluginCheck | None = None
    bfd: str = ""
    """Name of the session that a BFD_CHECK follows."""
    ha_suspend: tuple[str, ...] = ()
    """Instances one of which must hold its addresses here; empty: it is always made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckerSection:
    """All that checker reads."""

    checks: tuple[Check, ...] = ()
    track_scripts: tuple[TrackScript, ...] = ()
    track_processes: tuple[TrackProcess, ...] = ()
    track_files: tuple[TrackedFile, ...] = ()
    """Those that an instance tracks."""
    random_seed: int | None = None
    """What spreads the first starts of checks; None: chance."""
    script_user: str = ""
    """USER[:[:]GROUP] for a script that names none, from global_defs."""
    enable_script_security: bool = False
    """From global_defs: a script that root would run from a path that others can change is not run."""
