"""A whole node with several checkers: each is waited for and watched like every service."""

from __future__ import annotations

import os
import signal
import subprocess
import time

from node_harness import configuration, hurt, needs_namespaces, node, wire

pytestmark = needs_namespaces


def test_a_further_checker_is_waited_for_and_replaced() -> None:
    with wire(1) as (namespace,), node(namespace, configuration(100), "--checkers", "2") as made:
        reload = made.command("reload")
        assert subprocess.run(reload, check=False, capture_output=True).returncode == 0
        time.sleep(1.5)  # heard at least twice
        os.kill(made.pid("checker-2"), signal.SIGSTOP)
        told = subprocess.Popen(reload, stderr=subprocess.PIPE, text=True)
        assert hurt(made, "checker-2", signal.SIGSTOP, 20)[1] == ["replacement", "return"]
        _, sentence = told.communicate(timeout=10)
        assert "is not confirmed by checker-2 within" in sentence
        assert told.returncode == 1
