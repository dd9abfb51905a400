"""The soak's network: two bridges here, each node a namespace with a leg in both, two web servers behind.

    client (this namespace, on both bridges) ── front ── d1 d2 d3 ── back ── web1 web2

Cuts and losses are rules of nftables where the bridge forwards from node to node, so that they never stand
between a node and the client: who answers is always seen.
"""

from __future__ import annotations

from demo.network import inside, run

FRONT, BACK = "front", "back"
CLIENT = {FRONT: "10.77.0.100", BACK: "10.78.0.100"}
CLIENT6 = "fd77::100"
WEB = {"web1": "10.78.0.21", "web2": "10.78.0.22"}
GATEWAY = "10.78.1.5"
"""What the web servers answer through: the virtual address of G_BACK."""


def port(bridge: str, host: str) -> str:
    """The bridge's port that leads to a host."""
    return f"{bridge[0]}-{host}"


def build(nodes: list[str]) -> None:
    """Make bridges, hosts and links."""
    run("ip", "link", "set", "lo", "up")
    for bridge, address in CLIENT.items():
        run(
            "ip", "link", "add", "name", bridge, "type", "bridge", "forward_delay", "0", "mcast_snooping", "0"
        )
        run("ip", "address", "add", f"{address}/16", "dev", bridge)
        run("ip", "link", "set", bridge, "up")
    run("ip", "address", "add", f"{CLIENT6}/64", "dev", FRONT, "nodad")
    for number, host in enumerate(nodes, 1):
        _host(host)
        _leg(host, FRONT, f"10.77.0.{number}/16")
        run(*inside(host, "ip", "address", "add", f"fd77::{number}/64", "dev", FRONT, "nodad"))
        _leg(host, BACK, f"10.78.0.{number}/16")
        run(*inside(host, "sysctl", "-qw", "net.ipv4.ip_forward=1"))
    for host, address in WEB.items():
        _host(host)
        _leg(host, BACK, f"{address}/16")
        run(*inside(host, "ip", "route", "add", "default", "via", GATEWAY))
    run("nft", "add", "table", "bridge", "soak")
    run("nft", "add chain bridge soak pass { type filter hook forward priority 0; }")


def _host(host: str) -> None:
    run("ip", "netns", "add", host)
    run(*inside(host, "sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0"))
    run(*inside(host, "ip", "link", "set", "lo", "up"))


def _leg(host: str, bridge: str, address: str) -> None:
    end = port(bridge, host)
    run("ip", "link", "add", end, "type", "veth", "peer", "name", bridge, "netns", host)
    run("ip", "link", "set", end, "master", bridge, "up")
    run(*inside(host, "ip", "address", "add", address, "dev", bridge))
    run(*inside(host, "ip", "link", "set", bridge, "up"))


def plug(host: str, *, on: bool) -> None:
    """Plug the host's cables in, or pull them."""
    for bridge in (FRONT, BACK):
        run("ip", "link", "set", port(bridge, host), "up" if on else "down")


def cut(source: str, target: str) -> None:
    """Nothing of the source reaches the target; the other way round nothing changes."""
    for bridge in (FRONT, BACK):
        rule = f"iifname {port(bridge, source)} oifname {port(bridge, target)} drop"
        run("nft", f"add rule bridge soak pass {rule}")


def lose(host: str, percent: int) -> None:
    """So many in a hundred of the host's frames never reach another host."""
    for bridge in (FRONT, BACK):
        run(
            "nft",
            f"add rule bridge soak pass iifname {port(bridge, host)} numgen random mod 100 < {percent} drop",
        )


def heal() -> None:
    """No cuts and no losses."""
    run("nft", "flush", "chain", "bridge", "soak", "pass")
