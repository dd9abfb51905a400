"""Accept mode off, on real sockets (conformance K4, K5, K7; features 6.4)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from vrrp_nodes import Keepbus, Router, instance, wait_for

from keepbus.config.model.configuration import Configuration
from keepbus.config.model.vrrp import AddressFamily, VrrpInstance, VrrpSection
from keepbus.runtime import generation
from keepbus.testing import namespaces
from keepbus.testing.namespaces import Namespaces

pytestmark = [
    pytest.mark.skipif(bool(namespaces.missing()), reason=namespaces.missing()),
    pytest.mark.skipif(shutil.which("nft") is None, reason="nft is missing; apt-get install nftables"),
]

VIP, VIP6, LINK_LOCAL = "10.9.0.100", "2001:db8:9::51", "fe80::51"
FAST: dict[str, Any] = {"version": 3, "advert_interval_us": 200_000, "priority": 200}


def both(*, accept: bool) -> tuple[VrrpInstance, VrrpInstance]:
    """An instance of either family."""
    six = instance("eth0", f"{LINK_LOCAL}/64", f"{VIP6}/64", name="VI_6", family=AddressFamily.IPV6,
                   accept=accept, **FAST)  # fmt: skip
    return instance("eth0", f"{VIP}/24", accept=accept, **FAST), six


class Stage:
    """A router and a client."""

    def __init__(self, spaces: Namespaces, directory: Path) -> None:
        self.spaces = spaces
        names = spaces.add("router"), spaces.add("client")
        spaces.join((names[0], "eth0", "10.9.0.1/24"), (names[1], "eth0", "10.9.0.2/24"))
        for number, name in enumerate(names, 1):
            spaces.run(name, "sysctl", "-qw", "net.ipv6.conf.eth0.addr_gen_mode=1")
            spaces.run(name, "sysctl", "-qw", "net.ipv6.conf.eth0.disable_ipv6=0")
            for address in (f"fe80::a:{number}/64", f"2001:db8:9::{number}/64"):
                spaces.run(name, "ip", "address", "add", address, "dev", "eth0", "nodad")
        self.router = Keepbus(spaces, names[0], "eth0", directory / "router")
        self.client = Router(spaces, names[1], "eth0", directory / "client")

    def configure(self, *, accept: bool, **fields: Any) -> None:
        section = VrrpSection(instances=both(accept=accept), **fields)
        generation.write(self.router.directory, Configuration(vrrp=section), Path("test"))

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """The rules of the tables that are not the lease's, by family and table."""
        listed = json.loads(self.spaces.run(self.router.namespace, "nft", "-j", "list", "ruleset"))
        found: dict[str, list[dict[str, Any]]] = {}
        for each in listed["nftables"]:
            for kind, what in each.items():
                table = what.get("name") if kind == "table" else what.get("table")
                if kind != "metainfo" and not str(table).startswith("keepbus_"):
                    rules = found.setdefault(f"{what['family']} {table}", [])
                    if kind == "rule":
                        rules.append(what)
        return found

    def neighbour(self, address: str) -> bool:
        """The client has resolved an address."""
        return "lladdr" in self.spaces.run(self.client.namespace, "ip", "neighbour", "show", address)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with Namespaces("vra") as spaces:
        yield Stage(spaces, tmp_path)


def test_packets_are_dropped_and_neighbours_are_not(stage: Stage) -> None:
    """K4, K7: nothing gets to the addresses, but who asks for them is answered."""
    stage.configure(accept=False, nftables="guard", nftables_counters=True)
    stage.router.start()
    wait_for("the rules", lambda: set(stage.tables()) == {"ip guard", "ip6 guard"})
    assert not stage.router.has(VIP)  # they are there before the address
    wait_for("the addresses", lambda: stage.router.has(VIP) and stage.router.has(VIP6))
    for address in (VIP, VIP6, f"{LINK_LOCAL}%eth0"):
        assert not stage.client.reaches(address), address
    assert stage.client.reaches("10.9.0.1")
    assert stage.client.reaches("2001:db8:9::1")
    for address in (VIP, VIP6, LINK_LOCAL):
        assert stage.neighbour(address), address
    counted = [
        part["counter"]["packets"]
        for rules in stage.tables().values()
        for rule in rules
        for part in rule["expr"]
        if "counter" in part
    ]
    assert sum(map(bool, counted)) >= 3
    # A reload takes the rules away without touching the addresses, and puts them back.
    stage.configure(accept=True)
    stage.router.reload_current()
    wait_for("no rules", lambda: not stage.tables())
    for address in (VIP, VIP6, f"{LINK_LOCAL}%eth0"):
        assert stage.client.reaches(address), address
    stage.configure(accept=False)
    stage.router.reload_current()
    wait_for("keepalived's name", lambda: set(stage.tables()) == {"ip keepalived", "ip6 keepalived"})
    assert not stage.client.reaches(VIP)
    assert stage.router.stop() == 0
    assert not stage.tables()


def test_the_rules_outlive_a_crash_and_no_longer(stage: Stage) -> None:
    """K7: as long as the lease keeps an address; what nobody wants any more goes with the next process, and
    a table that another program made is left."""
    stage.configure(accept=False)
    stage.router.start()
    wait_for("the address", lambda: stage.router.has(VIP))
    stage.router.kill()
    assert set(stage.tables()) == {"ip keepalived", "ip6 keepalived"}
    stage.spaces.run(stage.router.namespace, "nft", "add", "table", "ip", "other")
    stage.configure(accept=True)
    stage.router.start()
    wait_for("the left-over rules are gone", lambda: set(stage.tables()) == {"ip other"})
    wait_for("the client reaches it", lambda: stage.client.reaches(VIP))
    stage.router.stop()
    assert set(stage.tables()) == {"ip other"}
