"""Routes, rules, addresses and static objects in a real kernel, beside the distribution's keepalived."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from vrrp_nodes import KEEPALIVED, Keepalived, Keepbus, wait_for

from keepbus.config.compiler import compile_file
from keepbus.runtime import generation
from keepbus.testing import namespaces
from keepbus.testing.namespaces import Namespaces

pytestmark = pytest.mark.skipif(bool(namespaces.missing()), reason=namespaces.missing())

VIP = "10.9.0.100"
CONFIGURATION = """\
static_ipaddress {
    10.8.0.7/24 brd + dev eth1
}
static_routes {
    10.40.0.0/16 via 10.9.0.9 dev eth0 metric 9
    blackhole 10.41.0.0/16
}
static_rules {
    from 10.40.0.0/16 table 40 preference 400
}
vrrp_instance VI_1 {
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority 100
    advert_int 1
    virtual_ipaddress {
        10.9.0.100/24
        10.9.0.101/32 scope link
    }
    virtual_ipaddress_excluded {
        10.9.0.102/24
        10.8.0.102/24 dev eth1
    }
    virtual_routes {
        10.11.0.0/16 via 10.9.0.9 dev eth0
        10.12.0.0/16 dev eth1 scope link src 10.9.0.100
        10.13.0.0/16 via 10.9.0.9 dev eth0 tos 0x10 metric 5 mtu lock 1400
        default via 10.9.0.8 dev eth0 table 100
        10.14.0.0/16 nexthop via 10.9.0.9 dev eth0 weight 3 nexthop via 10.8.0.9 dev eth1
        unreachable 10.15.0.0/16
        10.16.0.0/16 via 10.9.0.9 dev eth0 realms 3/4 advmss 1300 hoplimit 9 features ecn quickack 1
        10.17.0.0/16 via 10.9.0.9 protocol static no_track
    }
    virtual_rules {
        from 10.11.0.0/16 table 100 preference 500
        to 10.12.0.0/16 lookup main priority 501
        fwmark 5/0xff blackhole order 502
        iif eth1 goto 900 preference 503
        oif eth0 ipproto tcp dport 80-90 table 100 preference 504
        not from 10.13.0.0/16 uidrange 100-200 table 100 preference 505
        from 10.18.0.0/16 table 100 suppress_prefixlength 8 preference 506
    }
}
"""


SIX = """\
static_ipaddress {
    2001:db8::7/64 dev eth0
}
static_routes {
    2001:db8:40::/48 via 2001:db8::9 dev eth0
}
vrrp_instance VI_1 {
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority 100
    advert_int 1
    virtual_ipaddress {
        10.9.0.100/24
    }
    virtual_ipaddress_excluded {
        2001:db8::100/64
        2001:db8::101
        2001:db8::102/64 preferred_lft 0 noprefixroute
    }
    virtual_routes {
        2001:db8:11::/48 via 2001:db8::9 dev eth0
        2001:db8:12::/48 via 2001:db8::9 dev eth0 metric 7 pref high
        2001:db8:13::/48 nexthop via 2001:db8::9 dev eth0 nexthop via 2001:db8::10 dev eth0
        default6 via 2001:db8::8 dev eth0 table 100
        unreachable 2001:db8:15::/48
        2001:db8:16::/48 dev eth0 src 2001:db8::100 mtu 1400
    }
    virtual_rules {
        from 2001:db8:11::/48 table 100 preference 500
        to 2001:db8:12::/48 iif eth0 blackhole preference 501
    }
}
"""


class Host:
    """A namespace with eth0 and eth1 and one VRRP process."""

    def __init__(self, spaces: Namespaces, name: str) -> None:
        self.spaces = spaces
        self.family = "-4"
        self.name = spaces.add(name)
        peer = spaces.add(f"{name}p")
        spaces.join((self.name, "eth0", "10.9.0.1/24"), (peer, "eth0", "10.9.0.2/24"))
        spaces.join((self.name, "eth1", "10.8.0.1/24"), (peer, "eth1", "10.8.0.2/24"))
        self.ip("rule", "add", "preference", "900", "nop")

    def ip(self, *words: str) -> str:
        return self.spaces.run(self.name, "ip", *words)

    def with_ipv6(self) -> None:
        """Have IPv6 on eth0, which `Namespaces.join` leaves out, and one address."""
        self.spaces.run(self.name, "sysctl", "-qw", "net.ipv6.conf.eth0.disable_ipv6=0")
        self.ip("address", "add", "2001:db8::1/64", "dev", "eth0", "nodad")
        self.family = "-6"

    def routes(self) -> list[Any]:
        """All routes of the family but those that come with an address."""
        shown = json.loads(self.ip("-d", "-j", "-N", self.family, "route", "show", "table", "all"))
        return sorted((each for each in shown if each["protocol"] != "2"), key=str)

    def rules(self) -> list[Any]:
        return sorted(json.loads(self.ip("-d", "-j", "-N", self.family, "rule")), key=str)

    def addresses(self) -> list[Any]:
        """Without lifetimes, which are the lease, and without what differs from namespace to namespace."""
        found = []
        for link in json.loads(self.ip("-d", "-j", self.family, "address")):
            for each in link["addr_info"]:
                if each["scope"] == "link" and self.family == "-6":
                    continue
                each.pop("valid_life_time"), each.pop("preferred_life_time")
                each.pop("dynamic", None)
                found.append((link["ifname"], each))
        return sorted(found, key=str)

    def has_route(self, destination: str, *options: str) -> bool:
        return bool(self.ip("route", "show", destination, *options).strip())

    def has_rule(self, preference: int) -> bool:
        return f"{preference}:" in self.ip("rule")

    def seen(self) -> tuple[list[Any], list[Any], list[Any]]:
        return self.routes(), self.rules(), self.addresses()


class Ours(Host):
    def __init__(self, spaces: Namespaces, name: str, directory: Path) -> None:
        super().__init__(spaces, name)
        self.router = Keepbus(spaces, self.name, "eth0", directory / name)

    def configure(self, text: str) -> None:
        path = self.router.directory / "keepalived.conf"
        path.write_text(text, encoding="utf-8")
        compiled = compile_file(path)
        assert compiled.configuration is not None, compiled.errors
        generation.write(self.router.directory, compiled.configuration, path)

    def start(self, text: str = CONFIGURATION) -> None:
        self.configure(text)
        self.router.start()
        wait_for("we are master", lambda: self.router.has(VIP))
        time.sleep(0.1)


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[Ours]:
    with Namespaces("hold") as spaces:
        yield Ours(spaces, "ours", tmp_path)


@pytest.mark.skipif(not KEEPALIVED, reason="keepalived is not installed; apt-get install keepalived")
def test_the_kernel_holds_what_it_holds_with_keepalived(tmp_path: Path, ours: Ours) -> None:
    theirs = Host(ours.spaces, "theirs")
    before = ours.seen()
    router = Keepalived(ours.spaces, theirs.name, "eth0", tmp_path / "theirs")
    router.configure(CONFIGURATION)
    router.start()
    ours.start()
    wait_for("keepalived is master", lambda: router.has(VIP))
    time.sleep(0.5)
    assert ours.routes() == theirs.routes()
    assert len(ours.routes()) == 10
    assert ours.rules() == theirs.rules()
    assert ours.addresses() == theirs.addresses()
    router.stop()
    assert ours.router.stop() == 0
    assert ours.seen() == before == theirs.seen()


@pytest.mark.skipif(not KEEPALIVED, reason="keepalived is not installed; apt-get install keepalived")
def test_ipv6_beside_keepalived(tmp_path: Path, ours: Ours) -> None:
    """Excluded addresses, routes and rules of the other family."""
    theirs = Host(ours.spaces, "theirs")
    for host in (ours, theirs):
        host.with_ipv6()
    before = ours.seen()
    router = Keepalived(ours.spaces, theirs.name, "eth0", tmp_path / "theirs")
    router.configure(SIX)
    router.start()
    ours.start(SIX)
    wait_for("keepalived is master", lambda: router.has(VIP))
    time.sleep(0.5)
    assert ours.routes() == theirs.routes()
    assert len(ours.routes()) == len(before[0]) + 7
    assert ours.rules() == theirs.rules()
    assert ours.addresses() == theirs.addresses()
    router.stop()
    assert ours.router.stop() == 0
    assert ours.seen() == before == theirs.seen()


def test_what_others_remove(ours: Ours) -> None:
    """Features 5.3, 9: stepped down and back for a tracked object, put back in place for a static one."""
    ours.start()
    held = ours.seen()

    def removed(*words: str, gone: Callable[[], bool]) -> float:
        began = time.monotonic()
        ours.ip(*words)
        wait_for(f"{' '.join(words)} is answered", gone, 3)
        wait_for("all is back", lambda: ours.seen() == held, 5)
        return time.monotonic() - began

    transitions = _transitions(ours)
    assert removed("route", "del", "10.11.0.0/16", gone=lambda: _transitions(ours) >= transitions + 2) < 2
    assert "another program removed 10.11.0.0/16 via 10.9.0.9 dev eth0" in str(_history(ours))
    transitions = _transitions(ours)
    removed("rule", "del", "preference", "503", gone=lambda: _transitions(ours) >= transitions + 2)
    transitions = _transitions(ours)
    # Without an interface, and static ones: no transition.
    removed("route", "del", "unreachable", "10.15.0.0/16", gone=lambda: True)
    removed("route", "del", "blackhole", "10.41.0.0/16", gone=lambda: True)
    removed("rule", "del", "preference", "400", gone=lambda: True)
    removed("address", "del", "10.8.0.7/24", "dev", "eth1", gone=lambda: True)
    # Not watched.
    ours.ip("route", "del", "10.17.0.0/16")
    time.sleep(0.3)
    assert not ours.has_route("10.17.0.0/16")
    assert _transitions(ours) == transitions


def test_a_reload_touches_the_difference_only(ours: Ours) -> None:
    ours.start()
    watch = ours.router.directory / "monitor"
    monitor = ours.spaces.start(ours.name, ["ip", "monitor", "route", "rule"], watch)
    time.sleep(0.3)
    changed = CONFIGURATION.replace("via 10.9.0.9 dev eth0 metric 9", "via 10.9.0.10 dev eth0 metric 9")
    changed = changed.replace("preference 503", "preference 603").replace(
        "unreachable 10.15", "unreachable 10.19"
    )
    ours.configure(changed)
    ours.router.reload_current()
    wait_for("the new rule", lambda: ours.has_rule(603))
    time.sleep(0.3)
    ours.spaces.stop(monitor)
    told = [
        line.split("proto")[0].strip() for line in watch.read_text().splitlines() if "10.9.0.1/" not in line
    ]
    assert sorted(told) == sorted(
        [
            "10.40.0.0/16 via 10.9.0.10 dev eth0",
            "Deleted unreachable 10.15.0.0/16",
            "unreachable 10.19.0.0/16",
            "Deleted 503:\tfrom all iif eth1 goto 900",
            "603:\tfrom all iif eth1 goto 900",
        ]
    )


def test_the_interface_comes_back(ours: Ours) -> None:
    """R-F53: renamed, deleted, made again; without `dynamic_interfaces`, which keepalived would need."""
    ours.start()
    held = ours.seen()
    ours.ip("link", "set", "eth0", "down")
    wait_for("FAULT", lambda: ours.router.state() == "FAULT")
    assert not ours.has_rule(500)
    ours.ip("link", "set", "eth0", "up")
    wait_for("all is back", lambda: ours.seen() == held, 8)
    ours.ip("link", "set", "eth0", "name", "eth9")
    wait_for("FAULT", lambda: ours.router.state() == "FAULT")
    wait_for("nothing stays on the renamed one", lambda: VIP not in ours.ip("address"))
    assert "interface eth0 does not exist" in str(_history(ours))
    ours.ip("link", "set", "eth9", "name", "eth0")
    wait_for("all is back", lambda: ours.router.has(VIP) and ours.has_route("10.11.0.0/16"), 8)
    ours.ip("link", "del", "eth0")
    wait_for("FAULT", lambda: ours.router.state() == "FAULT")
    peer = ours.name + "p"
    ours.spaces.join((ours.name, "eth0", "10.9.0.1/24"), (peer, "eth0", "10.9.0.2/24"))
    wait_for("all is back", lambda: ours.router.has(VIP) and ours.has_route("10.11.0.0/16"), 8)
    assert ours.router.stop() == 0


def _history(ours: Ours) -> list[str]:
    record = ours.router.record()
    return [] if record is None else [each.cause for each in record.history]


def _transitions(ours: Ours) -> int:
    record = ours.router.record()
    return 0 if record is None else record.transitions


def test_an_address_that_a_backup_must_not_hold(ours: Ours) -> None:
    """R-F48, K8: somebody adds the virtual address on a BACKUP; it is gone within a second."""
    theirs = Keepbus(ours.spaces, f"{ours.name}p", "eth0", ours.router.directory / "peer")
    text = CONFIGURATION.split("static_rules")[0] + "vrrp_instance" + CONFIGURATION.split("vrrp_instance")[1]
    path = theirs.directory / "keepalived.conf"
    path.write_text(
        "vrrp_instance" + CONFIGURATION.split("vrrp_instance")[1].replace("priority 100", "priority 200")
    )
    compiled = compile_file(path)
    assert compiled.configuration is not None
    generation.write(theirs.directory, compiled.configuration, path)
    theirs.start()
    wait_for("the peer is master", lambda: theirs.has(VIP))
    ours.configure(text)
    ours.router.start()
    wait_for("we are backup", lambda: ours.router.state() == "BACKUP")
    for _ in range(2):
        ours.ip("address", "add", f"{VIP}/25", "dev", "eth0")
        wait_for("it is gone", lambda: not ours.router.has(VIP), 1)
    assert ours.router.state() == "BACKUP"


def test_the_primary_address_changes(ours: Ours) -> None:
    """R-F54, M12: a master speaks from the new address, with a checksum that others take; or is in FAULT."""
    sysctl = ("sysctl", "-n", "net.ipv4.conf.eth0.promote_secondaries")
    before = ours.spaces.run(ours.name, *sysctl)
    ours.start(CONFIGURATION.replace("priority 100", "priority 100\n    promote_secondaries"))
    # Else the virtual addresses go with the primary one.
    assert ours.spaces.run(ours.name, *sysctl).strip() == "1"
    peer = f"{ours.name}p"
    ours.ip("address", "add", "10.9.0.7/24", "dev", "eth0")
    wire = ours.router.directory / "wire"
    tcpdump = ["tcpdump", "-l", "-n", "-v", "--immediate-mode", "-i", "eth0", "vrrp"]
    capture = ours.spaces.start(peer, tcpdump, wire)
    wait_for("tcpdump", lambda: wire.exists() and "listening" in wire.read_text(encoding="utf-8"))
    transitions = _transitions(ours)
    ours.ip("address", "del", "10.9.0.1/24", "dev", "eth0")
    wait_for("adverts from the new address", lambda: "10.9.0.7 > 224.0.0.18" in wire.read_text(), 4)
    ours.spaces.stop(capture)
    assert "bad" not in wire.read_text().lower()
    assert _transitions(ours) == transitions
    ours.ip("address", "del", "10.9.0.7/24", "dev", "eth0")
    wait_for("FAULT", lambda: ours.router.state() == "FAULT")
    assert "has no IPv4 address to send from" in _history(ours)[-1]
    ours.ip("address", "add", "10.9.0.8/24", "dev", "eth0")
    wait_for("master again", lambda: ours.router.has(VIP), 8)
    ours.router.kill()
    ours.router.start()
    wait_for("it began", lambda: any(word in ours.router.text() for word in ("goes on as", "not resumed")))
    assert ours.router.stop() == 0
    assert ours.spaces.run(ours.name, *sysctl) == before


def test_leaving_master_is_gone_within_50_ms(ours: Ours) -> None:
    """K8: seen by the kernel's own news: from the priority 0 advert to the last removal."""
    ours.start()
    seen = ours.router.directory / "seen"
    monitor = ours.spaces.start(ours.name, ["ip", "-ts", "monitor", "address", "route", "rule"], seen)
    wire = ours.router.directory / "wire"
    tcpdump = ["tcpdump", "-l", "-n", "-tt", "--immediate-mode", "-i", "eth0", "vrrp"]
    capture = ours.spaces.start(ours.name, tcpdump, wire)
    wait_for("an advert", lambda: wire.exists() and "prio 100" in wire.read_text(encoding="utf-8"))
    assert ours.router.stop() == 0
    wait_for("priority 0", lambda: "prio 0" in wire.read_text(encoding="utf-8"))
    ours.spaces.stop(monitor)
    ours.spaces.stop(capture)
    left_s = float(next(line for line in wire.read_text().splitlines() if "prio 0" in line).split()[0])
    gone = [line for line in seen.read_text().splitlines() if "Deleted" in line and "10.9.0.10" in line]
    moments = [_moment(line) for line in gone]
    assert len(gone) >= 3
    assert max(moments) - left_s < 0.05


def _moment(line: str) -> float:
    """Of a line of `ip -ts`, which begins with [2026-01-31T12:00:00.123456]."""
    return datetime.fromisoformat(line.split("]")[0].lstrip("[")).timestamp()
