"""Routes as rtnetlink messages: to octets, and what the kernel tells of those that went. No socket.

Numbers are those of linux/rtnetlink.h and linux/lwtunnel.h.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import NamedTuple

from keepbus.config.model.routes import DEFAULT_METRIC_6, Encapsulation, NextHop, Route
from keepbus_vrrp.attributes import attribute, attributes, message, nested, packed

RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26
_NLM_F_REQUEST, _NLM_F_DUMP = 0x1, 0x300
_NLM_F_REPLACE, _NLM_F_EXCL, _NLM_F_CREATE, _NLM_F_APPEND = 0x100, 0x200, 0x400, 0x800
_AF_INET, _AF_INET6 = 2, 10
FAMILIES = {4: _AF_INET, 6: _AF_INET6}
_MODES = {
    "replace": _NLM_F_CREATE | _NLM_F_REPLACE,
    "add": _NLM_F_CREATE | _NLM_F_EXCL,
    "prepend": _NLM_F_CREATE,
    "append": _NLM_F_CREATE | _NLM_F_APPEND,
}
_RTMSG = struct.Struct("=8BI")
_RTNEXTHOP = struct.Struct("=HBBi")
_RTNH_F_ONLINK = 4
_TYPES = {
    "unicast": 1, "local": 2, "broadcast": 3, "anycast": 4, "multicast": 5, "blackhole": 6,
    "unreachable": 7, "prohibit": 8, "throw": 9, "nat": 10, "xresolve": 11,
}  # fmt: skip
_SCOPE_NOWHERE = 255
_RTA_DST, _RTA_SRC, _RTA_OIF, _RTA_GATEWAY, _RTA_PRIORITY = 1, 2, 4, 5, 6
_RTA_PREFSRC, _RTA_METRICS, _RTA_MULTIPATH, _RTA_FLOW = 7, 8, 9, 11
_RTA_TABLE, _RTA_VIA, _RTA_PREF, _RTA_ENCAP_TYPE, _RTA_ENCAP = 15, 18, 20, 21, 22
_RTA_EXPIRES, _RTA_TTL_PROPAGATE = 23, 26
_RTAX_LOCK, _RTAX_CC_ALGO = 1, 16
_RTAX = {
    "mtu": 2, "window": 3, "rtt": 4, "rttvar": 5, "ssthresh": 6, "cwnd": 7, "advmss": 8, "reordering": 9,
    "hoplimit": 10, "initcwnd": 11, "features": 12, "rto_min": 13, "initrwnd": 14, "quickack": 15,
    "congctl": _RTAX_CC_ALGO, "fastopen_no_cookie": 17,
}  # fmt: skip
_PREFERENCES = {"medium": 0, "high": 1, "low": 3}
_ENCAP_TYPES = {"mpls": 1, "ip": 2, "ila": 3, "ip6": 4}

IndexOf = Callable[[str], int]
"""Interface name to index; raises LookupError."""


class RouteKey(NamedTuple):
    """What the kernel tells routes apart by."""

    family: int
    destination: bytes
    prefix: int
    table: int
    tos: int
    metric: int


class RouteMessage(NamedTuple):
    """A route that went, or that another one replaced."""

    key: RouteKey
    protocol: int
    gone: bool


def install(route: Route, index_of: IndexOf) -> bytes:
    """Create the route in the way of its mode. Raises LookupError for an unknown interface."""
    return message(RTM_NEWROUTE, _NLM_F_REQUEST | _MODES[route.mode], _body(route, index_of, route.scope))


def remove(route: Route, index_of: IndexOf) -> bytes:
    """Delete the route, and no other one to the same destination. Raises LookupError."""
    return message(RTM_DELROUTE, _NLM_F_REQUEST, _body(route, index_of, _SCOPE_NOWHERE))


def key(route: Route) -> RouteKey:
    """How the kernel will name it."""
    destination, prefix = packed(route.destination)
    metric = route.metric or (DEFAULT_METRIC_6 if route.family == 6 else 0)
    return RouteKey(FAMILIES[route.family], destination, prefix, route.table, route.tos, metric)


def dump(sequence: int, family: int, protocol: int) -> bytes:
    """Ask for all routes of a family (4 or 6) and protocol; a socket that does not check strictly gives all
    protocols."""
    body = _RTMSG.pack(FAMILIES[family], 0, 0, 0, 0, protocol, 0, 0, 0)
    return message(RTM_GETROUTE, _NLM_F_REQUEST | _NLM_F_DUMP, body, sequence)


def parse(kind: int, body: bytes) -> RouteMessage | None:
    """The body of a message about a route; None when it is of no use here."""
    if len(body) < _RTMSG.size:
        return None
    family, prefix, _, tos, table, protocol, _, _, _ = _RTMSG.unpack_from(body)
    if family not in (_AF_INET, _AF_INET6):
        return None
    found = dict(attributes(body[_RTMSG.size :]))
    size = 4 if family == _AF_INET else 16
    destination = found.get(_RTA_DST, bytes(size))
    metric = _number(found.get(_RTA_PRIORITY))
    number = _number(found.get(_RTA_TABLE)) or table
    return RouteMessage(
        RouteKey(family, destination, prefix, number, tos, metric), protocol, kind == RTM_DELROUTE
    )


def _body(route: Route, index_of: IndexOf, scope: int) -> bytes:
    family = FAMILIES[route.family]
    destination, prefix = packed(route.destination)
    source, source_prefix = packed(route.source) if route.source else (b"", 0)
    head = _RTMSG.pack(
        family,
        prefix,
        source_prefix,
        route.tos,
        route.table if route.table < 256 else 0,
        route.protocol,
        scope,
        _TYPES[route.type],
        _RTNH_F_ONLINK if route.onlink else 0,
    )
    parts = [attribute(_RTA_DST, destination)]
    if source:
        parts.append(attribute(_RTA_SRC, source))
    if route.table > 255:
        parts.append(_u32(_RTA_TABLE, route.table))
    if route.preferred_source:
        parts.append(attribute(_RTA_PREFSRC, packed(route.preferred_source)[0]))
    if route.metric is not None:
        parts.append(_u32(_RTA_PRIORITY, route.metric))
    if route.gateway:
        parts.append(_gateway(family, route.gateway))
    if route.interface:
        parts.append(_u32(_RTA_OIF, index_of(route.interface)))
    if route.realms:
        parts.append(_u32(_RTA_FLOW, route.realms))
    if route.encapsulation:
        parts.append(_encapsulation(route.encapsulation))
    if route.next_hops:
        legs = b"".join(_next_hop(family, leg, index_of) for leg in route.next_hops)
        parts.append(attribute(_RTA_MULTIPATH, legs))
    if route.preference:
        parts.append(attribute(_RTA_PREF, bytes((_PREFERENCES[route.preference],))))
    if route.ttl_propagate is not None:
        parts.append(attribute(_RTA_TTL_PROPAGATE, bytes((route.ttl_propagate,))))
    if scope != _SCOPE_NOWHERE:
        parts.append(_metrics(route))
        if route.expires_s:
            parts.append(_u32(_RTA_EXPIRES, route.expires_s))
    return head + b"".join(parts)


def _metrics(route: Route) -> bytes:
    if not route.metrics:
        return b""
    parts = []
    locked = 0
    for metric in route.metrics:
        kind = _RTAX[metric.name]
        locked |= metric.lock << kind
        if kind == _RTAX_CC_ALGO:
            parts.append(attribute(kind, metric.text.encode() + b"\0"))
        else:
            parts.append(_u32(kind, metric.value))
    if locked:
        parts.append(_u32(_RTAX_LOCK, locked))
    return nested(_RTA_METRICS, parts, flagged=False)


def _gateway(family: int, text: str) -> bytes:
    """RTA_VIA where the gateway is of another family than the route (RFC 5549)."""
    octets, _ = packed(text)
    of = _AF_INET6 if len(octets) == 16 else _AF_INET
    if of == family:
        return attribute(_RTA_GATEWAY, octets)
    return attribute(_RTA_VIA, struct.pack("=H", of) + octets)


def _next_hop(family: int, leg: NextHop, index_of: IndexOf) -> bytes:
    parts = [_gateway(family, leg.gateway)] if leg.gateway else []
    if leg.realms:
        parts.append(_u32(_RTA_FLOW, leg.realms))
    if leg.encapsulation:
        parts.append(_encapsulation(leg.encapsulation))
    body = b"".join(parts)
    index = index_of(leg.interface) if leg.interface else 0
    flags = _RTNH_F_ONLINK if leg.onlink else 0
    return _RTNEXTHOP.pack(_RTNEXTHOP.size + len(body), flags, leg.weight - 1, index) + body


def _encapsulation(encap: Encapsulation) -> bytes:
    kind = attribute(_RTA_ENCAP_TYPE, struct.pack("=H", _ENCAP_TYPES[encap.kind]))
    return kind + nested(_RTA_ENCAP, _tunnel(encap))


def _tunnel(encap: Encapsulation) -> Iterable[bytes]:
    if encap.kind == "mpls":
        last = len(encap.labels) - 1
        stack = b"".join(
            struct.pack("!I", label << 12 | (index == last) << 8) for index, label in enumerate(encap.labels)
        )
        yield attribute(1, stack)
        if encap.ttl is not None:
            yield attribute(2, bytes((encap.ttl,)))
        return
    if encap.kind == "ila":
        yield attribute(1, struct.pack("!Q", encap.locator))
        return
    if encap.id is not None:
        yield attribute(1, struct.pack("!Q", encap.id))
    if encap.destination:
        yield attribute(2, packed(encap.destination)[0])
    if encap.source:
        yield attribute(3, packed(encap.source)[0])
    # LWTUNNEL_IP_TTL and _TOS, LWTUNNEL_IP6_HOPLIMIT and _TC: the same numbers.
    if encap.ttl is not None:
        yield attribute(4, bytes((encap.ttl,)))
    if encap.tos is not None:
        yield attribute(5, bytes((encap.tos,)))
    if encap.flags is not None:
        yield attribute(6, struct.pack("!H", encap.flags))


def _u32(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("=I", value))


def _number(octets: bytes | None) -> int:
    return int.from_bytes(octets, "little" if struct.pack("=H", 1)[0] else "big") if octets else 0
