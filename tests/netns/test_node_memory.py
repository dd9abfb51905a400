"""R-F23: the machine runs out of memory, and the kernel ends the process with the highest score."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from node_harness import (
    SERVICES,
    Node,
    Witness,
    configuration,
    eventually,
    hurt,
    needs_namespaces,
    node,
    wire,
)

pytestmark = needs_namespaces

SPARED = ("vrrp", "vrrp-standby", "watchdog")


def score(made: Node, service: str) -> int:
    """What the kernel chooses by: memory in thousandths of the machine's, and the adjustment."""
    return int(Path(f"/proc/{made.pid(service)}/oom_score").read_text(encoding="ascii"))


def test_r_f23_others_go_before_vrrp_and_that_moves_nothing() -> None:
    with wire() as (d1, d2), node(d1, configuration(200)) as first, Witness(d1, d2) as witness:
        eventually("d1 holds the address", lambda: witness.holders() == {d1}, 20)
        told = first.hear("state/vrrp/instance/", lambda m: m.body.state == "MASTER", 5).body
        eventually("the standby waits", lambda: first.pid("vrrp-standby") > 0, 5)
        scores = {service: score(first, service) for service in (*SERVICES, "vrrp-standby")}
        others = {service: scores[service] for service in scores if service not in SPARED}
        assert max(scores[service] for service in SPARED) < min(others.values())
        victim = max(others, key=lambda service: others[service])
        began = time.monotonic()
        hurt(first, victim, signal.SIGKILL, 10)
        assert witness.longest(0, began) == 0
        after = first.hear("state/vrrp/instance/", lambda _m: True, 5).body
        assert (after.state, after.transitions, after.life) == ("MASTER", told.transitions, told.life)
