"""`keepbus demote` on two whole nodes: mastership goes by command and comes back by command."""

from __future__ import annotations

import signal
import subprocess
import time

from node_harness import Node, Witness, configuration, eventually, hurt, needs_namespaces, node, wire

pytestmark = needs_namespaces


def demote(made: Node, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        made.command("demote", *words), capture_output=True, text=True, timeout=20, check=False
    )


def test_mastership_moves_by_command_and_outlives_a_crash() -> None:
    with (
        wire() as (d1, d2),
        node(d1, configuration(200)) as first,
        node(d2, configuration(100)) as second,
        Witness(d1, d2) as witness,
    ):
        eventually("d1 alone holds the address", lambda: witness.holders() == {d1}, 20)
        began = time.monotonic()
        done = demote(first, "VI_1")
        assert (done.returncode, done.stdout) == (
            0, "VI_1: demoted: it was MASTER and has released (priority 0)\n",
        )  # fmt: skip
        # Priority 0: the peer waits for its skew time, 0.61 s.
        eventually("d2 has the address", lambda: witness.holders() == {d2}, 3)
        assert witness.longest(2, began) == 0
        hurt(first, "vrrp", signal.SIGKILL, 8)
        told = first.hear("state/vrrp/instance/", lambda m: m.body.demoted, 5)
        assert (told.body.effective_priority, told.body.state) == (1, "BACKUP")
        status = subprocess.run(
            first.command("status"), capture_output=True, text=True, timeout=20, check=False
        )
        assert "demoted: stays behind everybody else until `keepbus demote --undo VI_1`" in status.stdout
        assert witness.holders() == {d2}
        assert demote(first, "--undo", "VI_1").returncode == 0
        eventually("it preempts again", lambda: witness.holders() == {d1}, 8)
        unknown = demote(second, "VI_7")
        assert (unknown.returncode, unknown.stderr) == (
            1, "keepbus: there is no vrrp_instance VI_7 on this node; it has VI_1\n",
        )  # fmt: skip
