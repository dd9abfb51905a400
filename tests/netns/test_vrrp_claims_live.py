"""R-F57 on real sockets: a host that was given a virtual address by mistake is named by its MAC address."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from vrrp_nodes import Keepbus, instance, wait_for

from keepbus.config.model.vrrp import AddressFamily
from keepbus.testing import namespaces
from keepbus.testing.namespaces import Namespaces

pytestmark = pytest.mark.skipif(bool(namespaces.missing()), reason=namespaces.missing())

VIP, VIP6, LINK_LOCAL = "10.9.0.100", "2001:db8:9::51", "fe80::51"
FAST = {"version": 3, "advert_interval_us": 200_000, "priority": 200}


@pytest.fixture
def spaces() -> Iterator[Namespaces]:
    with Namespaces("vrc") as spaces:
        yield spaces


def test_r_f57_a_host_with_the_same_address_is_named(spaces: Namespaces, tmp_path: Path) -> None:
    router, other = spaces.add("router"), spaces.add("other")
    spaces.join((router, "eth0", "10.9.0.1/24"), (other, "eth0", "10.9.0.2/24"))
    for number, name in enumerate((router, other), 1):
        spaces.run(name, "sysctl", "-qw", "net.ipv6.conf.eth0.addr_gen_mode=1")
        spaces.run(name, "sysctl", "-qw", "net.ipv6.conf.eth0.disable_ipv6=0")
        spaces.run(name, "ip", "address", "add", f"fe80::a:{number}/64", "dev", "eth0", "nodad")
    keepbus = Keepbus(spaces, router, "eth0", tmp_path / "router")
    six = instance("eth0", f"{LINK_LOCAL}/64", f"{VIP6}/64", name="VI_6", family=AddressFamily.IPV6, **FAST)
    keepbus.configure(instance("eth0", f"{VIP}/24", **FAST), six)
    keepbus.start()
    wait_for("the addresses", lambda: keepbus.has(VIP) and keepbus.has(VIP6))
    time.sleep(1.2)
    # Its own announcements, the peer's ordinary packets and its adverts are no claims.
    ping(other, "10.9.0.1")
    assert "is claimed" not in keepbus.text()
    mac = spaces.run(other, "cat", "/sys/class/net/eth0/address").strip()
    spaces.run(other, "ip", "address", "add", f"{VIP}/24", "dev", "eth0")
    spaces.run(other, "ip", "address", "add", f"{VIP6}/64", "dev", "eth0", "nodad")
    # It asks for somebody else from that address, and it says to all nodes that it is there.
    spaces.run(other, "ip", "neighbour", "flush", "dev", "eth0")
    ping(other, "10.9.0.77", source=VIP)
    spaces.run(other, "sysctl", "-qw", "net.ipv6.conf.eth0.ndisc_notify=1")
    spaces.run(other, "ip", "link", "set", "eth0", "address", mac[:-2] + "77")
    spaces.run(other, "ip", "address", "replace", f"{VIP6}/64", "dev", "eth0", "nodad")
    new_mac = mac[:-2] + "77"
    wait_for("the claim by ARP", lambda: f"{VIP} is claimed by another host: {mac}" in keepbus.text(), 5)
    wait_for(
        "the claim by neighbour advertisement",
        lambda: f"{VIP6} is claimed by another host: {new_mac}" in keepbus.text(), 5,
    )  # fmt: skip
    assert keepbus.state() == "MASTER", "the address is ours by election"
    assert keepbus.has(VIP)


def ping(namespace: str, address: str, source: str = "") -> None:
    words = ["ping", "-n", "-c", "1", "-W", "0.3", *(["-I", source] if source else []), address]
    subprocess.run(["ip", "netns", "exec", namespace, *words], capture_output=True, check=False)
