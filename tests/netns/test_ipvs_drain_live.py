"""`keepbus drain` and `undrain` over a real bus, to a real ipvs process with the dry-run driver."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from keepbus.config.compiler import compile_file
from keepbus.runtime import generation

PATIENCE_S = 20.0
TEXT = """
virtual_server 192.0.2.1 80 {
    lb_algo wrr
    lb_kind NAT
    protocol TCP
    real_server 198.51.100.1 80 {
        weight 3
    }
    real_server 198.51.100.2 80 {
        weight 5
    }
}
virtual_server fwmark 7 {
    lb_algo rr
    lb_kind DR
    real_server 198.51.100.1 80 {
    }
}
"""


class Node:
    """A hub and an ipvs."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self.processes: list[subprocess.Popen[bytes]] = []
        for name in ("bus/speak", "bus/listen", "locks"):
            (run_dir / name).mkdir(parents=True)
        file = run_dir / "keepalived.conf"
        file.write_text(TEXT)
        configuration = compile_file(file).configuration
        assert configuration is not None
        generation.write(run_dir, configuration, file)
        self.start("hub")
        self.ipvs = self.start("ipvs", "--driver", "dry-run")
        self.until(lambda: self.weights() == [3, 5, 1])

    def start(self, name: str, *options: str) -> subprocess.Popen[bytes]:
        command = (sys.executable, "-m", f"keepbus_{name}", "-r", str(self.run_dir), *options)
        with (self.run_dir / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(command, stderr=log, stdin=subprocess.DEVNULL)
        self.processes.append(process)
        return process

    def keepbus(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            (sys.executable, "-m", "keepbus.cli", *arguments, "-r", str(self.run_dir)),
            capture_output=True, text=True, check=False, timeout=PATIENCE_S,
        )  # fmt: skip

    def weights(self) -> list[int]:
        try:
            table = json.loads((self.run_dir / "ipvs" / "dry-run.json").read_text())
        except (OSError, ValueError):
            return []
        return [destination[3] for service in table for destination in service["destinations"]]

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, f"the weights are {self.weights()}"
            time.sleep(0.05)

    def close(self) -> None:
        for process in reversed(self.processes):
            if process.poll() is None:
                process.kill()
            process.wait()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path / "run")
    yield node
    node.close()


def test_drain_is_answered_outlives_kill_9_and_can_be_undone(node: Node) -> None:
    drained = node.keepbus("drain", "198.51.100.1")
    assert (drained.returncode, drained.stderr) == (0, "")
    assert drained.stdout == "198.51.100.1 gets no new connections in [192.0.2.1]:tcp:80, FWM 7\n"
    node.until(lambda: node.weights() == [0, 5, 0])
    node.ipvs.kill()
    node.ipvs.wait()
    node.ipvs = node.start("ipvs", "--driver", "dry-run")
    undrained = node.keepbus("undrain", "198.51.100.1:80", "--vs", "FWM 7")
    assert undrained.stdout == "198.51.100.1:80 gets new connections again in FWM 7\n"
    node.until(lambda: node.weights() == [0, 5, 1])
    status = node.keepbus("status").stdout
    assert "198.51.100.1:80" in status
    assert "drained by an operator" in status


def test_what_is_not_there_is_1_and_nobody_is_2(node: Node) -> None:
    unknown = node.keepbus("drain", "198.51.100.77")
    assert (unknown.returncode, unknown.stderr) == (
        1,
        "keepbus: there is no real server 198.51.100.77 in any virtual server; "
        "`keepbus status` shows those that there are\n",
    )
    node.ipvs.kill()
    silent = node.keepbus("drain", "198.51.100.1")
    assert (silent.returncode, silent.stderr) == (
        2,
        "keepbus: ipvs does not answer; look at `keepbus status`\n",
    )
