"""The model of virtual servers: what ipvs reads."""

from __future__ import annotations

import enum
from dataclasses import dataclass

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
    inhibit: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RealServer:
    """`real_server`."""

    address: str
    port: int
    weight: int = 1
    forwarding: Forwarding = Forwarding.NAT
    inhibit_on_failure: bool = False
    uthreshold: int = 0
    lthreshold: int = 0
    checks: tuple[CheckUse, ...] = ()
    notify_up: Script | None = None
    notify_down: Script | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualServer:
    """`virtual_server` by address and port."""

    address: str
    port: int
    protocol: Protocol = Protocol.TCP
    scheduler: str = "wlc"
    forwarding: Forwarding = Forwarding.NAT
    persistence_timeout_s: int = 0
    """0: not persistent."""
    persistence_granularity: str = "255.255.255.255"
    quorum: int = 1
    hysteresis: int = 0
    alpha: bool = False
    omega: bool = False
    sorry_server: SorryServer | None = None
    real_servers: tuple[RealServer, ...] = ()
    quorum_up: Script | None = None
    quorum_down: Script | None = None

    @property
    def name(self) -> str:
        """`[address]:protocol:port`, as keepalived's FIFO names it."""
        return f"[{self.address}]:{self.protocol.lower()}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class IpvsSection:
    """All that ipvs reads."""

    virtual_servers: tuple[VirtualServer, ...] = ()
