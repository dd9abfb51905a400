"""What becomes of an interface with a virtual MAC address when processes, people and cables interfere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from vrrp_nodes import Keepbus, wait_for

from keepbus.config.model.vrrp import VirtualAddress, VirtualMac, VrrpInstance
from keepbus.testing import namespaces
from keepbus.testing.namespaces import Namespaces

pytestmark = pytest.mark.skipif(bool(namespaces.missing()), reason=namespaces.missing())

VIP, VMAC, MAC = "10.9.0.100", "vrrp.51", "00:00:5e:00:01:33"
SETTINGS = ("arp_ignore", "arp_filter", "arp_announce")


def config(*, vmac: bool = True, **fields: Any) -> VrrpInstance:
    return VrrpInstance(
        **{
            "name": "VI_1",
            "interface": "eth0",
            "virtual_router_id": 51,
            "version": 3,
            "advert_interval_us": 400_000,  # the kernel may take its time for an interface
            "priority": 200,
            "vmac": VirtualMac(name=VMAC, interface="eth0", mac=MAC) if vmac else None,
            "virtual_addresses": (
                VirtualAddress(address=VIP, prefix=24, interface=VMAC if vmac else "eth0"),
            ),
            **fields,
        }
    )


class Stage:
    """Two routers at a bridge; the first one is the one that is treated badly."""

    def __init__(self, spaces: Namespaces, directory: Path) -> None:
        self.spaces = spaces
        self.hub, *names = (spaces.add(name) for name in ("hub", "one", "two"))
        spaces.bridge(
            self.hub, "br0", *((name, "eth0", f"10.9.0.{at}/24") for at, name in enumerate(names, 1))
        )
        self.one = Keepbus(spaces, names[0], VMAC, directory / "one")
        self.two = Keepbus(spaces, names[1], VMAC, directory / "two")

    def on(self, router: Keepbus) -> str:
        """The interface that has the address; empty for none."""
        for line in self.spaces.run(router.namespace, "ip", "-o", "address", "show").splitlines():
            if f" {VIP}/" in line:
                return line.split()[1]
        return ""

    def links(self) -> str:
        return self.spaces.run(self.one.namespace, "ip", "-o", "-d", "link")

    def index(self) -> str:
        """Of the interface with the virtual MAC address; empty when there is none."""
        return next((line.split(":")[0] for line in self.links().splitlines() if f" {VMAC}@" in line), "")

    def transitions(self) -> int:
        record = self.one.record()
        assert record is not None
        return record.transitions

    def settings(self) -> tuple[str, ...]:
        paths = [f"/proc/sys/net/ipv4/conf/eth0/{name}" for name in SETTINGS]
        return tuple(self.spaces.run(self.one.namespace, "cat", *paths).split())


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with Namespaces("vrw") as spaces:
        yield Stage(spaces, tmp_path)


def test_people(stage: Stage) -> None:
    """Somebody sets it down, deletes it and the interface below; a reload takes it away and brings it back:
    at the end everything is as it was."""
    spaces, one = stage.spaces, stage.one
    before = stage.settings()
    one.configure(config())
    one.start()
    wait_for("master", lambda: stage.on(one) == VMAC)
    assert stage.settings() == ("1", "1", "2")
    transitions = stage.transitions()
    spaces.run(one.namespace, "ip", "link", "set", VMAC, "down")
    wait_for("put right", lambda: f"{VMAC}@eth0: <BROADCAST,MULTICAST,UP" in stage.links())
    assert stage.on(one) == VMAC
    assert stage.transitions() == transitions, one.text()
    one.reload(config(vmac=False))
    wait_for("the address moved", lambda: stage.on(one) == "eth0")
    wait_for("the interface is gone", lambda: not stage.index())
    assert stage.settings() == before
    one.reload(config())
    wait_for("the address moved back", lambda: stage.on(one) == VMAC)
    assert stage.transitions() == transitions, one.text()
    first = stage.index()
    spaces.run(one.namespace, "ip", "link", "delete", VMAC)
    wait_for("made again", lambda: stage.index() not in ("", first))
    wait_for("master again", lambda: stage.on(one) == VMAC)
    assert stage.transitions() > transitions
    spaces.run(one.namespace, "ip", "link", "set", VMAC, "down", "name", "other0")
    wait_for("made under its name", lambda: stage.on(one) == VMAC and "other0" not in stage.links())
    spaces.run(one.namespace, "ip", "link", "delete", "eth0")
    wait_for("the fault", lambda: one.state() == "FAULT")
    spaces.join((one.namespace, "eth0", "10.9.0.1/24"), (stage.hub, "again", ""))
    spaces.run(stage.hub, "ip", "link", "set", "again", "master", "br0")
    wait_for("master on the new one", lambda: stage.on(one) == VMAC)
    assert stage.settings() == ("1", "1", "2")
    assert one.stop() == 0
    assert not stage.index()
    assert stage.settings() == before


def test_crashes(stage: Stage) -> None:
    """R-L5 with a virtual MAC address: resumed on the same interface, no transition; what an earlier life
    left is removed when nobody wants it; what another program made stays."""
    spaces, one = stage.spaces, stage.one
    one.configure(config(advert_interval_us=1_000_000))
    one.start()
    wait_for("master", lambda: stage.on(one) == VMAC)
    index, transitions = stage.index(), stage.transitions()
    one.kill()
    one.start()
    wait_for("resumed", lambda: "goes on as MASTER" in one.text())
    assert (stage.index(), stage.transitions(), stage.on(one)) == (index, transitions, VMAC)
    one.kill()
    spaces.run(
        one.namespace,
        "ip",
        "link",
        "add",
        "link",
        "eth0",
        "name",
        "theirs",
        "type",
        "macvlan",
        "mode",
        "private",
    )
    one.configure(config(vmac=False))
    one.start()
    wait_for("the left-over is removed", lambda: not stage.index())
    wait_for("master", lambda: stage.on(one) == "eth0")
    one.stop()
    assert " theirs@" in stage.links()


def test_two_masters_hear_each_other(stage: Stage) -> None:
    """Both have the same MAC address: after a cut that heals, the better one stays, and both had noticed."""
    one, two = stage.one, stage.two
    one.configure(config())
    two.configure(replace(config(), priority=100))
    one.start()
    two.start()
    wait_for("one is master", lambda: stage.on(one) == VMAC)
    stage.spaces.run(stage.hub, "bridge", "link", "set", "dev", "br0p1", "state", "0")
    wait_for("both are", lambda: stage.on(two) == VMAC)
    stage.spaces.run(stage.hub, "bridge", "link", "set", "dev", "br0p1", "state", "3")
    wait_for("one is again", lambda: stage.on(two) == "")
    time.sleep(0.5)
    assert stage.on(one) == VMAC
    record = two.record()
    assert record is not None
    assert "priority 200" in record.cause or "better" in record.cause, record.cause
    assert record.dropped == {}
