"""Two keepbus-vrrp processes on one wire: election, failover, the lease, and a crash that is none."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from keepbus_vrrp.record import Record
from vrrp_nodes import Keepbus, Wire, instance, wait_for

from keepbus.config.model.vrrp import GratuitousArp
from keepbus.contracts.vrrp import VrrpState
from keepbus.testing import namespaces
from keepbus.testing.namespaces import Namespaces

pytestmark = pytest.mark.skipif(bool(namespaces.missing()), reason=namespaces.missing())

VIP = "10.9.0.100"
ONE, TWO = "10.9.0.1", "10.9.0.2"


class Pair:
    """Routers one (priority 200) and two (100), and what passes between them."""

    def __init__(self, spaces: Namespaces, directory: Path) -> None:
        names = spaces.add("one"), spaces.add("two")
        spaces.join((names[0], "eth0", f"{ONE}/24"), (names[1], "eth0", f"{TWO}/24"))
        self.spaces = spaces
        self.one = Keepbus(spaces, names[0], "eth0", directory / "one")
        self.two = Keepbus(spaces, names[1], "eth0", directory / "two")
        self.wire = Wire(spaces, names[1], "eth0", directory / "wire")

    def configure(self, **fields: Any) -> None:
        """Both, with these fields of the instance."""
        self.one.configure(instance("eth0", f"{VIP}/24", priority=200, **fields))
        self.two.configure(instance("eth0", f"{VIP}/24", priority=100, **fields))

    def elect(self, **fields: Any) -> None:
        """Start both; one is master at the end."""
        self.configure(**fields)
        self.one.start()
        wait_for("one is master", lambda: self.one.has(VIP))
        self.two.start()
        wait_for("two is backup", lambda: self.two.state() == "BACKUP")


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with Namespaces("vrp") as spaces:
        yield Pair(spaces, tmp_path)


@pytest.mark.parametrize("fields", [{}, {"version": 3, "advert_interval_us": 100_000}])
def test_release_takeover_and_preemption(pair: Pair, fields: dict[str, Any]) -> None:
    pair.elect(**fields)
    stopped_at = time.time()
    assert pair.one.stop() == 0
    wait_for("two has the address", lambda: pair.two.has(VIP))
    assert not pair.one.has(VIP)
    assert pair.one.state() == "STOP"
    releases = [priority for _, priority in pair.wire.adverts(ONE, since=stopped_at) if priority == 0]
    assert releases == [0]
    wait_for("five announcements", lambda: pair.wire.announcements(VIP, since=stopped_at) >= 5)
    pair.one.start()
    wait_for("one has the address again", lambda: pair.one.has(VIP))
    wait_for("two has yielded", lambda: not pair.two.has(VIP))
    assert pair.two.state() == "BACKUP"
    record = pair.two.record()
    assert record is not None
    assert record.cause == f"{ONE} advertises priority 200, higher than 100 here"


def test_advert_comes_before_the_announcement(pair: Pair) -> None:
    """M14 on the wire."""
    pair.elect()
    lines = pair.wire.lines(since=0.0)
    first_advert = next(index for index, line in enumerate(lines) if f"{ONE} > 224.0.0.18" in line)
    first_announcement = next(index for index, line in enumerate(lines) if f"who-has {VIP}" in line)
    assert first_advert < first_announcement


def test_nopreempt_leaves_the_lower_one_master(pair: Pair) -> None:
    pair.elect(nopreempt=True)
    pair.one.stop()
    wait_for("two has the address", lambda: pair.two.has(VIP))
    pair.one.start()
    time.sleep(4.5)
    assert pair.two.has(VIP)
    assert not pair.one.has(VIP)


def test_link_down_is_fault_and_back(pair: Pair) -> None:
    """R-F51."""
    pair.elect()
    pair.spaces.run(pair.two.namespace, "ip", "link", "set", "eth0", "down")
    wait_for("one is in FAULT without carrier", lambda: pair.one.state() == "FAULT")
    assert not pair.one.has(VIP)
    record = pair.one.record()
    assert record is not None
    assert record.cause == "interface eth0 is down"
    pair.spaces.run(pair.two.namespace, "ip", "link", "set", "eth0", "up")
    wait_for("one is master again", lambda: pair.one.state() == "MASTER")


def test_an_interface_that_is_deleted_and_made_again(pair: Pair) -> None:
    """R-F53: found again by its name, with another index, sockets and groups made anew."""
    pair.elect()
    pair.spaces.run(pair.one.namespace, "ip", "link", "delete", "eth0")
    wait_for("one is in FAULT", lambda: pair.one.state() == "FAULT")
    record = pair.one.record()
    assert record is not None
    assert record.cause in ("interface eth0 is down", "interface eth0 does not exist")
    # Takes the index, so that eth0 comes back with another one.
    pair.spaces.run(pair.one.namespace, "ip", "link", "add", "other", "type", "bridge")
    pair.spaces.join((pair.one.namespace, "eth0", f"{ONE}/24"), (pair.two.namespace, "eth0", f"{TWO}/24"))
    wait_for("one is master again", lambda: pair.one.has(VIP), 20)
    wait_for("two hears it", lambda: pair.two.state() == "BACKUP", 20)
    assert not pair.two.has(VIP)


def test_no_source_address_is_fault_and_back(pair: Pair) -> None:
    pair.elect()
    pair.spaces.run(pair.one.namespace, "ip", "address", "delete", f"{ONE}/24", "dev", "eth0")
    wait_for("one is in FAULT", lambda: pair.one.state() == "FAULT")
    record = pair.one.record()
    assert record is not None
    assert record.cause == "interface eth0 has no IPv4 address to send from"
    pair.spaces.run(pair.one.namespace, "ip", "address", "add", f"{ONE}/24", "dev", "eth0")
    wait_for("one is master again", lambda: pair.one.state() == "MASTER")


def test_an_address_removed_by_another_program_comes_back(pair: Pair) -> None:
    pair.elect()
    removed_at = time.time()
    pair.spaces.run(pair.one.namespace, "ip", "address", "delete", f"{VIP}/24", "dev", "eth0")
    wait_for("one released", lambda: 0 in [p for _, p in pair.wire.adverts(ONE, since=removed_at)])
    wait_for("one is master again", lambda: pair.one.has(VIP) and pair.one.state() == "MASTER")
    record = pair.one.record()
    assert record is not None
    assert record.history[-2].cause == f"another program removed {VIP} from eth0"


def test_reload_touches_only_what_changed(pair: Pair) -> None:
    once = GratuitousArp(master_delay_us=0)
    pair.elect(garp=once)
    before = pair.one.record()
    assert before is not None
    second = "10.9.0.101"
    reloaded_at = time.time()
    pair.one.reload(instance("eth0", f"{VIP}/24", f"{second}/24", priority=200, garp=once))
    wait_for("the second address", lambda: pair.one.has(second))
    wait_for("its announcement", lambda: pair.wire.announcements(second, since=reloaded_at) >= 5)
    assert pair.wire.announcements(VIP, since=reloaded_at) == 0
    pair.one.reload(instance("eth0", f"{second}/24", priority=200, garp=once))
    wait_for("the first address is gone", lambda: not pair.one.has(VIP))
    assert pair.one.has(second)
    after = pair.one.record()
    assert after is not None
    assert (after.life, after.transitions, after.state) == (before.life, before.transitions, VrrpState.MASTER)


def test_keep_addresses_leaves_them(pair: Pair) -> None:
    pair.configure()
    pair.one.start("--keep-addresses")
    wait_for("one is master", lambda: pair.one.has(VIP))
    assert pair.one.stop() == 0
    time.sleep(3.0)  # longer than the lease
    assert pair.one.has(VIP)


def crash(pair: Pair, pause_s: float) -> tuple[Record, float]:
    """kill -9 of one and a restart within the lease: its record before, and the moment.

    On a machine that is too busy to start a process within 2 s, once more: the lease ran out, and rightly so.
    """
    for _ in range(5):
        time.sleep(pause_s)
        before = pair.one.record()
        assert before is not None
        killed_at = time.time()
        pair.one.kill()
        pair.one.start()
        wait_for("adverts again", lambda at=killed_at: pair.wire.adverts(ONE, since=at), 30)
        after = pair.one.record()
        assert after is not None
        made = after.transitions - before.transitions
        if not any("its lease ran out" in each.cause for each in after.history[len(after.history) - made :]):
            return before, killed_at
        pair.one.log.unlink()
        wait_for("one is master", lambda: pair.one.has(VIP))
        wait_for("two is backup", lambda: pair.two.state() == "BACKUP")
    raise AssertionError("five times, no restart within the lease")


@pytest.mark.parametrize("pause_s", [0.0, 0.35, 0.7])
def test_a_crash_is_not_a_failover(pair: Pair, pause_s: float) -> None:
    """R-F2: kill -9 at any moment between two adverts, restart within the lease."""
    pair.elect()
    before, killed_at = crash(pair, pause_s)
    assert pair.one.has(VIP)
    assert pair.wire.adverts(ONE, since=killed_at)[0][1] == 200
    # R-F5: the neighbours are told again.
    wait_for("announcements", lambda: pair.wire.announcements(VIP, since=killed_at) >= 5)
    time.sleep(4.0)  # longer than the backup would wait
    after = pair.one.record()
    assert after is not None
    assert (after.state, after.life) == (VrrpState.MASTER, before.life)
    assert after.transitions == before.transitions, [each.cause for each in after.history]
    assert "goes on as MASTER" in pair.one.text()
    assert not pair.wire.adverts(TWO, since=killed_at)
    assert pair.one.has(VIP)


def test_a_crash_longer_than_the_lease_is_a_failover(pair: Pair) -> None:
    """R-F3: the address leaves by itself before the backup has it."""
    pair.elect()
    before = pair.one.record()
    assert before is not None
    pair.one.kill()
    overlap = False
    deadline = time.monotonic() + 10
    while not pair.two.has(VIP):
        assert time.monotonic() < deadline
        time.sleep(0.02)
        overlap = overlap or (pair.one.has(VIP) and pair.two.has(VIP))
    assert not pair.one.has(VIP)
    assert not overlap
    pair.one.start()
    wait_for("one started as backup", lambda: pair.one.state() == "BACKUP")
    after = pair.one.record()
    assert after is not None
    assert after.life == before.life
    assert after.transitions == before.transitions + 1
    assert after.cause.startswith("started; not resumed as master: its lease ran out")


def test_frozen_master_steps_down_before_it_sends(pair: Pair) -> None:
    """R-F17: after SIGCONT the first thing is the step down."""
    pair.elect()
    pair.one.signal(signal.SIGSTOP)
    wait_for("two has the address", lambda: pair.two.has(VIP))
    assert not pair.one.has(VIP)
    continued_at = time.time()
    pair.one.signal(signal.SIGCONT)
    wait_for("one stepped down", lambda: pair.one.state() == "BACKUP")
    record = pair.one.record()
    assert record is not None
    assert record.cause.startswith("this process was held up: its last advert is")
    # It has a higher priority and takes over again, a whole master down interval later and not before.
    wait_for("one is master again", lambda: pair.one.has(VIP))
    first_at, _ = pair.wire.adverts(ONE, since=continued_at)[0]
    assert first_at - continued_at > 3.2
