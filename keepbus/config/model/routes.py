"""The model of routes and rules: lines of `virtual_routes`, `virtual_rules` and their static counterparts.

Numbers are the kernel's, names of tables, scopes, protocols, realms and groups are resolved when the
configuration is compiled. Words are those of `ip route` and `ip rule`.
"""

from __future__ import annotations

from dataclasses import dataclass

PROTOCOL_KEEPALIVED = 18
"""Who made an object, as `ip` shows it (linux/rtnetlink.h)."""
MAIN_TABLE = 254
DEFAULT_METRIC_6 = 1024
"""What the kernel gives an IPv6 route without a metric."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteMetric:
    """`mtu`, `advmss`, `rtt`, … of a route."""

    name: str
    """The keyword."""
    value: int = 0
    """In the kernel's unit: `rtt` in eighths and `rttvar` in quarters of a millisecond."""
    text: str = ""
    """Of `congctl`, which has no number."""
    lock: bool = False
    """The kernel does not change it by what it measures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Encapsulation:
    """`encap`: a tunnel without an interface."""

    kind: str
    """ip, ip6, mpls or ila."""
    id: int | None = None
    source: str = ""
    destination: str = ""
    tos: int | None = None
    """`tos` of ip, `tc` of ip6."""
    ttl: int | None = None
    """`ttl` of ip and mpls, `hoplimit` of ip6."""
    flags: int | None = None
    labels: tuple[int, ...] = ()
    """Of mpls, the outermost first."""
    locator: int = 0
    """Of ila: 64 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NextHop:
    """`nexthop`: one leg of a route."""

    gateway: str = ""
    interface: str = ""
    weight: int = 1
    onlink: bool = False
    realms: int = 0
    """Source realm times 65536 plus destination realm."""
    encapsulation: Encapsulation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A line of `virtual_routes` or `static_routes`."""

    destination: str
    """ADDRESS/LENGTH; its family is the route's."""
    type: str = "unicast"
    source: str = ""
    """`from`, ADDRESS/LENGTH; empty: any."""
    preferred_source: str = ""
    gateway: str = ""
    """May be of the other family."""
    interface: str = ""
    onlink: bool = False
    encapsulation: Encapsulation | None = None
    next_hops: tuple[NextHop, ...] = ()
    """Instead of gateway and interface."""
    table: int = MAIN_TABLE
    vrf: str = ""
    """The table is this VRF's, whatever its number is when the route is made."""
    protocol: int = PROTOCOL_KEEPALIVED
    scope: int = 0
    tos: int = 0
    metric: int | None = None
    mode: str = "replace"
    """replace, add, prepend or append."""
    expires_s: int = 0
    """0: never."""
    realms: int = 0
    preference: str = ""
    """`pref` of IPv6: low, medium, high."""
    ttl_propagate: bool | None = None
    metrics: tuple[RouteMetric, ...] = ()
    no_track: bool = False
    """Neither its interface is tracked nor its removal by others reacted to."""

    @property
    def family(self) -> int:
        """4 or 6."""
        return 6 if ":" in self.destination else 4

    @property
    def interfaces(self) -> tuple[str, ...]:
        """All that it leaves through and names."""
        names = (self.interface, *(leg.interface for leg in self.next_hops), self.vrf)
        return tuple(dict.fromkeys(name for name in names if name))

    @property
    def name(self) -> str:
        """What `ip route` would be asked to find it by."""
        default = self.destination in ("0.0.0.0/0", "::/0")
        words = ["default" if default else self.destination]
        if default and self.family == 6:
            words = ["default6"]
        if self.type != "unicast":
            words.insert(0, self.type)
        given = (("via", self.gateway), ("dev", self.interface), ("from", self.source))
        words += [f"{word} {value}" for word, value in given if value]
        words += [f"nexthop {leg.gateway or leg.interface}" for leg in self.next_hops]
        if self.vrf:
            words.append(f"vrf {self.vrf}")
        elif self.table != MAIN_TABLE:
            words.append(f"table {self.table}")
        if self.metric is not None:
            words.append(f"metric {self.metric}")
        if self.tos:
            words.append(f"tos {self.tos:#x}")
        return " ".join(words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """From `low` to `high`, both included."""

    low: int
    high: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A line of `virtual_rules` or `static_rules`."""

    family: int
    """4 or 6."""
    preference: int
    action: str = "table"
    """table, goto, nop, blackhole, unreachable or prohibit."""
    table: int = 0
    goto: int = 0
    """Preference of the rule to go to."""
    invert: bool = False
    source: str = ""
    """`from`, ADDRESS/LENGTH; empty: all."""
    destination: str = ""
    tos: int = 0
    mark: int | None = None
    mask: int | None = None
    realms: int = 0
    suppress_prefix_length: int | None = None
    suppress_group: int | None = None
    input_interface: str = ""
    output_interface: str = ""
    tunnel_id: int = 0
    uid_range: Range | None = None
    l3mdev: bool = False
    protocol: int = PROTOCOL_KEEPALIVED
    ip_protocol: int = 0
    source_ports: Range | None = None
    destination_ports: Range | None = None
    no_track: bool = False

    @property
    def interfaces(self) -> tuple[str, ...]:
        """All that it names."""
        return tuple(name for name in (self.input_interface, self.output_interface) if name)

    @property
    def name(self) -> str:
        """In the words of `ip rule`, as far as one needs to find it."""
        given = (
            ("from", self.source),
            ("to", self.destination),
            ("iif", self.input_interface),
            ("oif", self.output_interface),
            ("fwmark", "" if self.mark is None else f"{self.mark:#x}"),
        )
        words = [f"{self.preference}:", *(["not"] if self.invert else [])]
        words += [f"{word} {value}" for word, value in given if value] or ["from all"]
        target = {"table": f"table {self.table}", "goto": f"goto {self.goto}"}.get(self.action, self.action)
        words.append("l3mdev" if self.l3mdev else target)
        return " ".join(words) + (" (IPv6)" if self.family == 6 else "")
