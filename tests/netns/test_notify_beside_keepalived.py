"""The FIFO of the distribution's keepalived and the lines of ours through the same life of a sync group.

keepalived runs in a namespace with nobody else on its two wires; vrrp's machine and notify's are played
through the same: alone, a link lost, the link back, the end.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from keepbus_notify.effects import WriteFifo
from keepbus_notify.events import LedgerRead
from keepbus_notify.machine import Machine as Notify
from keepbus_vrrp import events
from keepbus_vrrp.machine import Machine as Vrrp
from keepbus_vrrp.netlink import IFF_RUNNING, IFF_UP, AddressMessage, LinkMessage
from vrrp_nodes import KEEPALIVED, Keepalived, instance, vrrp_instance, wait_for

from keepbus.config.model.notify import Fifo, NotifySection
from keepbus.config.model.vrrp import SyncGroup, VrrpSection
from keepbus.contracts.message import Header, Message, topic_of
from keepbus.runtime.machine import BusMessage, Configured, Event, Publish, StopRequested
from keepbus.testing import namespaces
from keepbus.testing.namespaces import Namespaces
from keepbus.testing.playbook import Playbook, ns

pytestmark = [
    pytest.mark.skipif(bool(namespaces.missing()), reason=namespaces.missing()),
    pytest.mark.skipif(not KEEPALIVED, reason="keepalived is not installed; apt-get install keepalived"),
]

VIPS = {"eth0": "10.9.0.100", "eth1": "10.9.1.100"}


@pytest.fixture
def theirs(tmp_path: Path) -> Iterator[tuple[Keepalived, Namespaces]]:
    with Namespaces("vrf") as spaces:
        name, other = spaces.add("one"), spaces.add("other")
        for number, interface in enumerate(VIPS):
            spaces.join((name, interface, f"10.9.{number}.1/24"), (other, interface, ""))
        yield Keepalived(spaces, name, "eth0", tmp_path), spaces


def life_of_theirs(node: Keepalived, spaces: Namespaces) -> list[str]:
    """What its FIFO gets."""
    path = node.directory / "fifo"
    os.mkfifo(path, 0o600)
    reader = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    got = bytearray()

    def lines() -> list[str]:
        with contextlib.suppress(BlockingIOError):
            got.extend(os.read(reader, 65536))
        return got.decode().splitlines()

    blocks = [
        vrrp_instance(
            interface, f"virtual_router_id {51 + n}", "priority 100", "version 3", "advert_int 0.3",
            name=f"VI_{n}", addresses=[f"{address}/24"],
        )
        for n, (interface, address) in enumerate(VIPS.items())
    ]  # fmt: skip
    group = "vrrp_sync_group VG_1 {\n  group {\n    VI_0\n    VI_1\n  }\n}"
    node.configure(group, *blocks, global_defs=(f"  vrrp_notify_fifo {path}",))
    try:
        node.start()
        wait_for("master", lambda: 'GROUP "VG_1" MASTER 0' in lines())
        time.sleep(0.5)
        spaces.run(node.namespace, "ip", "link", "set", "eth1", "down")
        wait_for("fault", lambda: 'GROUP "VG_1" FAULT 0' in lines())
        spaces.run(node.namespace, "ip", "link", "set", "eth1", "up")
        wait_for("master again", lambda: lines().count('GROUP "VG_1" MASTER 0') == 2)
        node.stop()
        wait_for("the end", lambda: 'GROUP "VG_1" STOP 0' in lines())
        time.sleep(0.3)
        return lines()
    finally:
        os.close(reader)


def life_of_ours() -> list[str]:
    """What notify would write of what vrrp's machine publishes."""
    vrrp, notify = Playbook(Vrrp()), Notify()
    fifo = Fifo(keyword="vrrp_notify_fifo", path="/f", vrrp=True, lvs=False)
    notify.turn(0, [Configured(1, NotifySection(fifos=(fifo,)), 0)])
    notify.turn(0, [LedgerRead(())])
    written: list[str] = []

    def at(seconds: float, *happened: Event) -> None:
        scene = vrrp.until(seconds - 1e-6)
        scene.extend(vrrp.at(seconds, *happened))
        for number, effect in enumerate(scene):
            if isinstance(effect, Publish):
                header = Header(1, "n", "vrrp", "b", number + 1, number + 1, 1, 1, "")
                message = Message(topic_of(effect.body, "vrrp"), header, effect.body)
                wishes = notify.turn(0, [BusMessage(message, 0)])
                written.extend(w.line.decode().rstrip("\n") for w in wishes if isinstance(w, WriteFifo))

    def link(number: int, *, up: bool = True) -> LinkMessage:
        flags = IFF_UP | (IFF_RUNNING if up else 0)
        return LinkMessage(False, 2 + number, f"eth{number}", flags, bytes(6), 1500)

    configs = tuple(
        instance(
            interface, f"{address}/24", name=f"VI_{n}", virtual_router_id=51 + n, version=3,
            advert_interval_us=300_000,
        )
        for n, (interface, address) in enumerate(VIPS.items())
    )  # fmt: skip
    section = VrrpSection(instances=configs, sync_groups=(SyncGroup(name="VG_1", members=("VI_0", "VI_1")),))
    at(0, Configured(1, section, ns(0)))
    addresses = tuple(AddressMessage(False, 2 + n, bytes((10, 9, n, 1)), 24) for n in range(2))
    at(0, events.Remembered("boot", ()), events.KernelRead((link(0), link(1)), addresses))
    at(5)
    at(6, events.LinkChanged(link(1, up=False)))
    at(7, events.LinkChanged(link(1)))
    at(12)
    at(13, StopRequested(ns(13)))
    return written


def by_state(lines: list[str]) -> list[list[str]]:
    """The lines cut after each of the group; members in no order, for their timers end at the same moment."""
    found: list[list[str]] = [[]]
    for line in lines:
        found[-1].append(line)
        if line.startswith("GROUP"):
            found.append([])
    return [sorted(part) for part in found]


def test_n3_the_same_lines_in_the_same_order(theirs: tuple[Keepalived, Namespaces]) -> None:
    assert by_state(life_of_ours()) == by_state(life_of_theirs(*theirs))
