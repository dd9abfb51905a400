"""keepbus-vrrp and the distribution's keepalived on one wire, each in both roles."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from vrrp_nodes import KEEPALIVED, Keepalived, Keepbus, Router, Wire, instance, vrrp_instance, wait_for

from keepbus.config.model.vrrp import Authentication, AuthType, InitialState
from keepbus.testing import namespaces
from keepbus.testing.namespaces import Namespaces

pytestmark = [
    pytest.mark.skipif(bool(namespaces.missing()), reason=namespaces.missing()),
    pytest.mark.skipif(not KEEPALIVED, reason="keepalived is not installed; apt-get install keepalived"),
]

VIP = "10.9.0.100"
OURS, THEIRS = "10.9.0.1", "10.9.0.2"

# What keepalived counts as an error of a packet.
ERRORS = (
    "Packet Length", "TTL Errors", "Invalid Type", "Advertisement Interval", "Address List",
    "Invalid Authentication", "Type Mismatch", "Failure",
)  # fmt: skip


class Dialect(NamedTuple):
    """The same virtual router in both configurations."""

    fields: dict[str, Any]
    lines: tuple[str, ...]
    global_defs: tuple[str, ...] = ()


DIALECTS = {
    "v2": Dialect({}, ("advert_int 1",)),
    "v2 with password": Dialect(
        {"authentication": Authentication(auth_type=AuthType.PASS, auth_pass="1111")},
        ("advert_int 1", "authentication {", "    auth_type PASS", "    auth_pass 1111", "  }"),
    ),
    "v2 with AH (A5)": Dialect(
        {"authentication": Authentication(auth_type=AuthType.AH, auth_pass="secret12")},
        ("advert_int 1", "authentication {", "    auth_type AH", "    auth_pass secret12", "  }"),
    ),
    "v3 at 0.1 s": Dialect(
        {"version": 3, "advert_interval_us": 100_000}, ("advert_int 0.1",), ("  vrrp_version 3",)
    ),
    "another group": Dialect(
        {"mcast_group": "224.0.0.200"}, ("advert_int 1",), ("  vrrp_mcast_group4 224.0.0.200",)
    ),
}


class Mixed:
    """One of ours and one of theirs."""

    def __init__(self, spaces: Namespaces, directory: Path) -> None:
        names = spaces.add("ours"), spaces.add("theirs")
        spaces.join((names[0], "eth0", f"{OURS}/24"), (names[1], "eth0", f"{THEIRS}/24"))
        self.ours = Keepbus(spaces, names[0], "eth0", directory / "ours")
        self.theirs = Keepalived(spaces, names[1], "eth0", directory / "theirs")
        self.wire = Wire(spaces, names[1], "eth0", directory / "wire")

    def configure(self, dialect: Dialect, ours: int, theirs: int) -> None:
        """Both, with these priorities."""
        self.ours.configure(
            instance("eth0", f"{VIP}/24", priority=ours, state=InitialState.BACKUP, **dialect.fields)
        )
        lines = ("virtual_router_id 51", f"priority {theirs}", "state BACKUP", *dialect.lines)
        self.theirs.configure(
            vrrp_instance("eth0", *lines, addresses=[f"{VIP}/24"]), global_defs=dialect.global_defs
        )


@pytest.fixture
def mixed(tmp_path: Path) -> Iterator[Mixed]:
    with Namespaces("vrk") as spaces:
        yield Mixed(spaces, tmp_path)


def exactly_one(one: Router, other: Router) -> bool:
    return one.has(VIP) and not other.has(VIP)


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS.keys())
@pytest.mark.parametrize("ours_is_master", [True, False], ids=["ours is master", "theirs is master"])
def test_elect_fail_over_and_preempt(mixed: Mixed, dialect: Dialect, ours_is_master: bool) -> None:
    mixed.configure(dialect, *((200, 100) if ours_is_master else (100, 200)))
    master, backup = (mixed.ours, mixed.theirs) if ours_is_master else (mixed.theirs, mixed.ours)
    master.start()
    wait_for("the master has the address", lambda: master.has(VIP))
    backup.start()
    time.sleep(1.5)
    assert exactly_one(master, backup)
    stopped_at = time.time()
    master.stop()
    wait_for("the backup took over", lambda: exactly_one(backup, master))
    wait_for("it announced the address", lambda: mixed.wire.announcements(VIP, since=stopped_at) >= 5)
    # Priority 0 was understood: only the skew time passed, not three intervals.
    interval_s = dialect.fields.get("advert_interval_us", 1_000_000) / 1e6
    announced_at = float(mixed.wire.lines("ARP", f"who-has {VIP}", since=stopped_at)[0].split()[0])
    assert announced_at - stopped_at < 2 * max(interval_s, 1.0)
    started_at = time.time()
    master.start()
    wait_for("the master preempted", lambda: exactly_one(master, backup))
    wait_for("it announced the address", lambda: mixed.wire.announcements(VIP, since=started_at) >= 5)
    statistics = mixed.theirs.statistics()
    assert {name: count for name, count in statistics.items() if count and name.startswith(ERRORS)} == {}
    record = mixed.ours.record()
    assert record is not None
    assert record.dropped == {}


def test_crash_of_either_side(mixed: Mixed) -> None:
    """Nobody says good-bye: the other takes over after the master down interval."""
    mixed.configure(DIALECTS["v2"], 200, 100)
    mixed.ours.start()
    wait_for("ours has the address", lambda: mixed.ours.has(VIP))
    mixed.theirs.start()
    time.sleep(1.5)
    mixed.ours.kill()
    # keepalived would find the address on both nodes for ever; the lease ends it before that.
    wait_for("theirs took over", lambda: exactly_one(mixed.theirs, mixed.ours))


def test_d9_a_list_that_is_rolled_out_makes_no_second_master(mixed: Mixed) -> None:
    """The master has another second address than we, as between two reloads. The other way round keepalived
    2.2.7 would take over; later ones use such an advert."""
    mixed.configure(DIALECTS["v2"], 100, 200)
    mixed.ours.configure(instance("eth0", f"{VIP}/24", "10.9.0.102/24", state=InitialState.BACKUP))
    lines = ("virtual_router_id 51", "priority 200", "state BACKUP", "advert_int 1")
    mixed.theirs.configure(vrrp_instance("eth0", *lines, addresses=[f"{VIP}/24", "10.9.0.101/24"]))
    mixed.theirs.start()
    wait_for("the master has the address", lambda: mixed.theirs.has(VIP))
    mixed.ours.start()
    time.sleep(5)
    assert exactly_one(mixed.theirs, mixed.ours)


def test_tie_is_won_by_the_higher_address(mixed: Mixed) -> None:
    """M6: both are master for a moment, then the higher address stays."""
    mixed.configure(DIALECTS["v2"], 100, 100)
    mixed.ours.start()
    mixed.theirs.start()
    wait_for("theirs is the only master", lambda: exactly_one(mixed.theirs, mixed.ours), 20)
    time.sleep(2)
    assert exactly_one(mixed.theirs, mixed.ours)


def test_wrong_password_is_counted_and_ignored(mixed: Mixed) -> None:
    """A4: each thinks that it is alone; ours counts why."""
    good = DIALECTS["v2 with password"]
    bad = {"authentication": Authentication(auth_type=AuthType.PASS, auth_pass="2222")}
    mixed.configure(good._replace(fields=bad), 100, 200)
    mixed.ours.start()
    mixed.theirs.start()
    wait_for("both have the address", lambda: mixed.theirs.has(VIP) and mixed.ours.has(VIP))

    def dropped() -> dict[str, int]:
        record = mixed.ours.record()
        return {} if record is None else record.dropped

    wait_for("our counter", lambda: dropped().get("auth_failure", 0) >= 1)
    assert set(dropped()) == {"auth_failure"}
