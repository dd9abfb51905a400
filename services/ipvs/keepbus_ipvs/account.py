"""What is told about a pool: the bodies of state/ipvs/… from what is wanted, known and counted."""

from __future__ import annotations

from dataclasses import fields
from operator import attrgetter

from keepbus.config.model.ipvs import VirtualServer
from keepbus.contracts import ipvs as contract
from keepbus_ipvs.pool import Member, Pool
from keepbus_ipvs.reconciler import Reconciler
from keepbus_ipvs.table import Destination, canonical, endpoint

_COUNTERS = ("active_connections", "inactive_connections", "total_connections")
_COUNTED = attrgetter(*_COUNTERS)
_DECIDED = attrgetter(*(each.name for each in fields(contract.RealServer) if each.name not in _COUNTERS))
_HEAD = attrgetter(*(each.name for each in fields(contract.VirtualServer) if each.name != "real_servers"))


def virtual_server(pool: Pool, reconciler: Reconciler, error: str = "") -> contract.VirtualServer:
    """The state of one virtual server as wanted and as last known; error is what keeps all of them out."""
    errors = (reconciler.retries[key].error for key in pool.keys if key in reconciler.retries)
    server = pool.virtual_server
    sorry = server.sorry_server
    return contract.VirtualServer(
        name=server.name,
        address=_address(server),
        services=len(pool.placements),
        protocol=str(server.protocol),
        scheduler=server.scheduler,
        forwarding=str(server.forwarding),
        persistence_timeout_s=server.persistence_timeout_s,
        quorum=server.quorum,
        quorum_up=pool.quorum_up,
        weight_up=pool.weight_up,
        changes=pool.changes,
        life=pool.life,
        since_ns=pool.since_ns,
        sorry_server="" if sorry is None else endpoint(sorry.address, sorry.port),
        sorry_server_active=not pool.quorum_up and _sorry_is_there(pool, reconciler),
        real_servers=tuple(
            _real_server(pool, index, member, reconciler) for index, member in enumerate(pool.members)
        ),
        error=error or pool.error or next(errors, ""),
    )


def _address(server: VirtualServer) -> str:
    if server.group:
        return f"group {server.group}"
    if server.fwmark:
        return f"fwmark {server.fwmark}"
    return endpoint(canonical(server.address), server.port)


def _sorry_is_there(pool: Pool, reconciler: Reconciler) -> bool:
    return any(
        placement.sorry is not None
        and (known := reconciler.known.get(placement.service.key)) is not None
        and placement.sorry.key in known.destinations
        for placement in pool.placements
    )


def fingerprint(body: contract.VirtualServer) -> tuple[int, int]:
    """What tells a body from another one: all but the connections, which makes a new publication worth while
    at once, and the connections."""
    return (
        hash((_HEAD(body), *map(_DECIDED, body.real_servers))),
        hash(tuple(map(_COUNTED, body.real_servers))),
    )


def _real_server(pool: Pool, index: int, member: Member, reconciler: Reconciler) -> contract.RealServer:
    present: Destination | None = None
    in_table = True
    active = inactive = total = 0
    for placement in pool.placements:
        service, key = placement.service.key, placement.destinations[index].key
        known = reconciler.known.get(service)
        present = None if known is None else known.destinations.get(key)
        in_table = in_table and present is not None
        counted = reconciler.connections.get(service, {}).get(key, (0, 0, 0))
        active, inactive, total = active + counted[0], inactive + counted[1], total + counted[2]
    return contract.RealServer(
        address=endpoint(*member.key),
        configured_weight=member.server.weight,
        weight=0 if present is None else present.weight,
        verdict=member.verdict,
        in_table=in_table,
        since_ns=member.since_ns,
        checks=tuple(use.check for use in member.server.checks),
        reason=pool.reason_for(member),
        active_connections=active,
        inactive_connections=inactive,
        total_connections=total,
        alive=member.alive,
        changes=member.changes,
        drained=member.drained,
    )
