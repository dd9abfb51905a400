"""A virtual server as nftables rules, in the words of libnftables-json(5).

Pure. One table, `inet keepbus`; a map from address, protocol and port to a chain per service. The service's
chain picks one of its destinations' chains for the first packet of a connection, and connection tracking
keeps the rest with it, so that a changed chain disturbs no open connection. A destination's chain counts
the connection, remembers the client where the service is persistent, and rewrites the packet.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from keepbus_ipvs.table import (
    AF_INET,
    PERSISTENT,
    TCP,
    WHOLE_ADDRESS,
    Destination,
    DestinationKey,
    Entry,
    Service,
    ServiceKey,
    is_loopback,
)

FAMILY = "inet"
TABLE = "keepbus"
_WHERE = {"family": FAMILY, "table": TABLE}
_MAPS = {AF_INET: "services4", 0: "services6"}
_ADDRESS_TYPES = {"services4": "ipv4_addr", "services6": "ipv6_addr"}
_PRIORITY = -100
_HOOKS = ("prerouting", "output")
_MOST_CLIENTS = 262_144
"""Remembered of one destination; further ones are balanced anew each time."""
SOURCE_HASH = "sh"
ROUND_ROBIN = "rr"

Object = dict[str, Any]


class Present(NamedTuple):
    """What a listing of the table shows, by name.

    Needed because nft's JSON cannot name the flag of a set that rules write to, so that such a set cannot be
    added where it is already.
    """

    chains: frozenset[str] = frozenset()
    sets: frozenset[str] = frozenset()
    counters: frozenset[str] = frozenset()

    @classmethod
    def of(cls, listing: Mapping[str, Any]) -> Present:
        """listing is what `nft --json list table` prints."""
        names: dict[str, set[str]] = {"chain": set(), "set": set(), "counter": set()}
        for item in listing.get("nftables", ()):
            for kind, found in names.items():
                if kind in item:
                    found.add(item[kind]["name"])
        return cls(*map(frozenset, names.values()))


def base() -> list[Object]:
    """The table, its maps, and the chains that look services up, whatever is there of them already."""
    commands: list[Object] = [_add("table", {"family": FAMILY, "name": TABLE})]
    for name, address in _ADDRESS_TYPES.items():
        kinds = [address, "inet_proto", "inet_service"]
        commands.append(_add("map", {**_WHERE, "name": name, "type": kinds, "map": "verdict"}))
    for hook in _HOOKS:
        chain = {**_WHERE, "name": hook}
        hooked = {"type": "nat", "hook": hook, "prio": _PRIORITY, "policy": "accept"}
        commands += [_add("chain", {**chain, **hooked}), {"flush": {"chain": chain}}]
        commands += [
            _add("rule", {**_WHERE, "chain": hook, "expr": [_lookup(name)]}) for name in _ADDRESS_TYPES
        ]
    return commands


def install(entry: Entry, present: Present) -> list[Object]:
    """The service's chains, new or in the place of the old ones, and its element in the map."""
    key = entry.service.key
    chain = chain_name(key)
    commands: list[Object] = [*_empty(chain)]
    for destination in entry.destinations.values():
        commands += _destination(entry.service, destination, present)
    for expression in _choose(entry):
        commands.append(_add("rule", {**_WHERE, "chain": chain, "expr": expression}))
    names = {destination_name(key, each) for each in entry.destinations}
    remembering = names if entry.service.flags & PERSISTENT else set()
    commands += _clear_away(key, present, keep=names, keep_sets=remembering)
    commands.append(_add("element", _element(key)))
    return commands


def remove(key: ServiceKey, present: Present) -> list[Object]:
    """Take the service out, also where only a part of it is left."""
    return [
        *_empty(chain_name(key)),
        _add("element", _element(key)),
        {"delete": {"element": _element(key)}},
        *_clear_away(key, present),
        {"delete": {"chain": {**_WHERE, "name": chain_name(key)}}},
    ]


def clear() -> list[Object]:
    """Take the whole table out."""
    table = {"family": FAMILY, "name": TABLE}
    return [_add("table", table), {"delete": {"table": table}}]


def chain_name(key: ServiceKey) -> str:
    """`tcp-172.16.1.188-80`; the name is also one that nft's own language can read."""
    return f"{_protocol(key)}-{key.address.replace(':', '.')}-{key.port}"


def destination_name(key: ServiceKey, destination: DestinationKey) -> str:
    """Of a destination's chain, counter and set: `tcp-172.16.1.188-80-192.168.1.3-80`."""
    return f"{chain_name(key)}-{destination.address.replace(':', '.')}-{destination.port}"


def digest(entry: Entry, found: Mapping[str, str]) -> str:
    """The part of `digests` that is the service's own; empty when its chain is not there."""
    key = entry.service.key
    names = [destination_name(key, each) for each in entry.destinations]
    own = found.get(chain_name(key), "")
    return own and " ".join([own, *(found.get(name, "") for name in names)])


def connections(entry: Entry, listing: Mapping[str, Any]) -> dict[DestinationKey, int]:
    """How many connections each destination got since it was written."""
    counted = {
        item["counter"]["name"]: item["counter"]["packets"]
        for item in listing.get("nftables", ())
        if "counter" in item
    }
    key = entry.service.key
    return {each: counted.get(destination_name(key, each), 0) for each in entry.destinations}


def digests(listing: Mapping[str, Any]) -> dict[str, str]:
    """What `nft -j list table` shows, as a hash per chain: its rules, and who leads to it."""
    chains: dict[str, list[Any]] = {}
    for item in listing.get("nftables", ()):
        if "chain" in item:
            chain = item["chain"]
            chains.setdefault(chain["name"], []).append([chain.get("hook"), chain.get("prio")])
        elif "rule" in item:
            chains.setdefault(item["rule"]["chain"], []).append(item["rule"]["expr"])
        elif "map" in item:
            for element, verdict in item["map"].get("elem", ()):
                target = (verdict.get("goto") or {}).get("target", "")
                chains.setdefault(target, []).append([item["map"]["name"], element])
    return {name: _hash(parts) for name, parts in chains.items()}


def base_digest(found: Mapping[str, str]) -> str:
    """The part of `digests` on which every service depends."""
    return " ".join(found.get(hook, "") for hook in _HOOKS)


def _hash(parts: Iterable[Any]) -> str:
    lines = sorted(json.dumps(part, sort_keys=True) for part in parts)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _empty(chain: str) -> tuple[Object, Object]:
    return _add("chain", {**_WHERE, "name": chain}), {"flush": {"chain": {**_WHERE, "name": chain}}}


def _destination(service: Service, destination: Destination, present: Present) -> list[Object]:
    """A destination's chain, counter and set."""
    name = destination_name(service.key, destination.key)
    commands: list[Object] = []
    statements: list[Object] = [
        # In the same rule: only then does nft know that there is a port to rewrite.
        {"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": _protocol(service.key)}},
        {"counter": name},
    ]
    if name not in present.counters:
        commands.append(_add("counter", {**_WHERE, "name": name}))
    if service.flags & PERSISTENT:
        client = {"elem": {"val": _client(service), "timeout": service.timeout_s}}
        statements.append({"set": {"op": "update", "elem": client, "set": f"@{name}"}})
        if name not in present.sets:
            kind = _ADDRESS_TYPES[_map_name(service.key)]
            shape = {"type": kind, "flags": ["timeout"], "size": _MOST_CLIENTS}
            commands.append(_add("set", {**_WHERE, "name": name, **shape}))
    statements.append(_rewrite(service.key, destination.key))
    commands += _empty(name)
    commands.append(_add("rule", {**_WHERE, "chain": name, "expr": statements}))
    return commands


def _rewrite(service: ServiceKey, destination: DestinationKey) -> Object:
    if is_loopback(destination.address):
        # As with IPVS, a server on loopback gets the packet as it came: delivered here, not rewritten.
        if destination.port == service.port:
            return {"accept": None}
        return {"redirect": {"port": destination.port}}
    address, port = destination
    return {"dnat": {"family": _words(service), "addr": address, "port": port}}


def _choose(entry: Entry) -> list[list[Object]]:
    """The rules that pick a destination: the one that the client had, or the next one."""
    service = entry.service
    rules: list[list[Object]] = []
    if service.flags & PERSISTENT:
        # One of weight 0 too: it gets no new clients, and keeps those that it has (W7).
        for each in entry.destinations:
            name = destination_name(service.key, each)
            known = {"match": {"op": "==", "left": _client(service), "right": f"@{name}"}}
            rules.append([known, {"goto": {"target": name}}])
    targets = [destination for destination in entry.destinations.values() if destination.weight > 0]
    if len(targets) == 1:
        rules.append([{"goto": {"target": destination_name(service.key, targets[0].key)}}])
    elif targets:
        rules.append([_balance(service, targets)])
    return rules


def _balance(service: Service, targets: list[Destination]) -> Object:
    elements: list[Any] = []
    total = 0
    for target in targets:
        share = 1 if service.scheduler == ROUND_ROBIN else target.weight
        slot: Any = total if share == 1 else {"range": [total, total + share - 1]}
        elements.append([slot, {"goto": {"target": destination_name(service.key, target.key)}}])
        total += share
    picked: Object = {"numgen": {"mode": "inc", "mod": total, "offset": 0}}
    if service.scheduler == SOURCE_HASH:
        # A fixed seed: the same client meets the same server again after a change, and on the other node.
        source = _source(service.key)
        picked = {"jhash": {"mod": total, "offset": 0, "expr": source, "seed": 1}}
    return {"vmap": {"key": picked, "data": {"set": elements}}}


def _client(service: Service) -> Object:
    """Whom persistence takes for one client (W14)."""
    family = service.key.family
    if service.netmask == WHOLE_ADDRESS[family]:
        return _source(service.key)
    width = 32 if family == AF_INET else 128
    any_address = "0.0.0.0" if family == AF_INET else "::"
    mask = service.netmask
    if family != AF_INET:
        mask = str(ipaddress.ip_network(f"{any_address}/{min(int(mask), width)}").netmask)
    return {"&": [_source(service.key), mask]}


def _source(key: ServiceKey) -> Object:
    return {"payload": {"protocol": _words(key), "field": "saddr"}}


def _clear_away(
    key: ServiceKey, present: Present, keep: Iterable[str] = (), keep_sets: Iterable[str] = ()
) -> list[Object]:
    """Take away what belonged to destinations that are gone."""
    prefix = f"{chain_name(key)}-"
    commands: list[Object] = []
    for kind, names, kept in (
        ("chain", present.chains, keep),
        ("set", present.sets, keep_sets),
        ("counter", present.counters, keep),
    ):
        for name in sorted(names.difference(kept)):
            if name.startswith(prefix):
                where = {kind: {**_WHERE, "name": name}}
                commands += [{"flush": where}, {"delete": where}] if kind == "chain" else [{"delete": where}]
    return commands


def _lookup(name: str) -> Object:
    family = "ip" if name == _MAPS[AF_INET] else "ip6"
    concat = [
        {"payload": {"protocol": family, "field": "daddr"}},
        {"meta": {"key": "l4proto"}},
        {"payload": {"protocol": "th", "field": "dport"}},
    ]
    return {"vmap": {"key": {"concat": concat}, "data": f"@{name}"}}


def _element(key: ServiceKey) -> Object:
    name = _map_name(key)
    concat = {"concat": [key.address, _protocol(key), key.port]}
    return {**_WHERE, "name": name, "elem": [[concat, {"goto": {"target": chain_name(key)}}]]}


def _map_name(key: ServiceKey) -> str:
    return _MAPS[AF_INET if key.family == AF_INET else 0]


def _words(key: ServiceKey) -> str:
    return "ip" if key.family == AF_INET else "ip6"


def _protocol(key: ServiceKey) -> str:
    return "tcp" if key.protocol == TCP else "udp"


def _add(kind: str, body: Object) -> Object:
    return {"add": {kind: body}}
