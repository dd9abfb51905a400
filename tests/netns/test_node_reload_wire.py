"""A reload touches nobody whom it does not concern: what is on the wire while a long file is read."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest
from node_harness import INTERFACE, Node, configuration, eventually, needs_namespaces, node, wire

from keepbus.contracts.vrrp import Instance

pytestmark = needs_namespaces

INTERVAL_S, LEASE_S = 0.1, 0.2
REAL_SERVERS = 20_000
_PER_SERVICE = 200


def virtual_servers(weight: int) -> str:
    """All of them, of one weight."""
    blocks = []
    for number in range(REAL_SERVERS // _PER_SERVICE):
        servers = "\n".join(
            f"    real_server 10.{number}.0.{host} 80 {{\n        weight {weight}\n    }}"
            for host in range(1, _PER_SERVICE + 1)
        )
        blocks.append(
            f"virtual_server 192.0.2.{number + 1} 80 {{\n    lvs_sched rr\n    protocol TCP\n{servers}\n}}"
        )
    return "\n".join(blocks)


@pytest.fixture
def namespaces() -> Iterator[list[str]]:
    with wire() as names:
        yield names


def adverts(text: str) -> list[float]:
    """Moments of all that tcpdump wrote."""
    return [float(line.split()[0]) for line in text.splitlines() if "VRRPv3, Advertisement" in line]


def instance(made: Node) -> Instance:
    body = made.hear("state/vrrp/instance/", lambda m: m.body.state == "MASTER", 10).body
    assert isinstance(body, Instance)
    return body


def test_an_untouched_instance_sees_nothing_of_a_reload_with_20_000_real_servers(
    namespaces: list[str],
) -> None:
    """Two of them, one that brings all and one that changes all. No advert is early, which one that a reload
    sent would be, and none is later than the lease, after which the master would have stepped down."""
    plain = configuration(200, advert_int=f"{INTERVAL_S}")
    with node(namespaces[0], plain) as made:
        before = instance(made)
        capture = subprocess.Popen(
            ["ip", "netns", "exec", namespaces[1],
             "tcpdump", "-l", "-n", "-tt", "--immediate-mode", "-i", INTERFACE, "ip proto 112"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        try:
            for weight in (1, 2):
                made.file.write_text(f"{plain}\n{virtual_servers(weight)}\n", encoding="utf-8")
                done = subprocess.run(
                    made.command("reload"), capture_output=True, text=True, timeout=60, check=False
                )
                assert "error" not in done.stderr
                wanted = str(weight + 1)
                eventually(
                    "vrrp runs the generation",
                    lambda wanted=wanted: (made.run_dir / "config" / "current").resolve().name == wanted,
                    30,
                )
                made.hear("state/vrrp/service", lambda m, wanted=wanted: str(m.body.generation) == wanted, 30)
            time.sleep(0.5)
        finally:
            capture.terminate()
            output, _ = capture.communicate(timeout=5)
        after = instance(made)
    assert (after.life, after.transitions, after.since_ns) == (
        before.life, before.transitions, before.since_ns,
    )  # fmt: skip
    gaps_s = [later - earlier for earlier, later in pairwise(adverts(output))]
    assert len(gaps_s) > 10
    assert min(gaps_s) > INTERVAL_S - (LEASE_S - INTERVAL_S) / 2
    assert max(gaps_s) < LEASE_S
