"""A virtual server as nftables rules, in the words of libnftables-json(5).

Pure. One table, `inet keepbus`; a map from address, protocol and port to a chain per service; each chain
picks a server for the first packet of a connection, and connection tracking keeps the rest with it, so that
a changed chain disturbs no open connection. Every list of commands can be applied to whatever is there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from keepbus_ipvs.table import AF_INET, PERSISTENT, TCP, Destination, Entry, ServiceKey, is_loopback

FAMILY = "inet"
TABLE = "keepbus"
_WHERE = {"family": FAMILY, "table": TABLE}
_MAPS = {AF_INET: "services4", 0: "services6"}
_ADDRESS_TYPES = {"services4": "ipv4_addr", "services6": "ipv6_addr"}
_PRIORITY = -100
_HOOKS = ("prerouting", "output")
SOURCE_HASH = "sh"
ROUND_ROBIN = "rr"

Object = dict[str, Any]


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


def install(entry: Entry) -> list[Object]:
    """The service's chain, new or in the place of the old one, and its element in the map."""
    key = entry.service.key
    chain = chain_name(key)
    commands: list[Object] = [
        _add("chain", {**_WHERE, "name": chain}),
        {"flush": {"chain": {**_WHERE, "name": chain}}},
    ]
    expression = _choose(entry)
    if expression:
        commands.append(_add("rule", {**_WHERE, "chain": chain, "expr": expression}))
    commands.append(_add("element", _element(key)))
    return commands


def remove(key: ServiceKey) -> list[Object]:
    """Take the service out, also where only a part of it is left."""
    chain = {**_WHERE, "name": chain_name(key)}
    return [
        _add("chain", chain),
        _add("element", _element(key)),
        {"delete": {"element": _element(key)}},
        {"flush": {"chain": chain}},
        {"delete": {"chain": chain}},
    ]


def clear() -> list[Object]:
    """Take the whole table out."""
    table = {"family": FAMILY, "name": TABLE}
    return [_add("table", table), {"delete": {"table": table}}]


def chain_name(key: ServiceKey) -> str:
    """`tcp-172.16.1.188-80`; the name is also one that nft's own language can read."""
    return f"{_protocol(key)}-{key.address.replace(':', '.')}-{key.port}"


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


def _choose(entry: Entry) -> list[Object]:
    """The rule that picks a server; empty when there is none to pick."""
    service = entry.service
    assert not service.flags & PERSISTENT, "refused by keepbus.config.ipvs_drivers"
    targets = [destination for destination in entry.destinations.values() if destination.weight > 0]
    if not targets:
        return []
    match = {"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": _protocol(service.key)}}
    local = next((target for target in targets if is_loopback(target.key.address)), None)
    if local is not None:
        # As with IPVS, a server on loopback gets the packet as it came: delivered here, not rewritten.
        if local.key.port == service.key.port:
            return [match, {"accept": None}]
        return [match, {"redirect": {"port": local.key.port}}]
    family = "ip" if service.key.family == AF_INET else "ip6"
    if len(targets) == 1:
        address, port = targets[0].key
        return [match, {"dnat": {"family": family, "addr": address, "port": port}}]
    return [match, {"dnat": {"family": family, "addr": _balance(service.scheduler, family, targets)}}]


def _balance(scheduler: str, family: str, targets: list[Destination]) -> Object:
    elements: list[Any] = []
    total = 0
    for target in targets:
        share = 1 if scheduler == ROUND_ROBIN else target.weight
        slot: Any = total if share == 1 else {"range": [total, total + share - 1]}
        elements.append([slot, {"concat": [target.key.address, target.key.port]}])
        total += share
    picked: Object = {"numgen": {"mode": "inc", "mod": total, "offset": 0}}
    if scheduler == SOURCE_HASH:
        # A fixed seed: the same client meets the same server again after a change, and on the other node.
        source = {"payload": {"protocol": family, "field": "saddr"}}
        picked = {"jhash": {"mod": total, "offset": 0, "expr": source, "seed": 1}}
    return {"map": {"key": picked, "data": {"set": elements}}}


def _lookup(name: str) -> Object:
    family = "ip" if name == _MAPS[AF_INET] else "ip6"
    concat = [
        {"payload": {"protocol": family, "field": "daddr"}},
        {"meta": {"key": "l4proto"}},
        {"payload": {"protocol": "th", "field": "dport"}},
    ]
    return {"vmap": {"key": {"concat": concat}, "data": f"@{name}"}}


def _element(key: ServiceKey) -> Object:
    name = _MAPS[AF_INET if key.family == AF_INET else 0]
    concat = {"concat": [key.address, _protocol(key), key.port]}
    return {**_WHERE, "name": name, "elem": [[concat, {"goto": {"target": chain_name(key)}}]]}


def _protocol(key: ServiceKey) -> str:
    return "tcp" if key.protocol == TCP else "udp"


def _add(kind: str, body: Object) -> Object:
    return {"add": {kind: body}}
