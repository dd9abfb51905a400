"""A sync group on two wires, beside the distribution's keepalived in both roles (E8, R-F64).

There is no bus here: what moves a group's members together is inside the one process that runs them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from vrrp_nodes import KEEPALIVED, Keepalived, Keepbus, Router, Wire, instance, vrrp_instance, wait_for

from keepbus.config.model.vrrp import SyncGroup
from keepbus.testing import namespaces
from keepbus.testing.namespaces import Namespaces

pytestmark = [
    pytest.mark.skipif(bool(namespaces.missing()), reason=namespaces.missing()),
    pytest.mark.skipif(not KEEPALIVED, reason="keepalived is not installed; apt-get install keepalived"),
]

VIPS = {"eth0": "10.9.0.100", "eth1": "10.9.1.100"}
GROUP = "vrrp_sync_group VG_1 {\n  group {\n    VI_0\n    VI_1\n  }\n}"
ERRORS = ("Packet Length", "TTL Errors", "Invalid Type", "Advertisement Interval", "Address List")


class Mixed:
    """One of ours and one of theirs, on two switches."""

    def __init__(self, spaces: Namespaces, directory: Path) -> None:
        self.spaces = spaces
        ours, theirs, switch = spaces.add("ours"), spaces.add("theirs"), spaces.add("switch")
        for number, interface in enumerate(VIPS):
            ends = [(name, interface, f"10.9.{number}.{host}/24") for host, name in ((1, ours), (2, theirs))]
            spaces.bridge(switch, f"br{number}", *ends)
        self.ours = Keepbus(spaces, ours, "eth0", directory / "ours")
        self.theirs = Keepalived(spaces, theirs, "eth0", directory / "theirs")
        self.wires = [Wire(spaces, theirs, interface, directory / interface) for interface in VIPS]

    def configure(self, ours: int, theirs: int) -> None:
        """Both, with these priorities."""
        blocks, configs = [], []
        for number, (interface, address) in enumerate(VIPS.items()):
            name, vrid = f"VI_{number}", 51 + number
            configs.append(
                instance(
                    interface,
                    f"{address}/24",
                    name=name,
                    virtual_router_id=vrid,
                    priority=ours,
                    version=3,
                    advert_interval_us=300_000,
                )
            )
            lines = (
                f"virtual_router_id {vrid}",
                f"priority {theirs}",
                "state BACKUP",
                "advert_int 0.3",
                "version 3",
            )
            blocks.append(vrrp_instance(interface, *lines, name=name, addresses=[f"{address}/24"]))
        members = tuple(config.name for config in configs)
        self.ours.configure(*configs, sync_groups=(SyncGroup(name="VG_1", members=members),))
        self.theirs.configure(GROUP, *blocks)

    def holds(self, router: Router) -> list[bool]:
        """Per interface: has it the virtual address?"""
        return [
            f"inet {address}/" in self.spaces.run(router.namespace, "ip", "-4", "address", "show", interface)
            for interface, address in VIPS.items()
        ]

    def all_at(self, one: Router, other: Router) -> bool:
        return self.holds(one) == [True, True] and self.holds(other) == [False, False]


@pytest.fixture
def mixed(tmp_path: Path) -> Iterator[Mixed]:
    with Namespaces("vrg") as spaces:
        yield Mixed(spaces, tmp_path)


@pytest.mark.parametrize("ours_is_master", [True, False], ids=["ours is master", "theirs is master"])
def test_e8_rf64_one_link_is_cut_and_both_instances_move(mixed: Mixed, ours_is_master: bool) -> None:
    mixed.configure(*((200, 100) if ours_is_master else (100, 200)))
    master, backup = (mixed.ours, mixed.theirs) if ours_is_master else (mixed.theirs, mixed.ours)
    master.start()
    wait_for("the master has both addresses", lambda: mixed.holds(master) == [True, True])
    backup.start()
    time.sleep(1)
    assert mixed.all_at(master, backup)
    cut_at = time.time()
    mixed.spaces.run(master.namespace, "ip", "link", "set", "eth1", "down")
    wait_for("both moved", lambda: mixed.all_at(backup, master))
    # The member on the whole wire resigned by priority 0.
    source = f"10.9.0.{1 if ours_is_master else 2}"
    assert [priority for _, priority in mixed.wires[0].adverts(source, since=cut_at)].count(0) >= 1
    mixed.spaces.run(master.namespace, "ip", "link", "set", "eth1", "up")
    wait_for("both came back", lambda: mixed.all_at(master, backup), 25)
    statistics = mixed.theirs.statistics()
    assert {name: count for name, count in statistics.items() if count and name.startswith(ERRORS)} == {}
    for number in (51, 52):
        record = mixed.ours.record(f"/IPv4/{number}")
        assert record is not None
        assert set(record.dropped) <= {"not_running"}
