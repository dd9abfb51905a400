"""A hub and an audit for the tests of the command line; the other services are played by the test."""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zmq

from keepbus.bus.client import Speaker, listen_address
from keepbus.contracts import vrrp
from keepbus.contracts.common import Service, Status

PATIENCE_S = 20.0
SPEAKERS = ("vrrp", "checker", "ipvs", "notify", "watchdog")


class Stage:
    """A hub and an audit; what the other services say comes from the test."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        run_dir.mkdir()
        self.log = (run_dir / "log.txt").open("wb")
        self.processes: list[subprocess.Popen[bytes]] = []
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.hub = self.start("hub")
        self.until(listen_address(run_dir).exists)
        self.locks = []
        self.speakers = {}
        for name in SPEAKERS:
            lock = (run_dir / "locks" / name).open("w")
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.locks.append(lock)
            self.speakers[name] = Speaker(self.context, run_dir, node="d1", source=name, boot="b1")

    def close(self) -> None:
        for process in reversed(self.processes):
            if process.poll() is None:
                process.kill()
            process.wait()
        for speaker in self.speakers.values():
            speaker.close(0)
        self.context.term()
        for lock in self.locks:
            lock.close()
        self.log.close()

    def start(self, service: str, *options: str) -> subprocess.Popen[bytes]:
        command = (sys.executable, "-m", f"keepbus_{service}", "-r", str(self.run_dir), *options)
        process = subprocess.Popen(command, stderr=self.log, stdin=subprocess.DEVNULL)
        self.processes.append(process)
        return process

    def tap(self, *arguments: str, stdout: Any = subprocess.PIPE) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            (sys.executable, "-m", "keepbus.cli", "tap", "-r", str(self.run_dir), *arguments),
            stdout=stdout, stderr=self.log,
        )  # fmt: skip
        self.processes.append(process)
        return process

    def keepbus(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            (sys.executable, "-m", "keepbus.cli", *arguments, "-r", str(self.run_dir)),
            capture_output=True, text=True, check=False, timeout=PATIENCE_S,
        )  # fmt: skip

    def beat(self, *names: str, status: Status = Status.READY) -> None:
        for name in names or SPEAKERS:
            self.speakers[name].publish(
                Service(
                    pid=os.getpid(), started_ns=1, generation=1, status=status, detail="played", progress=1
                )
            )

    def goes(self, *states: vrrp.VrrpState) -> None:
        steps = (vrrp.VrrpState.INIT, *states)
        for number, (before, after) in enumerate(itertools.pairwise(steps), 1):
            step = vrrp.Transition(
                number=number,
                from_state=before,
                to_state=after,
                at_ns=time.time_ns(),
                cause=f"cause {number}",
            )
            cause = self.speakers["vrrp"].publish(
                vrrp.Transitioned(instance="VI_1", life="l", transition=step)
            )
            self.speakers["vrrp"].publish(
                vrrp.AddressChanged(instance="VI_1", address="10.0.0.9/24", interface="eth0", action="added"),
                cause,
            )
            self.speakers["vrrp"].publish(
                vrrp.Instance(
                    name="VI_1", interface="eth0", family="IPv4", virtual_router_id=1, version=2, life="l",
                    state=after, transitions=number, since_ns=step.at_ns, cause=step.cause, base_priority=100,
                    effective_priority=100, advert_interval_us=1, master_down_interval_us=3,
                    master_address="", master_priority=0, virtual_addresses=(), holds_addresses=True,
                    lease_us=0, history=(step,),
                ),
                cause,
            )  # fmt: skip

    def until(self, condition: Callable[[], Any]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, (self.run_dir / "log.txt").read_text()
            time.sleep(0.01)

    def journal(self) -> list[dict[str, Any]]:
        path = self.run_dir / "audit" / "journal.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def journaled(self, topic: str) -> list[dict[str, Any]]:
        return [line for line in self.journal() if line.get("topic", "").startswith(topic)]
