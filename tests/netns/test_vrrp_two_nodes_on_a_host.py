"""Two nodes in one network namespace with the same virtual router do not fight for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from keepbus_vrrp.router_locks import RouterLocks
from node_harness import VIP, configuration, eventually, needs_namespaces, node, wire

NAME = f"test{os.getpid()}/IPv4/51"


def addresses(host: str) -> str:
    return subprocess.run(["ip", "-n", host, "address"], check=True, capture_output=True, text=True).stdout


def test_a_name_is_had_by_one_process_and_freed_by_any_death() -> None:
    code = (
        "import sys, time; from keepbus_vrrp.router_locks import RouterLocks; "
        f"locks = RouterLocks(); print(locks.want([{NAME!r}]), flush=True); time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    locks = RouterLocks()
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "()\n"
        assert locks.want([NAME, f"{NAME}b"]) == ((NAME, other.pid),)
        assert locks.want([NAME, f"{NAME}b"]) == ((NAME, other.pid),), "its pid is remembered"
        # A successor asks while its predecessor is still dying.
        other.send_signal(signal.SIGKILL)
        successor = RouterLocks()
        eventually("it is as good as free", lambda: successor.want([NAME]) == (), 5, 0)
        other.wait()
        assert successor.settle() is None
        assert locks.want([NAME]) == ((NAME, os.getpid()),)
        successor.close()
        assert locks.want([NAME]) == ()
    finally:
        locks.close()
        other.kill()
        other.wait()
        other.stdout.close()


@needs_namespaces
def test_the_second_node_stays_out_of_it_until_the_first_is_dead() -> None:
    with wire(1) as (host,), node(host, configuration(200)) as first:
        first.hear("state/vrrp/instance/", lambda m: m.body.holds_addresses, 10)
        with node(host, configuration(100)) as second:
            beat = second.hear("state/vrrp/service", lambda m: m.body.status == "degraded", 10).body
            assert (
                f"process {first.pid('vrrp')} of another node on this host has virtual router" in beat.detail
            )
            # Each would take the address for another program's and remove it.
            listener = first.listen("event/vrrp/")
            time.sleep(1.5)
            assert not listener.receive(repeats=True)
            assert VIP in addresses(host)
            for _ in range(20):
                for pid in first.processes():
                    os.kill(pid, signal.SIGKILL)
                if not first.processes():
                    break
            second.hear("state/vrrp/instance/", lambda m: m.body.holds_addresses, 10)
            eventually("the address is there", lambda: VIP in addresses(host), 2)
