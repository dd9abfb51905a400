"""A hub and a checker as processes of their own, and what they say on the bus."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import zmq

from keepbus.bus.client import Listener
from keepbus.config.model.checker import Check, CheckerSection
from keepbus.config.model.configuration import Configuration
from keepbus.contracts.checker import CheckVerdict
from keepbus.contracts.message import Message
from keepbus.runtime import generation


class Node:
    """A run directory with a hub; `start` adds the checker."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        run_dir.mkdir(parents=True, exist_ok=True)
        self.messages: list[Message] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        self.spawn("hub")
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._listener = Listener(self._context, run_dir, ("state/checker/", "event/checker/"))
        self.checker: subprocess.Popen[bytes]

    def configure(self, checks: Sequence[Check]) -> CheckerSection:
        """Write a generation."""
        configuration = Configuration(checker=CheckerSection(checks=tuple(checks)))
        generation.write(self.run_dir, configuration, self.run_dir / "keepalived.conf")
        return configuration.checker

    def start(self, checks: Sequence[Check] | None = None, *, through: Sequence[str] = ()) -> None:
        """Start the checker, with these checks or those it had; through: a command before its own."""
        if checks is not None:
            self.configure(checks)
        self.checker = self.spawn("checker", through)

    def reload(self, checks: Sequence[Check]) -> None:
        """Write a generation and send SIGHUP."""
        self.configure(checks)
        self.checker.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        """SIGKILL for the checker."""
        self.checker.kill()
        self.checker.wait()

    def wait(self, condition: Callable[[], bool], *, seconds: float = 15) -> None:
        """Listen until the condition holds; fails when it does not in time."""
        deadline = time.monotonic() + seconds
        while True:
            self.messages += self._listener.receive()
            if condition():
                return
            assert time.monotonic() < deadline, f"not in {seconds} s; last: {self.messages[-5:]}"
            assert self.checker.poll() is None, f"checker ended with {self.checker.returncode}"
            time.sleep(0.02)

    def listen(self, *, seconds: float) -> None:
        """Listen so long."""
        end = time.monotonic() + seconds
        self.wait(lambda: time.monotonic() > end, seconds=seconds + 10)

    def bodies(self, noun: str, check: str = "") -> list[Any]:
        """Bodies of the messages with this noun so far, in order; None stands for a withdrawal."""
        suffix = f"/{check}" if check else ""
        return [
            message.body
            for message in self.messages
            if message.topic.split("/")[2] == noun and message.topic.endswith(suffix)
        ]

    def verdict(self, check: str) -> CheckVerdict | None:
        """The last one told of a check."""
        told = self.bodies("verdict", check)
        return told[-1] if told else None

    def memory_kib(self) -> int:
        """Resident memory of the checker at its highest."""
        status = Path(f"/proc/{self.checker.pid}/status").read_text(encoding="ascii")
        return int(status.split("VmHWM:")[1].split()[0])

    def close(self) -> None:
        """End all processes."""
        for process in reversed(self._processes):
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(5)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        self._listener.close()
        self._context.term()

    def spawn(
        self, service: str, through: Sequence[str] = (), options: Sequence[str] = ()
    ) -> subprocess.Popen[bytes]:
        """A service of this node."""
        command = [
            sys.executable,
            "-m",
            f"keepbus_{service}",
            "-r",
            str(self.run_dir),
            "--log-level",
            "warning",
        ]
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        process = subprocess.Popen([*through, *command, *options], env=environment)
        self._processes.append(process)
        return process
