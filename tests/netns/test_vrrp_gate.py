"""The lease below 1 s: nftables lets an address pass only while adverts leave (R-L3, R-F14, R-F19)."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator

import pytest
from node_harness import INTERFACE, VIP, Node, configuration, eventually, ip, needs_namespaces, node, wire

pytestmark = [
    needs_namespaces,
    pytest.mark.skipif(shutil.which("nft") is None, reason="needs nft to look: the gate was not tried"),
]

LEASE_S = 0.2
SECOND_VIP = "192.0.2.101"


def run_in(namespace: str, *words: str) -> str:
    done = subprocess.run(
        ["ip", "netns", "exec", namespace, *words], capture_output=True, text=True, check=False, timeout=20
    )
    return done.stdout


def answers(namespace: str, address: str = VIP) -> bool:
    """Whether the address answers, ARP included."""
    subprocess.run(
        ["ip", "-n", namespace, "neigh", "flush", "dev", INTERFACE], check=False, capture_output=True
    )
    return " 0 received" not in run_in(namespace, "ping", "-n", "-c", "1", "-W", "0.3", address)


class Pinger:
    """Asks a hundred times a second; when were answers?"""

    def __init__(self, namespace: str) -> None:
        self._process = subprocess.Popen(
            ["ip", "netns", "exec", namespace, "ping", "-n", "-D", "-i", "0.01", VIP],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def stop(self) -> list[float]:
        """Wall clock of every answer."""
        self._process.send_signal(signal.SIGINT)
        output, _ = self._process.communicate(timeout=5)
        return [float(line[1:].split("]")[0]) for line in output.splitlines() if "bytes from" in line]


@contextlib.contextmanager
def gated() -> Iterator[tuple[Node, str]]:
    """A master at 0.1 s, and the namespace of a neighbour."""
    with wire() as (d1, d2), node(d1, configuration(200, advert_int="0.1")) as made:
        eventually("the address answers", lambda: answers(d2), 10)
        yield made, d2


def strike(made: Node, how: signal.Signals) -> list[int]:
    """Every process of the node. Whoever could start a vrrp anew, or whose end a vrrp would hear of and then
    leave in order, is frozen before the first one dies."""
    routers = {made.pid("vrrp-standby"), made.pid("vrrp")}
    victims: list[int] = []
    while fresh := [pid for pid in made.processes() if pid not in routers and pid not in victims]:
        _signal(fresh, signal.SIGSTOP)
        victims += fresh
    # A parent may have started another one just before it was frozen.
    routers |= {made.pid("vrrp-standby"), made.pid("vrrp")}
    victims = [pid for pid in victims if pid not in routers]
    _signal([*routers, *victims], how)
    return [*victims, *routers]


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in filter(None, pids):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_r_f14_r_f19_a_dead_or_frozen_node_falls_silent_within_the_lease(how: signal.Signals) -> None:
    with gated() as (made, neighbour):
        pinger = Pinger(neighbour)
        time.sleep(0.5)
        killed_at = time.time()
        victims = strike(made, how)
        time.sleep(1)
        seen = pinger.stop()
        silent_after_s = max(seen) - killed_at
        print(f"{how.name}: the last answer came {silent_after_s:.3f} s later")
        assert silent_after_s < LEASE_S + 0.1
        assert VIP in run_in(made.namespace, "ip", "address"), "nobody took it away: it is mute"
        assert not answers(neighbour), "no ARP either"
        if how is signal.SIGSTOP:
            # R-F17: backup first; with nobody else on the wire it is master again after its time.
            for pid in victims:
                os.kill(pid, signal.SIGCONT)
            eventually("the address answers again", lambda: answers(neighbour), 8)
            assert "this process was held up" in made.said()


def test_what_a_killed_node_left_is_taken_over_and_an_orderly_stop_leaves_nothing() -> None:
    with gated() as (made, neighbour):
        strike(made, signal.SIGKILL)
        assert made.process is not None
        made.process.wait(5)
        time.sleep(0.5)
        assert "keepbus_" in run_in(made.namespace, "nft", "list", "tables")
        made.output.unlink()
        made.start()
        eventually("the address answers", lambda: answers(neighbour), 10)
        assert made.stop() == 0
        assert "keepbus_" not in run_in(made.namespace, "nft", "list", "tables")
        assert VIP not in run_in(made.namespace, "ip", "address")


def test_a_flush_of_all_tables_is_repaired_with_the_next_advert() -> None:
    with gated() as (made, neighbour):
        run_in(made.namespace, "nft", "flush", "ruleset")
        eventually(
            "the gate is there again",
            lambda: "keepbus_" in run_in(made.namespace, "nft", "list", "tables"), 3,
        )  # fmt: skip
        assert answers(neighbour)
        state = made.hear("state/vrrp/instance/", lambda m: m.body.state == "MASTER", 5).body
        assert state.lease_us == 200_000


def test_a_backup_and_strangers_are_not_touched() -> None:
    """Who holds nothing can still talk to the one who does, and another address on the interface passes."""
    with (
        wire(3) as (d1, d2, d3),
        node(d1, configuration(200, advert_int="0.1")),
        node(d2, configuration(100, advert_int="0.1")),
    ):
        ip("-n", d2, "address", "add", f"{SECOND_VIP}/24", "dev", INTERFACE)
        eventually("the backup reaches the address", lambda: answers(d2), 10)
        assert answers(d3)
        assert answers(d3, SECOND_VIP)


def test_reload_from_a_gate_to_a_lifetime_and_back() -> None:
    with gated() as (made, neighbour):
        pinger = Pinger(neighbour)
        for interval, table in (("1", False), ("0.1", True)):
            made.file.write_text(configuration(200, advert_int=interval), encoding="utf-8")
            done = subprocess.run(
                made.command("reload"), capture_output=True, text=True, check=False, timeout=20
            )
            assert done.returncode == 0, done.stderr
            time.sleep(0.5)
            assert ("keepbus_" in run_in(made.namespace, "nft", "list", "tables")) is table
            assert answers(neighbour)
            lifetime = run_in(made.namespace, "ip", "address", "show", "to", VIP)
            assert ("valid_lft forever" in lifetime) is table
        seen = pinger.stop()
        gap_s = max(after - before for before, after in itertools.pairwise(seen))
        assert gap_s < 0.5
