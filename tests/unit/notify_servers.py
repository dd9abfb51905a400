"""States of virtual servers, for tests of notify."""

from __future__ import annotations

from keepbus.contracts import ipvs
from keepbus.contracts.checker import Verdict

NAME = "[192.0.2.1]:tcp:80"
RS = f"[10.0.0.1]:tcp:80 {NAME}"
"""The real server, as NotifyTarget.name has it."""


def real(
    *, alive: bool, changes: int, address: str = "10.0.0.1:80", since_ns: int = 1 << 50
) -> ipvs.RealServer:
    return ipvs.RealServer(
        address=address, configured_weight=1, weight=1, verdict=Verdict.UP if alive else Verdict.DOWN,
        in_table=alive, since_ns=1 << 50, checks=("c",), alive=alive, changes=changes,
        reason=f"TCP_CHECK {address} is {'UP' if alive else 'DOWN'}: connect: refused",
    )  # fmt: skip


def virtual(
    *servers: ipvs.RealServer, up: bool = True, changes: int = 0, life: str = "L1"
) -> ipvs.VirtualServer:
    return ipvs.VirtualServer(
        name=NAME, address="192.0.2.1:80", protocol="TCP", scheduler="rr", forwarding="NAT",
        persistence_timeout_s=0, quorum=1, quorum_up=up, weight_up=int(up), changes=changes,
        since_ns=1 << 50, sorry_server="", sorry_server_active=False, real_servers=servers, life="L1",
    )  # fmt: skip
