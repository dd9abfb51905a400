"""The second vrrp: it follows a death, and nothing else."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from node_harness import configuration, hurt, needs_namespaces, node, wire

pytestmark = needs_namespaces


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    with wire(1) as (name,):
        yield name


def test_a_vrrp_that_is_stopped_on_purpose_is_not_followed(namespace: str) -> None:
    # The standby is vrrp by now: supervisord stops its program first, and the other one must not wake up.
    with node(namespace, configuration(100)) as made:
        hurt(made, "vrrp", signal.SIGKILL, 8)
        made.hear("state/vrrp-standby/service", lambda m: m.body.pid != made.pid("vrrp"), 8)
        before = made.said().count("-> BACKUP")
        assert made.stop() == 0
        assert made.processes() == []
        assert made.said().count("-> BACKUP") == before


def test_a_node_without_a_standby(namespace: str) -> None:
    with node(namespace, configuration(100), "--no-standby") as made:
        assert len(made.processes()) == 10
        away_s, _ = hurt(made, "vrrp", signal.SIGKILL, 8)
        assert away_s > 0.05, "a Python process cannot be there sooner"
        # R-F22: a second one does not stand by unless it is told to.
        line = Path(f"/proc/{made.pid('vrrp')}/cmdline").read_text().split("\0")[:-1]
        second = subprocess.run(line, capture_output=True, text=True, timeout=10, check=False)
        assert second.returncode == 75
        assert f"another keepbus-vrrp (pid {made.pid('vrrp')}) runs in {made.run_dir}" in (
            second.stdout + second.stderr
        )


def test_a_reload_reaches_the_standby(namespace: str) -> None:
    with node(namespace, configuration(100)) as made:
        made.file.write_text(configuration(101), encoding="utf-8")
        subprocess.run(made.command("reload"), capture_output=True, timeout=20, check=True)
        made.hear("state/vrrp-standby/service", lambda m: m.body.generation == 2, 5)
        hurt(made, "vrrp", signal.SIGKILL, 8)
        made.hear("state/vrrp/instance/", lambda m: m.body.base_priority == 101, 5)
        assert made.stop() == 0
