"""A virtual router that routes: what it forwards, what it never forwards, and what it lets neighbours say.

Conformance K3, K9, K10 and S6. The kernel does the forwarding; what is shown is that nothing of ours is in
its way: not the virtual MAC interface, its sysctls, the gate or accept mode.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ipvs_wire import inside
from keepbus_vrrp import announce, packet
from keepbus_vrrp.family import BY_NAME, pack
from test_vrrp_vmac import MAC4, VIP, config, has
from vrrp_nodes import Keepbus, Router, Wire, instance, wait_for

from keepbus.config.model.vrrp import AddressFamily
from keepbus.testing import namespaces
from keepbus.testing.namespaces import Namespaces

pytestmark = pytest.mark.skipif(bool(namespaces.missing()), reason=namespaces.missing())

SERVER, BEHIND = "10.8.0.2", "10.7.0.1"
NEW_MAC = "02:00:00:00:00:77"


class Stage:
    """client and gateway on one wire with the router's eth0, a server behind its eth1."""

    def __init__(self, spaces: Namespaces, directory: Path) -> None:
        self.spaces = spaces
        hub, *names = (spaces.add(name) for name in ("hub", "router", "client", "gateway", "server"))
        router, self.client_name, gateway, self.server = names
        ends = [(name, "eth0", f"10.9.0.{number}/24") for number, name in enumerate(names[:3], 1)]
        spaces.bridge(hub, "br0", *ends)
        spaces.join((router, "eth1", "10.8.0.1/24"), (self.server, "eth0", f"{SERVER}/24"))
        for interface in ("eth0", "eth1"):
            self._with_ipv6(router, interface, f"fe80::a:1{interface[-1]}")
        self._with_ipv6(self.client_name, "eth0", "fe80::a:2")
        self._with_ipv6(self.server, "eth0", "fe80::a:4")
        spaces.run(router, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        spaces.run(router, "ip", "route", "add", "10.7.0.0/24", "via", "10.9.0.3")
        spaces.run(gateway, "ip", "address", "add", f"{BEHIND}/32", "dev", "lo")
        spaces.run(self.server, "ip", "route", "add", "default", "via", "10.8.0.1")
        self.router = Keepbus(spaces, router, "eth0", directory / "router")
        self.client = Router(spaces, self.client_name, "eth0", directory / "client")
        self.at_client = Wire(spaces, self.client_name, "eth0", directory / "client.wire")
        self.at_server = Wire(spaces, self.server, "eth0", directory / "server.wire")

    def route(self, destination: str, via: str) -> None:
        """Of the client."""
        self.spaces.run(self.client_name, "ip", "route", "replace", destination, "via", via)

    def _with_ipv6(self, name: str, interface: str, address: str) -> None:
        self.spaces.run(name, "sysctl", "-qw", f"net.ipv6.conf.{interface}.addr_gen_mode=1")
        self.spaces.run(name, "sysctl", "-qw", f"net.ipv6.conf.{interface}.disable_ipv6=0")
        self.spaces.run(name, "ip", "address", "add", f"{address}/64", "dev", interface, "nodad")


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with Namespaces("vrf") as spaces:
        yield Stage(spaces, tmp_path)


def master(stage: Stage) -> None:
    stage.router.configure(config(priority=200))
    stage.router.start()
    wait_for("the master has the address", lambda: has(stage.router, VIP))


def test_k3_k9_what_comes_to_the_virtual_mac_is_forwarded_and_nobody_else_is_named(stage: Stage) -> None:
    master(stage)
    stage.route("10.8.0.0/24", VIP)
    stage.route("10.7.0.0/24", VIP)
    wait_for("an answer from behind the router", lambda: stage.client.reaches(SERVER))
    assert stage.at_client.lines(f"> {MAC4}", f"> {SERVER}: ICMP echo request"), "by the virtual MAC address"
    assert stage.at_server.lines("10.9.0.2 >", "ICMP echo request"), "with the client's own address"
    # Back to the wire that it came from: the client is not sent to a router that it did not ask.
    asked_at = time.time()
    assert stage.client.reaches(BEHIND)
    named = stage.at_client.lines("ICMP redirect", since=asked_at)
    assert not [line for line in named if f"{VIP} >" not in line]
    # The same by the router's own address: it does redirect, so the wire would have shown it.
    stage.route("10.7.0.0/24", "10.9.0.1")
    stage.client.reaches(BEHIND)
    wait_for("a redirect", lambda: stage.at_client.lines("10.9.0.1 > 10.9.0.2: ICMP redirect"))


def forged(family: AddressFamily, source: str) -> Callable[[], None]:
    """An advert of somebody who has not got the interface's one rule: it leaves with time to live 255."""

    def send() -> None:
        spoken = BY_NAME[family]
        group = spoken.group
        message = packet.encode(
            family=spoken,
            version=3,
            virtual_router_id=77,
            priority=100,
            interval_us=1_000_000,
            addresses=(pack("10.9.0.200" if family is AddressFamily.IPV4 else "fe80::77"),),
            source=pack(source),
            destination=pack(group),
        )
        six = family is AddressFamily.IPV6
        with socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_RAW, 112) as opened:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
            if six:
                opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
            else:
                opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
            opened.sendto(message, (group, 0))

    return send


def test_s6_adverts_are_never_forwarded(stage: Stage) -> None:
    """The router hears both groups on one interface and forwards; the other wire stays quiet."""
    six = instance(
        "eth0",
        "fe80::51/64",
        name="VI_6",
        family=AddressFamily.IPV6,
        version=3,
        advert_interval_us=200_000,
        priority=200,
    )
    stage.router.configure(config(priority=200), six)
    stage.router.start()
    wait_for("the master has the address", lambda: has(stage.router, VIP))
    for family, source in ((AddressFamily.IPV4, "10.9.0.2"), (AddressFamily.IPV6, "fe80::a:2")):
        inside(stage.client_name, forged(family, source))
    for sender in ("10.9.0.1 > 224.0.0.18", "> ff02::12"):
        wait_for(f"adverts: {sender}", lambda sender=sender: len(stage.at_client.lines(sender)) > 2)
    stage.route("10.8.0.0/24", VIP)
    wait_for("it forwards", lambda: stage.client.reaches(SERVER))
    assert stage.at_client.lines("10.9.0.2 > 224.0.0.18")
    assert not stage.at_server.lines("224.0.0.18")
    assert not stage.at_server.lines("ff02::12")


def test_k10_a_neighbours_new_mac_address_is_taken_as_backup_and_as_master(stage: Stage) -> None:
    """With accept mode off, where rules of ours drop other packets."""
    name, target = stage.router.namespace, "fe80::a:2"

    def known() -> str:
        words = stage.spaces.run(name, "ip", "-6", "neighbour", "show", target, "dev", "eth0").split()
        return words[words.index("lladdr") + 1] if "lladdr" in words else ""

    def says(mac: str) -> None:
        frame = announce.neighbour_advertisement(
            bytes.fromhex(mac.replace(":", "")), pack(target), router=False
        )

        def send() -> None:
            with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as opened:
                opened.bind(("eth0", 0))
                opened.send(frame)

        inside(stage.client_name, send)

    fields: dict[str, Any] = {"version": 3, "advert_interval_us": 700_000, "accept": False}
    stage.router.configure(instance("eth0", "fe80::51/64", family=AddressFamily.IPV6, priority=100, **fields))
    stage.router.start()
    wait_for("it is backup", lambda: "INIT -> BACKUP" in stage.router.text())
    stage.spaces.run(name, "ip", "-6", "neighbour", "replace", target, "lladdr", "02:00:00:00:00:66",
                     "nud", "stale", "dev", "eth0")  # fmt: skip
    says(NEW_MAC)
    wait_for("a backup takes the news", lambda: known() == NEW_MAC, 1)
    assert not stage.router.has("fe80::51"), "it was no master yet"
    wait_for("it is master", lambda: stage.router.has("fe80::51"))
    says("02:00:00:00:00:78")
    wait_for("a master takes the news", lambda: known() == "02:00:00:00:00:78", 3)
