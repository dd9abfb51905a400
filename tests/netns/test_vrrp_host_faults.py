"""What the sockets of a router hear and say, and a host that is short of processor time or files: on real
interfaces (K1, K2, S5, S7, S9, R-F1, R-F41, R-F42, R-F43)."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from vrrp_nodes import Keepbus, Wire, instance, wait_for

from keepbus.contracts.vrrp import VrrpState
from keepbus.runtime import deployment, urgency
from keepbus.testing import namespaces
from keepbus.testing.namespaces import Namespaces

pytestmark = pytest.mark.skipif(bool(namespaces.missing()), reason=namespaces.missing())

VIP = "10.9.0.100"
ONE, TWO, STRANGER = "10.9.0.1", "10.9.0.2", "10.9.1.2"
FAST = {"version": 3, "advert_interval_us": 100_000}
_SEND = """
import socket, sys
from keepbus_vrrp import ipv4, packet
source, group = ipv4.pack(sys.argv[2]), ipv4.pack("224.0.0.18")
message = packet.encode(
    version=2, virtual_router_id=51, priority=254, interval_us=1_000_000,
    addresses=(ipv4.pack("10.9.0.100"),), source=source, destination=group,
)
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
raw.setsockopt(socket.SOL_SOCKET, 25, sys.argv[1].encode())
raw.sendto(ipv4.datagram(source, group, 255, message), ("224.0.0.18", 0))
"""

_ASK = """
import socket, struct, sys
asked = socket.inet_aton(sys.argv[1])
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
wire.bind(("eth0", 0x0806))
own = wire.getsockname()[4]
sender = socket.inet_aton(sys.argv[2])
wire.send(b"\\xff" * 6 + own + struct.pack("!HHHBBH", 0x0806, 1, 0x0800, 6, 4, 1)
          + own + sender + bytes(6) + asked)
wire.settimeout(0.5)
try:
    while True:
        frame = wire.recv(100)
        if frame[20:22] == b"\\0\\2" and frame[28:32] == asked:
            print(frame[22:28].hex(":"))
            break
except TimeoutError:
    pass
"""


@pytest.fixture
def spaces() -> Iterator[Namespaces]:
    with Namespaces("vrh") as spaces:
        yield spaces


def fast_pair(spaces: Namespaces, directory: Path) -> tuple[Keepbus, Keepbus, Wire]:
    """Master and backup at 0.1 s, and the wire at the backup."""
    names = spaces.add("one"), spaces.add("two")
    spaces.join((names[0], "eth0", f"{ONE}/24"), (names[1], "eth0", f"{TWO}/24"))
    one, two = (Keepbus(spaces, name, "eth0", directory / name[-3:]) for name in names)
    wire = Wire(spaces, names[1], "eth0", directory / "wire")
    for router, priority in ((one, 200), (two, 100)):
        router.configure(instance("eth0", f"{VIP}/24", priority=priority, **FAST))
    one.start()
    wait_for("one is master", lambda: one.has(VIP))
    two.start()
    wait_for("two is backup", lambda: two.state() == "BACKUP")
    return one, two, wire


def transitions(*routers: Keepbus) -> list[int]:
    records = [router.record() for router in routers]
    return [record.transitions for record in records if record is not None]


def test_s5_s7_s9_an_instance_has_its_own_interface_only(spaces: Namespaces, tmp_path: Path) -> None:
    """It hears nothing of another one and nothing of itself, and says nothing there, whatever routes say."""
    router, peer, stranger = spaces.add("one"), spaces.add("two"), spaces.add("str")
    spaces.join((router, "eth0", f"{ONE}/24"), (peer, "eth0", f"{TWO}/24"))
    spaces.join((router, "eth1", "10.9.1.1/24"), (stranger, "eth0", f"{STRANGER}/24"))
    spaces.run(router, "ip", "route", "add", "224.0.0.0/4", "dev", "eth1")
    elsewhere = Wire(spaces, stranger, "eth0", tmp_path / "wire")
    one = Keepbus(spaces, router, "eth0", tmp_path / "one")
    one.configure(instance("eth0", f"{VIP}/24", priority=200))
    one.start()
    wait_for("master", lambda: one.has(VIP))

    def advertise(namespace: str, source: str) -> None:
        command = ["ip", "netns", "exec", namespace, sys.executable, "-c", _SEND, "eth0", source]
        subprocess.run(command, check=True)

    for _ in range(3):
        advertise(stranger, STRANGER)
    wait_for("they are on the other wire", lambda: len(elsewhere.adverts(STRANGER)) == 3)
    time.sleep(1.2)  # an advert of its own at least
    assert one.state() == "MASTER"
    assert not elsewhere.adverts(ONE)
    advertise(peer, TWO)
    wait_for("the same on its own wire counts", lambda: one.state() == "BACKUP")
    record = one.record()
    assert record is not None
    assert record.dropped == {}


def test_k1_k2_the_master_answers_for_the_address_and_the_backup_does_not(
    spaces: Namespaces, tmp_path: Path
) -> None:
    """ARP, asked from the other one's namespace; who asks says who he is, not that he has the address."""
    one, two, _ = fast_pair(spaces, tmp_path)

    def who_has(asked_from: Keepbus, source: str) -> str:
        command = ["ip", "netns", "exec", asked_from.namespace, sys.executable, "-c", _ASK, VIP, source]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    assert who_has(two, TWO) in spaces.run(one.namespace, "ip", "link", "show", "eth0")
    assert who_has(two, TWO) != ""
    assert who_has(one, ONE) == ""
    one.kill()
    wait_for("two has the address", lambda: two.has(VIP))
    assert who_has(one, ONE) in spaces.run(two.namespace, "ip", "link", "show", "eth0")
    assert who_has(one, ONE) != ""


def test_r_f1_a_backup_that_is_killed_is_missed_by_nobody(spaces: Namespaces, tmp_path: Path) -> None:
    one, two, wire = fast_pair(spaces, tmp_path)
    before = transitions(one)
    life = two.record()
    two.kill()
    two.start()
    wait_for("it goes on", lambda: (record := two.record()) is not None and record != life)
    time.sleep(0.5)
    after = two.record()
    assert life is not None
    assert after is not None
    assert (after.life, after.state) == (life.life, VrrpState.BACKUP)
    assert transitions(one) == before
    assert not wire.adverts(TWO)


@pytest.mark.skipif(not deployment.can_be_urgent(), reason="no real-time class here: nothing was tried")
def test_r_f41_hungry_processes_move_nothing(spaces: Namespaces, tmp_path: Path) -> None:
    """Four for each processor, of ordinary priority; vrrp as a node starts it, in the real-time class."""
    one, two, wire = fast_pair(spaces, tmp_path)
    for router in (one, two):
        assert router.process is not None
        urgent = os.sched_param(urgency.STARTING_PRIORITY)
        os.sched_setscheduler(router.process.pid, os.SCHED_RR, urgent)
    before = transitions(one, two)
    hungry = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(4 * (os.cpu_count() or 1))
    ]
    try:
        began_at = time.time()
        time.sleep(5)
        ended_at = time.time()
    finally:
        for process in hungry:
            process.kill()
            process.wait()
    moments = [at for at, _ in wire.adverts(ONE, since=began_at) if at < ended_at]
    late_s = sorted(later - earlier - 0.1 for earlier, later in pairwise(moments))
    assert len(late_s) > 40
    assert late_s[len(late_s) * 99 // 100 - 1] < 0.05
    assert transitions(one, two) == before


def test_r_f43_at_the_limit_of_open_files_it_lives_and_recovers(spaces: Namespaces, tmp_path: Path) -> None:
    """The interface is deleted and made again while no socket can be opened."""
    one, two, _ = fast_pair(spaces, tmp_path)
    assert one.process is not None
    pid = one.process.pid
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, hard))
    spaces.run(one.namespace, "ip", "link", "delete", "eth0")
    wait_for("one is in FAULT", lambda: one.state() == "FAULT")
    spaces.join((one.namespace, "eth0", f"{ONE}/24"), (two.namespace, "eth0", f"{TWO}/24"))
    wait_for("it says what it lacks", lambda: "Too many open files" in one.text())
    assert one.process.poll() is None
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
    spaces.run(one.namespace, "ip", "address", "add", "10.9.0.3/24", "dev", "eth0")
    wait_for("one is master again", lambda: one.has(VIP) and not two.has(VIP))


def test_r_f42_a_process_that_waits_for_its_pages_again_and_again_moves_nothing(
    spaces: Namespaces, tmp_path: Path
) -> None:
    """Memory is not locked. What swapping does to a process is stillness, here up to 80 of each 100 ms; what
    takes longer than the lease is R-F17."""
    one, two, wire = fast_pair(spaces, tmp_path)
    before = transitions(one, two)
    began_at = time.time()
    for number in range(30):
        one.signal(signal.SIGSTOP)
        time.sleep(0.02 + number % 7 / 100)
        one.signal(signal.SIGCONT)
        time.sleep(0.02)
    ended_at = time.time()
    moments = [at for at, _ in wire.adverts(ONE, since=began_at) if at < ended_at]
    assert len(moments) > (ended_at - began_at) / 0.2, "a lease ended"
    assert max(later - earlier for earlier, later in pairwise(moments)) < 0.3, "the peer was near"
    assert transitions(one, two) == before
