"""What each IPVS driver cannot carry: asked at compile time, and by ipvs before it writes."""

from __future__ import annotations

import ipaddress

from keepbus.config.model.ipvs import Forwarding, Protocol, VirtualServer

IPVS = "ipvs"
NFTABLES = "nftables"
DRY_RUN = "dry-run"
AUTO = "auto"
CHOICES = (AUTO, IPVS, NFTABLES, DRY_RUN)
"""What an operator may name; auto is the first of ipvs and nftables that works."""

NFTABLES_SCHEDULERS = ("rr", "wrr", "sh")
_MOST_WEIGHT = 65535


def unsupported(driver: str, virtual_server: VirtualServer) -> str | None:
    """One sentence that says what `driver` cannot do of it and what to do instead; None: it can do all.

    An unknown or empty driver stands for the kernel's, which takes everything that is valid at all
    (conformance V17 to V19).
    """
    sentence = _invalid(virtual_server)
    if sentence is None and driver == NFTABLES:
        sentence = _beyond_nftables(virtual_server)
    return sentence


def _invalid(virtual_server: VirtualServer) -> str | None:
    if _for_all_ports(virtual_server) and not virtual_server.persistence_timeout_s:
        return "port 0 (all ports) needs persistence_timeout"
    addressed = virtual_server.address or any(member.address for member in virtual_server.members)
    if virtual_server.one_packet and addressed and virtual_server.protocol is not Protocol.UDP:
        return f"ops is for UDP and for marks, not for {virtual_server.protocol}"
    if virtual_server.flags and virtual_server.scheduler not in ("sh", "mh"):
        return f"the scheduler {virtual_server.scheduler} has no flags; only sh and mh have"
    for server in virtual_server.real_servers:
        if not 0 <= server.weight <= _MOST_WEIGHT:
            return f"real server {server.address}: weight {server.weight} is not within 0 to {_MOST_WEIGHT}"
        if server.lthreshold > server.uthreshold:
            return (
                f"real server {server.address}: lthreshold {server.lthreshold} is above "
                f"uthreshold {server.uthreshold}"
            )
    return None


def _for_all_ports(virtual_server: VirtualServer) -> bool:
    if virtual_server.group:
        return any(member.address and not member.port for member in virtual_server.members)
    return not virtual_server.port and not virtual_server.fwmark


def _beyond_nftables(virtual_server: VirtualServer) -> str | None:
    if virtual_server.fwmark or any(member.fwmark for member in virtual_server.members):
        return "the nftables driver has no marks; use addresses or the ipvs driver"
    if virtual_server.protocol is Protocol.SCTP:
        return "the nftables driver has no SCTP; use the ipvs driver"
    if virtual_server.one_packet or virtual_server.flags or virtual_server.persistence_engine:
        return "the nftables driver has no ops, scheduler flags or persistence_engine; use the ipvs driver"
    if _for_all_ports(virtual_server):
        return "the nftables driver needs a port; use the ipvs driver for all ports"
    if virtual_server.scheduler not in NFTABLES_SCHEDULERS:
        return (
            f"the nftables driver has no scheduler {virtual_server.scheduler}; "
            f"use {', '.join(NFTABLES_SCHEDULERS)} or the ipvs driver"
        )
    for server in virtual_server.real_servers:
        if server.forwarding is not Forwarding.NAT:
            return f"the nftables driver has no {server.forwarding}; use lb_kind NAT or the ipvs driver"
        if server.uthreshold or server.lthreshold:
            return "the nftables driver has no connection thresholds; use the ipvs driver"
        if ipaddress.ip_address(server.address).is_loopback:
            return f"the nftables driver cannot balance to {server.address}; give the server another address"
    sorry_server = virtual_server.sorry_server
    if sorry_server is None or ipaddress.ip_address(sorry_server.address).is_loopback:
        return None
    if sorry_server.forwarding is not Forwarding.NAT:
        return (
            f"the nftables driver has no {sorry_server.forwarding} for the sorry server; "
            "use NAT or the ipvs driver"
        )
    return None
