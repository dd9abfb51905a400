"""Virtual MAC addresses at a bridge that learns: keepbus-vrrp alone, and beside Debian's keepalived."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from vrrp_nodes import KEEPALIVED, Keepalived, Keepbus, Router, Wire, vrrp_instance, wait_for

from keepbus.config.model.vrrp import AddressFamily, VirtualAddress, VirtualMac, VrrpInstance
from keepbus.testing import namespaces
from keepbus.testing.namespaces import Namespaces

pytestmark = pytest.mark.skipif(bool(namespaces.missing()), reason=namespaces.missing())

VIP, VIP6 = "10.9.0.100", "2001:db8:9::51"
MAC4, MAC6 = "00:00:5e:00:01:33", "00:00:5e:00:02:33"
VMAC = "vrrp.51"
INTERVAL_US = 200_000
ERRORS = (
    "Packet Length", "TTL Errors", "Invalid Type", "Advertisement Interval", "Address List",
    "Invalid Authentication", "Type Mismatch", "Failure",
)  # fmt: skip


def config(six: bool = False, **fields: Any) -> VrrpInstance:
    """With `use_vmac`, version 3 at 0.2 s."""
    texts = (("fe80::51", 64), (VIP6, 64)) if six else ((VIP, 24),)
    given: dict[str, Any] = {
        "name": "VI_1",
        "interface": "eth0",
        "virtual_router_id": 51,
        "family": AddressFamily.IPV6 if six else AddressFamily.IPV4,
        "version": 3,
        "advert_interval_us": INTERVAL_US,
        "vmac": VirtualMac(name=VMAC, interface="eth0", mac=MAC6 if six else MAC4),
        "virtual_addresses": tuple(
            VirtualAddress(address=text, prefix=prefix, interface=VMAC, flags=2 if six else 0)
            for text, prefix in texts
        ),
    }
    return VrrpInstance(**{**given, **fields})


class Switch:
    """Two routers and a client at a bridge that learns where MAC addresses are."""

    def __init__(self, spaces: Namespaces, directory: Path, other: type[Router]) -> None:
        self.spaces = spaces
        self.hub, *names = (spaces.add(name) for name in ("hub", "one", "other", "client"))
        ends = [(name, "eth0", f"10.9.0.{number}/24") for number, name in enumerate(names, 1)]
        spaces.bridge(self.hub, "br0", *ends)
        for number, name in enumerate(names, 1):
            spaces.run(name, "sysctl", "-qw", "net.ipv6.conf.eth0.addr_gen_mode=1")
            spaces.run(name, "sysctl", "-qw", "net.ipv6.conf.eth0.disable_ipv6=0")
            for address in (f"fe80::a:{number}/64", f"2001:db8:9::{number}/64"):
                spaces.run(name, "ip", "address", "add", address, "dev", "eth0", "nodad")
        self.one = Keepbus(spaces, names[0], VMAC, directory / "one")
        self.other = other(spaces, names[1], VMAC, directory / "other")
        self.client = Router(spaces, names[2], "eth0", directory / "client")
        self.wires = [Wire(spaces, self.hub, f"br0p{at}", directory / f"wire{at}") for at in range(2)]

    def port(self, mac: str) -> str:
        """Behind which port the bridge learned a MAC address; empty when it has not."""
        for line in self.spaces.run(self.hub, "bridge", "fdb", "show", "br", "br0").splitlines():
            words = line.split()
            if words[0] == mac and "self" not in words:
                return words[2]
        return ""

    def neighbour(self, address: str) -> str:
        """The MAC address that the client has for an address."""
        words = self.spaces.run(self.client.namespace, "ip", "neighbour", "show", address).split()
        return words[words.index("lladdr") + 1] if "lladdr" in words else ""


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Switch]:
    with Namespaces("vrv") as spaces:
        yield Switch(spaces, tmp_path, Keepbus)


def sent(wire: Wire, mac: str, since: float = 0.0) -> list[str]:
    """Frames with this source."""
    return [line for line in wire.lines(f"{mac} >", since=since) if line.split()[1] == mac]


def has(router: Router, address: str) -> bool:
    """True when the interface with the virtual MAC address is there and has it."""
    lines = router.namespaces.run(router.namespace, "ip", "-o", "address", "show").splitlines()
    return any(line.split()[1] == VMAC and f" {address}/" in line for line in lines)


@pytest.mark.parametrize("six", [False, True], ids=["IPv4", "IPv6"])
def test_the_switch_never_learns_a_standby(pair: Switch, six: bool) -> None:
    """S4, S11, K1, K2, G1 to G3: what leaves with the virtual MAC address leaves by the master alone, and
    traffic for it goes nowhere else."""
    vip, mac = (VIP6, MAC6) if six else (VIP, MAC4)
    one, other = pair.one, pair.other
    assert isinstance(other, Keepbus)
    one.configure(config(six, priority=200))
    other.configure(config(six, priority=100))
    one.start()
    other.start()
    wait_for("the master has the address", lambda: has(one, vip))
    wait_for("the client reaches it", lambda: pair.client.reaches(vip))
    assert pair.neighbour(vip) == mac
    assert pair.port(mac) == "br0p0"
    time.sleep(1)
    adverts = pair.wires[0].lines("Advertisement", f"{mac} >")
    assert adverts
    assert len(adverts) == len(pair.wires[0].lines("Advertisement"))
    assert sent(pair.wires[1], mac)  # the bridge hands the master's frames on
    assert pair.wires[0].announcements(vip)
    on_vmac = one.namespaces.run(one.namespace, "ip", "-6", "address", "show", "dev", VMAC)
    assert "5eff:fe00" not in on_vmac  # no interface identifier made of the MAC address
    # Whatever the client sends to the virtual MAC address now, the standby's cable stays quiet.
    asked_at = time.time()
    for _ in range(5):
        assert pair.client.reaches(vip)
    client_address = "2001:db8:9::3" if six else "10.9.0.3"
    assert not pair.wires[1].lines("echo request", client_address, since=asked_at)
    standby = other.namespaces.run(other.namespace, "ip", "-br", "link", "show", "dev", VMAC)
    assert "DOWN" in standby
    # A takeover moves the MAC address to the other port at once.
    one.kill()
    wait_for("the standby took over", lambda: has(other, vip))
    wait_for("the bridge learned it", lambda: pair.port(mac) == "br0p1")
    wait_for("the client reaches it", lambda: pair.client.reaches(vip))
    assert pair.neighbour(vip) == mac
    assert other.stop() == 0
    assert VMAC not in other.namespaces.run(other.namespace, "ip", "-br", "link")


@pytest.mark.skipif(not KEEPALIVED, reason="keepalived is not installed; apt-get install keepalived")
@pytest.mark.parametrize("six", [False, True], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("ours_is_master", [True, False], ids=["ours is master", "theirs is master"])
def test_beside_keepalived(tmp_path: Path, six: bool, ours_is_master: bool) -> None:
    """Both with `use_vmac`: elect, fail over, preempt; one MAC address that the bridge finds where the master
    is, and no packet that either side calls wrong."""
    vip, mac = (VIP6, MAC6) if six else (VIP, MAC4)
    with Namespaces("vrv") as spaces:
        pair = Switch(spaces, tmp_path, Keepalived)
        ours, theirs = pair.one, pair.other
        assert isinstance(theirs, Keepalived)
        ours.configure(config(six, priority=200 if ours_is_master else 100))
        addresses = ("fe80::51/64", f"{VIP6}/64") if six else (f"{VIP}/24",)
        lines = (
            "virtual_router_id 51", f"priority {100 if ours_is_master else 200}", "state BACKUP",
            "version 3", "advert_int 0.2", "use_vmac",
        )  # fmt: skip
        theirs.configure(vrrp_instance("eth0", *lines, addresses=addresses))
        master, backup = (ours, theirs) if ours_is_master else (theirs, ours)
        ports = ("br0p0", "br0p1") if ours_is_master else ("br0p1", "br0p0")

        def holds(one: Router, port: str) -> bool:
            other = theirs if one is ours else ours
            return has(one, vip) and not has(other, vip) and pair.port(mac) == port

        def answers() -> bool:
            return pair.client.reaches(vip) and pair.neighbour(vip) == mac

        master.start()
        wait_for("the master has the address", lambda: holds(master, ports[0]))
        backup.start()
        time.sleep(1)
        assert holds(master, ports[0])
        wait_for("the master answers", answers)
        master.stop()
        wait_for("the backup took over", lambda: holds(backup, ports[1]))
        wait_for("the backup answers", answers)
        master.start()
        wait_for("the master preempted", lambda: holds(master, ports[0]))
        wait_for("the master answers again", answers)
        assert pair.wires[0].lines("Advertisement", f"{mac} >")
        statistics = theirs.statistics()
        assert {name: count for name, count in statistics.items() if count and name.startswith(ERRORS)} == {}
        record = ours.record("/51")
        assert record is not None
        assert record.dropped == {}
