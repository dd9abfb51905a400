"""What is told about a pool: the bodies of state/ipvs/… from what is wanted, known and counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from keepbus.contracts import ipvs as contract
from keepbus_ipvs.pool import Member, Pool
from keepbus_ipvs.reconciler import Reconciler
from keepbus_ipvs.table import Destination, DestinationKey, endpoint

Connections = Mapping[DestinationKey, tuple[int, int, int]]


def virtual_server(pool: Pool, reconciler: Reconciler, error: str = "") -> contract.VirtualServer:
    """The state of one virtual server as wanted and as last known; error is what keeps all of them out."""
    known = reconciler.known.get(pool.key)
    there = {} if known is None else known.destinations
    connections = reconciler.connections.get(pool.key, {})
    retry = reconciler.retries.get(pool.key)
    server = pool.virtual_server
    sorry = "" if pool.sorry is None else endpoint(*pool.sorry.key)
    return contract.VirtualServer(
        name=server.name,
        address=endpoint(pool.key.address, pool.key.port),
        protocol=str(server.protocol),
        scheduler=server.scheduler,
        forwarding=str(server.forwarding),
        persistence_timeout_s=server.persistence_timeout_s,
        quorum=server.quorum,
        quorum_up=pool.quorum_up,
        weight_up=pool.weight_up,
        changes=pool.changes,
        since_ns=pool.since_ns,
        sorry_server=sorry,
        sorry_server_active=not pool.quorum_up and pool.sorry is not None and pool.sorry.key in there,
        real_servers=tuple(_real_server(pool, member, there, connections) for member in pool.members),
        error=error or pool.error or (retry.error if retry is not None else ""),
    )


def without_counters(body: contract.VirtualServer) -> contract.VirtualServer:
    """The same with all connections at 0: what makes a new publication worth while at once."""
    servers = (
        replace(server, active_connections=0, inactive_connections=0, total_connections=0)
        for server in body.real_servers
    )
    return replace(body, real_servers=tuple(servers))


def _real_server(
    pool: Pool,
    member: Member,
    there: Mapping[DestinationKey, Destination],
    connections: Connections,
) -> contract.RealServer:
    key = member.destination.key
    present = there.get(key)
    active, inactive, total = connections.get(key, (0, 0, 0))
    return contract.RealServer(
        address=endpoint(*key),
        configured_weight=member.server.weight,
        weight=0 if present is None else present.weight,
        verdict=member.verdict,
        in_table=present is not None,
        since_ns=member.since_ns,
        checks=tuple(use.check for use in member.server.checks),
        reason=pool.reason_of(key),
        active_connections=active,
        inactive_connections=inactive,
        total_connections=total,
    )
