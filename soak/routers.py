"""What every node is configured with: the virtual routers, and the file as each node has it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from soak.network import BACK, FRONT, WEB

SERVICE_VIP = "10.77.1.2"
"""What the client fetches pages from: the address of SLOW."""


@dataclass(frozen=True, slots=True)
class Router:
    """A virtual router that all nodes have."""

    name: str
    address: str
    vrid: int
    interval_s: float
    first: int
    """Number of the node with the highest priority, from 0; the others follow in a ring."""
    version: int = 2
    bridge: str = FRONT
    extra: str = ""
    group: str = ""

    @property
    def prefixed(self) -> tuple[str, ...]:
        """Its virtual addresses with their prefixes; the first of IPv6 must be a link-local one."""
        if ":" in self.address:
            return (f"fe80::{self.vrid}/64", f"{self.address}/64")
        return (f"{self.address}/16",)


ROUTERS = (
    Router("FAST", "10.77.1.1", 51, 0.25, 0, version=3),
    Router("SLOW", SERVICE_VIP, 52, 1, 0, group="G"),
    Router("SIX", "fd77::1:3", 53, 0.5, 1, version=3),
    Router("VMAC", "10.77.1.4", 54, 1, 1, extra="use_vmac vm54"),
    Router("G_BACK", "10.78.1.5", 55, 1, 0, bridge=BACK, group="G"),
    Router("TRACKED", "10.77.1.6", 56, 1, 0, extra="track_script {\n        fit\n    }"),
    Router("FILED", "10.77.1.7", 57, 1, 1, extra="track_file {\n        load weight 1\n    }"),
)


EVERYTHING = frozenset({*(router.name for router in ROUTERS), "GROUP G", "MORE"})
"""Whatever may change state."""
_TOGETHER = frozenset({*(router.name for router in ROUTERS if router.group), "GROUP G"})


@dataclass(frozen=True, slots=True)
class Variant:
    """What a reload may change; the default is the file as it was at the start."""

    comment: str = ""
    """Changes nothing that counts."""
    interval_of_check_s: int = 1
    third_server: bool = False
    extra_router: bool = False
    extra_address: bool = False
    """Of FAST, whose owners must have the same list."""
    broken: bool = False


def moving(router: Router) -> frozenset[str]:
    """Who changes state when this router does."""
    return _TOGETHER if router.group else frozenset({router.name})


def priority(router: Router, number: int, nodes: int) -> int:
    """The router's priority on a node: 200, 150, 100 in a ring."""
    return 200 - 50 * ((number - router.first) % nodes)


def text(work: Path, number: int, nodes: int, variant: Variant) -> str:
    """The file of a node. work holds its scripts and tracked files."""
    parts = [f"# {variant.comment}" if variant.comment else "", _global(work)]
    parts += [_router(router, number, nodes, variant) for router in ROUTERS]
    if variant.extra_router:
        parts.append(_router(Router("MORE", "10.77.1.8", 58, 1, 0), number, nodes, variant))
    parts.append(_group())
    parts.append(_virtual_server(variant))
    if variant.broken:
        parts.append("vrrp_instance BROKEN {\n    priority many\n")
    return "\n".join(parts).replace("NOTIFY", f"{work}/notify.sh")


def _global(work: Path) -> str:
    return f"""
global_defs {{
    router_id soak
    script_user root
    enable_script_security
}}
vrrp_script fit {{
    script "{work}/fit.sh"
    interval 1
    timeout 2
    weight -120
    rise 1
    fall 1
}}
track_file load {{
    file "{work}/load"
    weight 1
}}
"""


def _router(router: Router, number: int, nodes: int, variant: Variant) -> str:
    more = ("10.77.2.1/16",) if variant.extra_address and router.name == "FAST" else ()
    addresses = "\n".join(f"        {each}" for each in (*router.prefixed, *more))
    return f"""
vrrp_instance {router.name} {{
    state BACKUP
    interface {router.bridge}
    virtual_router_id {router.vrid}
    priority {priority(router, number, nodes)}
    advert_int {router.interval_s}
    version {router.version}
    {router.extra}
    virtual_ipaddress {{
{addresses}
    }}
    notify "NOTIFY" root
}}
"""


def _group() -> str:
    members = "\n".join(f"        {router.name}" for router in ROUTERS if router.group)
    return f"""
vrrp_sync_group G {{
    group {{
{members}
    }}
    notify "NOTIFY" root
}}
"""


def _virtual_server(variant: Variant) -> str:
    servers = [*WEB.values(), *(["10.78.0.23"] if variant.third_server else [])]
    real = "\n".join(
        f"""    real_server {address} 80 {{
        weight 1
        HTTP_GET {{
            url {{
                path /index.html
                status_code 200
            }}
            connect_timeout 1
            retry 1
            delay_before_retry 1
        }}
    }}"""
        for address in servers
    )
    return f"""
virtual_server {SERVICE_VIP} 80 {{
    delay_loop {variant.interval_of_check_s}
    lb_algo rr
    lb_kind NAT
    protocol TCP
{real}
}}
"""
