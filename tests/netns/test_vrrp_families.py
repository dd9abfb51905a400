"""IPv6 and unicast: keepbus-vrrp beside the distribution's keepalived, each in both roles."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from vrrp_nodes import KEEPALIVED, Keepalived, Keepbus, Router, Wire, instance, vrrp_instance, wait_for

from keepbus.config.model.vrrp import FOREVER_S, AddressFamily, InitialState, UnicastPeer, VirtualAddress
from keepbus.testing import namespaces
from keepbus.testing.namespaces import Namespaces

pytestmark = [
    pytest.mark.skipif(bool(namespaces.missing()), reason=namespaces.missing()),
    pytest.mark.skipif(not KEEPALIVED, reason="keepalived is not installed; apt-get install keepalived"),
]

OURS, THEIRS = "10.9.0.1", "10.9.0.2"
OURS6, THEIRS6 = "fe80::a:1", "fe80::a:2"
ERRORS = (
    "Packet Length", "TTL Errors", "Invalid Type", "Advertisement Interval", "Address List",
    "Invalid Authentication", "Type Mismatch", "Failure",
)  # fmt: skip


class Dialect(NamedTuple):
    """The same virtual router in both configurations."""

    fields: dict[str, Any]
    lines: tuple[str, ...]
    addresses: tuple[str, ...]
    answers: str
    """The address that is pinged."""
    on_wire: str
    """Words of tcpdump for our adverts."""


SIX: dict[str, Any] = {"family": AddressFamily.IPV6, "version": 3, "advert_interval_us": 200_000}
VIPS6 = ("fe80::51/64", "2001:db8:9::51/64")
DIALECTS = {
    "v3 IPv6": Dialect(
        SIX,
        ("version 3", "advert_int 0.2"),
        VIPS6,
        "2001:db8:9::51",
        f"{OURS6} > ff02::12",
    ),
    "v2 unicast": Dialect(
        {"unicast_peers": (UnicastPeer(address=THEIRS),), "mcast_src_ip": OURS},
        ("advert_int 1", f"unicast_src_ip {THEIRS}", "unicast_peer {", OURS, "}"),
        ("10.9.0.100/24",),
        "10.9.0.100",
        f"{OURS} > {THEIRS}",
    ),
    "v3 unicast IPv6": Dialect(
        {**SIX, "unicast_peers": (UnicastPeer(address=THEIRS6),)},
        ("version 3", "advert_int 0.2", f"unicast_src_ip {THEIRS6}", "unicast_peer {", OURS6, "}"),
        VIPS6,
        "2001:db8:9::51",
        f"{OURS6} > {THEIRS6}",
    ),
    "v3 unicast": Dialect(
        {
            "version": 3,
            "advert_interval_us": 200_000,
            "unicast_peers": (UnicastPeer(address=THEIRS, min_ttl=255),),
        },
        ("version 3", "advert_int 0.2", f"unicast_src_ip {THEIRS}", "unicast_peer {", OURS, "}"),
        ("10.9.0.100/24",),
        "10.9.0.100",
        f"{OURS} > {THEIRS}",
    ),
}


class Mixed:
    """One of ours and one of theirs, on a wire with both families."""

    def __init__(self, spaces: Namespaces, directory: Path, dialect: Dialect, ours: int, theirs: int) -> None:
        names = spaces.add("ours"), spaces.add("theirs")
        spaces.join((names[0], "eth0", f"{OURS}/24"), (names[1], "eth0", f"{THEIRS}/24"))
        for name, link_local, number in ((names[0], OURS6, 1), (names[1], THEIRS6, 2)):
            spaces.run(name, "sysctl", "-qw", "net.ipv6.conf.eth0.addr_gen_mode=1")
            spaces.run(name, "sysctl", "-qw", "net.ipv6.conf.eth0.disable_ipv6=0")
            # The kernel looks for a duplicate of ours during the next second; keepalived would not wait.
            nodad = ("nodad",) if number == 2 else ()
            spaces.run(name, "ip", "address", "add", f"{link_local}/64", "dev", "eth0", *nodad)
            spaces.run(name, "ip", "address", "add", f"2001:db8:9::{number}/64", "dev", "eth0", "nodad")
        self.ours = Keepbus(spaces, names[0], "eth0", directory / "ours")
        self.theirs = Keepalived(spaces, names[1], "eth0", directory / "theirs")
        self.wire = Wire(spaces, names[1], "eth0", directory / "wire")
        self.vip = dialect.answers
        self.ours.configure(
            instance("eth0", *dialect.addresses, priority=ours, state=InitialState.BACKUP, **dialect.fields)
        )
        lines = ("virtual_router_id 51", f"priority {theirs}", "state BACKUP", *dialect.lines)
        self.theirs.configure(vrrp_instance("eth0", *lines, addresses=dialect.addresses))

    def only(self, one: Router, other: Router) -> bool:
        return one.has(self.vip) and not other.has(self.vip)


ROLES = [(name, ours) for name in DIALECTS for ours in (True, False) if ours or name != "v3 unicast"]


@pytest.mark.parametrize(("name", "ours_is_master"), ROLES)
def test_elect_fail_over_and_preempt(tmp_path: Path, name: str, ours_is_master: bool) -> None:
    dialect = DIALECTS[name]
    with Namespaces("vrf") as spaces:
        mixed = Mixed(spaces, tmp_path, dialect, *((200, 100) if ours_is_master else (100, 200)))
        master, backup = (mixed.ours, mixed.theirs) if ours_is_master else (mixed.theirs, mixed.ours)
        master.start()
        wait_for("the master has the address", lambda: master.has(mixed.vip))
        backup.start()
        time.sleep(1.5)
        assert mixed.only(master, backup)
        wait_for("the master answers", lambda: backup.reaches(mixed.vip))
        stopped_at = time.time()
        master.stop()
        wait_for("the backup took over", lambda: mixed.only(backup, master))
        wait_for(
            "it announced the address", lambda: mixed.wire.announcements(mixed.vip, since=stopped_at) >= 5
        )
        wait_for("the backup answers", lambda: master.reaches(mixed.vip))
        master.start()
        wait_for("the master preempted", lambda: mixed.only(master, backup))
        wait_for("the master answers again", lambda: backup.reaches(mixed.vip))
        assert mixed.wire.lines(dialect.on_wire, "Advertisement")
        statistics = mixed.theirs.statistics()
        assert {name: count for name, count in statistics.items() if count and name.startswith(ERRORS)} == {}
        record = mixed.ours.record("/51")
        assert record is not None
        # What came while the kernel still looked for a duplicate of our address.
        assert set(record.dropped) <= {"not_running"}


def test_ipv6_addresses_in_the_kernel(tmp_path: Path) -> None:
    """Features 6.1; R-L2: the lifetime is renewed, and ends when nobody does; what we remove ourselves is not
    taken for a stranger's doing."""
    stands_alone, in_network = "2001:db8:9::52", "2001:db8:9::51"

    def addresses(*prefixes: int) -> tuple[VirtualAddress, ...]:
        texts = ("fe80::51", in_network, stands_alone)
        return tuple(
            VirtualAddress(
                address=text,
                prefix=prefix,
                interface="eth0",
                flags=0x2,
                preferred_s=0 if prefix == 128 else FOREVER_S,
            )
            for text, prefix in zip(texts, prefixes, strict=True)
        )

    six = {**SIX, "advert_interval_us": 1_000_000, "down_timer_adverts": 1}
    with Namespaces("vrf") as spaces:
        mixed = Mixed(spaces, tmp_path, DIALECTS["v3 IPv6"], 200, 100)
        ours = mixed.ours
        first = instance("eth0", **six, virtual_addresses=addresses(64, 64, 128))
        second = instance("eth0", **six, virtual_addresses=addresses(64, 128, 128))

        def shown(address: str) -> str:
            text = spaces.run(ours.namespace, "ip", "-6", "address", "show", "dev", "eth0")
            return " ".join(text.partition(f"inet6 {address}/")[2].split()[:12])

        ours.configure(first)
        ours.start()
        wait_for("the addresses", lambda: ours.has(stands_alone))
        assert "nodad" in shown(in_network)
        assert "deprecated" in shown(stands_alone)
        assert "deprecated" not in shown(in_network)
        time.sleep(3)
        assert "valid_lft 2sec" in shown(in_network) or "valid_lft 1sec" in shown(in_network)
        before = ours.record("/51")
        ours.reload(second)
        wait_for("the other prefix", lambda: shown(in_network).startswith("128"))
        time.sleep(0.5)
        record = ours.record("/51")
        assert record is not None
        assert before is not None
        assert (record.state, record.transitions) == (before.state, before.transitions)
        ours.signal(signal.SIGSTOP)
        wait_for("the lease ended", lambda: not ours.has(in_network) and not ours.has(stands_alone), 4)
