"""The model of virtual servers: what ipvs reads."""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from keepbus.config.model.scripts import Script


class Forwarding(enum.StrEnum):
    """`lvs_method` / `lb_kind`."""

    NAT = "NAT"
    DR = "DR"
    TUN = "TUN"


class Protocol(enum.StrEnum):
    """`protocol` of a virtual server."""

    TCP = "TCP"
    UDP = "UDP"
    SCTP = "SCTP"


class TunnelType(enum.StrEnum):
    """`type` of TUN."""

    IPIP = "ipip"
    GUE = "gue"
    GRE = "gre"


class TunnelChecksum(enum.StrEnum):
    """Checksum of what wraps the packet."""

    NOCSUM = "nocsum"
    CSUM = "csum"
    REMCSUM = "remcsum"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tunnel:
    """What stands after `TUN`."""

    type: TunnelType = TunnelType.IPIP
    port: int = 0
    """Of GUE; 0 for the others."""
    checksum: TunnelChecksum = TunnelChecksum.NOCSUM


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckUse:
    """A real server's use of a check."""

    check: str
    """Check.id"""
    alpha: bool = False
    """Unknown counts as down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SorryServer:
    """`sorry_server`."""

    address: str
    port: int
    forwarding: Forwarding
    tunnel: Tunnel = Tunnel()
    inhibit: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RealServer:
    """`real_server`."""

    address: str
    port: int
    weight: int = 1
    forwarding: Forwarding = Forwarding.NAT
    tunnel: Tunnel = Tunnel()
    inhibit_on_failure: bool = False
    uthreshold: int = 0
    lthreshold: int = 0
    checks: tuple[CheckUse, ...] = ()
    notify_up: Script | None = None
    notify_down: Script | None = None
    smtp_alert: bool | None = None
    """None: as global_defs has it."""
    snmp_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupMember:
    """A line of `virtual_server_group`: addresses with a port, or a mark."""

    address: str = ""
    """The first one; empty for a mark."""
    last_address: str = ""
    """The last one of a range or network; empty: there is only the first."""
    port: int = 0
    fwmark: int = 0
    """0 for addresses."""
    family: str = ""
    """Of a mark: IPv4 or IPv6."""


class ServiceAddress(NamedTuple):
    """One of the services that the kernel knows a virtual server by: address and port, or a mark."""

    family: str
    """IPv4 or IPv6."""
    address: str
    """Empty for a mark."""
    port: int
    fwmark: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualServer:
    """`virtual_server`: one address and port, one mark, or a group of both with one quorum."""

    address: str = ""
    """Empty for a mark or a group."""
    port: int = 0
    fwmark: int = 0
    """0 for an address or a group."""
    family: str = ""
    """Of a mark: IPv4 or IPv6."""
    group: str = ""
    """Name of the virtual_server_group; empty for an address or a mark."""
    group_number: int = 0
    """Counts the virtual servers of one group."""
    members: tuple[GroupMember, ...] = ()
    """Of the group."""
    protocol: Protocol = Protocol.TCP
    """Of no meaning for marks."""
    scheduler: str = "wlc"
    flags: tuple[str, ...] = ()
    """flag-1, flag-2, flag-3 of the scheduler, in this order, whatever name the file has for them."""
    one_packet: bool = False
    """`ops`."""
    forwarding: Forwarding = Forwarding.NAT
    tunnel: Tunnel = Tunnel()
    persistence_timeout_s: int = 0
    """0: not persistent."""
    persistence_granularity: str = ""
    """A mask, for IPv6 the length of a prefix; empty: each client address by itself."""
    persistence_engine: str = ""
    quorum: int = 1
    hysteresis: int = 0
    alpha: bool = False
    omega: bool = False
    ha_suspend: tuple[str, ...] = ()
    """Instances that hold its address: its checks rest while none of them does here; empty: never."""
    sorry_server: SorryServer | None = None
    real_servers: tuple[RealServer, ...] = ()
    quorum_up: Script | None = None
    quorum_down: Script | None = None
    smtp_alert: bool | None = None
    """None: as global_defs has it."""
    snmp_name: str = ""

    @property
    def name(self) -> str:
        """`[address]:protocol:port`, `FWM mark` or `[group]:number`, as keepalived's FIFO names it.

        A mark of IPv6 has ` inet6` after it, because the same mark of IPv4 is another virtual server (V7).
        """
        if self.group:
            return f"[{self.group}]:{self.group_number}"
        if self.fwmark:
            return f"FWM {self.fwmark}" + (" inet6" if self.family == "IPv6" else "")
        return f"[{self.address}]:{self.protocol.lower()}:{self.port}"

    def services(self) -> Iterator[ServiceAddress]:
        """Each of its services; raises ValueError for an address that is none."""
        if not self.group:
            yield from _services(self.address, "", self.port, self.fwmark, self.family)
        for member in self.members:
            yield from _services(
                member.address, member.last_address, member.port, member.fwmark, member.family
            )


def family_of(address: str) -> str:
    """IPv4 or IPv6, by how it is written."""
    return "IPv6" if ":" in address else "IPv4"


def _services(address: str, last: str, port: int, fwmark: int, family: str) -> Iterator[ServiceAddress]:
    if fwmark:
        yield ServiceAddress(family or "IPv4", "", 0, fwmark)
    elif not last:
        yield ServiceAddress(family_of(address), address, port, 0)
    else:
        kind = type(ipaddress.ip_address(address))
        for number in range(int(ipaddress.ip_address(address)), int(ipaddress.ip_address(last)) + 1):
            yield ServiceAddress(family_of(address), str(kind(number)), port, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncDaemon:
    """`lvs_sync_daemon`."""

    interface: str
    instance: str = ""
    """The vrrp_instance that decides between master and backup; empty: both run."""
    id: int = 0
    maxlen: int = 0
    """Octets of a message; 0: as the kernel has it, and so for the rest."""
    port: int = 0
    ttl: int = 0
    group: str = ""
    """Multicast group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """`lvs_timeouts`; 0: as the kernel has it."""

    tcp_s: int = 0
    tcpfin_s: int = 0
    udp_s: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class IpvsSection:
    """All that ipvs reads."""

    virtual_servers: tuple[VirtualServer, ...] = ()
    timeouts: Timeouts = Timeouts()
    sync_daemon: SyncDaemon | None = None
    flush: bool = False
    """`lvs_flush`: what is in the table at the first start goes, whosever it is."""
    flush_on_stop: bool = False
    """`lvs_flush_on_stop` without VS: so does at a stop whatever is there."""
    rs_init_notifies: bool = False
    """A real server that is up at the start is told as one that came up."""
    drain_s: int = 0
    """How long a server that is not in the file any more stays with weight 0, seconds; of a reload."""
