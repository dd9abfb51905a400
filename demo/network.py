"""The demo's network: a client, two directors and two web servers as network namespaces, two bridges.

    client ──┐                         ┌── web1 192.168.1.3
             ├─ 172.16.0.0/16 ─ d1 ─┬──┤
             │                  d2 ─┘  └── web2 192.168.1.4     (192.168.0.0/16)

Everything lives in the mount, network and process namespaces that `python -m demo` made for itself, so that
nothing is left when it ends, however it ends.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

FRONT = "eno16777736"
BACK = "eno50332200"
"""The directors' interfaces, named as in the seed's files."""

CLIENT = "172.16.1.100"
WEB = {"web1": "192.168.1.3", "web2": "192.168.1.4"}
GATEWAY = "192.168.1.188"
"""What the web servers answer through: the inner virtual address of the NAT configuration."""


@dataclass(frozen=True, slots=True)
class Link:
    """A host's leg in one of the two networks."""

    host: str
    interface: str
    address: str
    bridge: str


LINKS = (
    Link("client", "eth0", CLIENT, "front"),
    Link("d1", FRONT, "172.16.1.5", "front"),
    Link("d2", FRONT, "172.16.1.6", "front"),
    Link("d1", BACK, "192.168.1.5", "back"),
    Link("d2", BACK, "192.168.1.6", "back"),
    Link("web1", "eth0", WEB["web1"], "back"),
    Link("web2", "eth0", WEB["web2"], "back"),
)


def run(*command: str, check: bool = True) -> str:
    """Run a command to its end; its output. CalledProcessError when it fails and `check`."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def inside(host: str, *command: str) -> tuple[str, ...]:
    """The command as it runs on a host of the demo."""
    return ("ip", "netns", "exec", host, *command)


def build() -> None:
    """Make hosts, bridges and links."""
    run("ip", "link", "set", "lo", "up")
    for bridge in ("front", "back"):
        run("ip", "link", "add", bridge, "type", "bridge", "forward_delay", "0", "mcast_snooping", "0")
        run("ip", "link", "set", bridge, "up")
    for host in dict.fromkeys(link.host for link in LINKS):
        run("ip", "netns", "add", host)
        run(*inside(host, "ip", "link", "set", "lo", "up"))
    for number, link in enumerate(LINKS):
        port = f"port{number}"
        run("ip", "link", "add", port, "type", "veth", "peer", "name", link.interface, "netns", link.host)
        run("ip", "link", "set", port, "master", link.bridge, "up")
        run(*inside(link.host, "ip", "address", "add", f"{link.address}/16", "dev", link.interface))
        run(*inside(link.host, "ip", "link", "set", link.interface, "up"))
    for director in ("d1", "d2"):
        run(*inside(director, "sysctl", "-qw", "net.ipv4.ip_forward=1"))
    for web in WEB:
        run(*inside(web, "ip", "route", "add", "default", "via", GATEWAY))


def holds(host: str, address: str) -> bool:
    """True when the host has the address on one of its interfaces."""
    return f" {address}/" in run(*inside(host, "ip", "-4", "-o", "address", "show"))


def neighbour(host: str, address: str) -> str:
    """The MAC address that a host's ARP cache has for an address; empty when none."""
    words = run(*inside(host, "ip", "neighbour", "show", address)).split()
    return words[words.index("lladdr") + 1] if "lladdr" in words else ""


def ping(host: str, address: str) -> bool:
    """True when the address answers the host at once."""
    done = subprocess.run(
        inside(host, "ping", "-n", "-q", "-c", "1", "-W", "1", address), capture_output=True, check=False
    )
    return done.returncode == 0
