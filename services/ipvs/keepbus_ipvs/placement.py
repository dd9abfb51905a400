"""A virtual server of the configuration in the kernel's terms: its services, and what stands in each.

Pure. What is decided (who lives, who serves) is `pool`'s; here is only how it is written.
"""

from __future__ import annotations

from typing import NamedTuple

from keepbus.config.model.ipvs import (
    Forwarding,
    Protocol,
    RealServer,
    ServiceAddress,
    SorryServer,
    TunnelChecksum,
    TunnelType,
    VirtualServer,
)
from keepbus_ipvs.table import (
    AF_INET,
    AF_INET6,
    CHECKSUM,
    DIRECT,
    GRE,
    GUE,
    IPIP,
    MASQUERADE,
    NO_CHECKSUM,
    ONE_PACKET,
    PERSISTENT,
    REMOTE_CHECKSUM,
    SCHEDULER_FLAGS,
    SCTP,
    TCP,
    TUNNEL,
    UDP,
    WHOLE_ADDRESS,
    Destination,
    DestinationKey,
    Service,
    ServiceKey,
    canonical,
    is_loopback,
)

_METHODS = {Forwarding.NAT: MASQUERADE, Forwarding.DR: DIRECT, Forwarding.TUN: TUNNEL}
_PROTOCOLS = {Protocol.TCP: TCP, Protocol.UDP: UDP, Protocol.SCTP: SCTP}
_TUNNELS = {TunnelType.IPIP: IPIP, TunnelType.GUE: GUE, TunnelType.GRE: GRE}
_CHECKSUMS = {
    TunnelChecksum.NOCSUM: NO_CHECKSUM,
    TunnelChecksum.CSUM: CHECKSUM,
    TunnelChecksum.REMCSUM: REMOTE_CHECKSUM,
}
_FAMILIES = {"IPv4": AF_INET, "IPv6": AF_INET6}
_SORRY_WEIGHT = 1


class Placement(NamedTuple):
    """One service of a virtual server, and its servers there."""

    service: Service
    destinations: tuple[Destination, ...]
    """One for each real server, in their order, with the configured weight."""
    sorry: Destination | None


def placements(virtual_server: VirtualServer) -> tuple[Placement, ...]:
    """All services; raises ValueError when an address is none."""
    found = []
    for address in virtual_server.services():
        service = _service(virtual_server, address)
        servers = tuple(
            _destination(server, service.key, server.weight, server.uthreshold, server.lthreshold)
            for server in virtual_server.real_servers
        )
        sorry = virtual_server.sorry_server
        found.append(Placement(service, servers, None if sorry is None else _destination(sorry, service.key)))
    return tuple(found)


def _service(virtual_server: VirtualServer, address: ServiceAddress) -> Service:
    family = _FAMILIES[address.family]
    if address.fwmark:
        key = ServiceKey(family, 0, "", 0, address.fwmark)
    else:
        protocol = _PROTOCOLS[virtual_server.protocol]
        key = ServiceKey(family, protocol, canonical(address.address), address.port)
    flags = sum(SCHEDULER_FLAGS[flag] for flag in virtual_server.flags)
    if virtual_server.one_packet:
        flags |= ONE_PACKET
    netmask = WHOLE_ADDRESS[family]
    if virtual_server.persistence_timeout_s:
        flags |= PERSISTENT
        granularity = virtual_server.persistence_granularity
        if granularity and ("." in granularity) == (family == AF_INET):
            netmask = granularity
    return Service(
        key=key,
        scheduler=virtual_server.scheduler,
        flags=flags,
        timeout_s=virtual_server.persistence_timeout_s,
        netmask=netmask,
        engine=virtual_server.persistence_engine,
    )


def _destination(
    server: RealServer | SorryServer,
    service: ServiceKey,
    weight: int = _SORRY_WEIGHT,
    upper: int = 0,
    lower: int = 0,
) -> Destination:
    # Only NAT rewrites ports (W2); keepalived forces the port of the others, and so do we. Behind a mark
    # nobody knows it, and 0 is whatever the packet has.
    rewritten = server.forwarding is Forwarding.NAT and server.port != 0
    tunnel = server.tunnel
    return Destination(
        key=DestinationKey(canonical(server.address), server.port if rewritten else service.port),
        forwarding=_method(server, service),
        weight=weight,
        upper=upper,
        lower=lower,
        tunnel=_TUNNELS[tunnel.type],
        tunnel_port=tunnel.port,
        tunnel_flags=_CHECKSUMS[tunnel.checksum],
    )


def _method(server: RealServer | SorryServer, service: ServiceKey) -> int:
    # The kernel drops what it would have to rewrite to a loopback address for another host; delivered as it
    # came it reaches the server, and nothing else is different as long as the port is the same.
    same_port = server.port in (0, service.port)
    if server.forwarding is Forwarding.NAT and same_port and is_loopback(server.address):
        return DIRECT
    return _METHODS[server.forwarding]
