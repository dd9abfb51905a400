"""Network namespaces joined by veth pairs, for tests and benchmarks that need real sockets. Needs root.

Everything made is removed by `close`, processes first, also when the test failed.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

_numbers = itertools.count(1)
_PATIENCE_S = 5.0


def missing() -> str:
    """Why namespaces cannot be used here, in a sentence; empty when they can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    try:
        probe = subprocess.run(["ip", "netns", "list"], capture_output=True, check=False)
    except FileNotFoundError:
        return "the ip command is missing; install iproute2"
    return "" if probe.returncode == 0 else "this kernel gives no network namespaces"


def remove(namespace: str) -> None:
    """Remove a namespace that the caller made, and kill what still runs in it; none there is as good."""
    shown = subprocess.run(["ip", "netns", "pids", namespace], check=False, capture_output=True, text=True)
    for pid in shown.stdout.split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    subprocess.run(["ip", "netns", "delete", namespace], check=False, capture_output=True)


class Namespaces:
    """A set of namespaces and the processes in them."""

    def __init__(self, prefix: str) -> None:
        """prefix makes the names unique together with the process id."""
        self._prefix = f"{prefix}{os.getpid()}-{next(_numbers)}"
        self._names: list[str] = []
        self._processes: list[subprocess.Popen[Any]] = []

    def __enter__(self) -> Namespaces:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add(self, name: str) -> str:
        """Make a namespace with its loopback up; its full name."""
        full = f"{self._prefix}-{name}"
        self._ip("netns", "add", full)
        self._names.append(full)
        self.run(full, "ip", "link", "set", "lo", "up")
        return full

    def bridge(self, hub: str, interface: str, *ends: tuple[str, str, str]) -> None:
        """Join namespaces by a bridge in namespace `hub`; an end is namespace, interface, address/prefix."""
        self.run(hub, "ip", "link", "add", interface, "type", "bridge", "mcast_snooping", "0")
        self.run(hub, "ip", "link", "set", interface, "up")
        for number, (namespace, name, address) in enumerate(ends):
            port = f"{interface[:8]}p{number}"
            self._ip(
                "link", "add", name, "netns", namespace, "type", "veth", "peer", "name", port, "netns", hub
            )
            self.run(hub, "ip", "link", "set", port, "master", interface, "up")
            self._up(namespace, name, address)

    def join(self, one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
        """A veth pair; an end is namespace, interface, address/prefix (empty: none)."""
        self._ip(
            "link", "add", one[1], "netns", one[0], "type", "veth",
            "peer", "name", other[1], "netns", other[0],
        )  # fmt: skip
        self._up(*one)
        self._up(*other)

    def run(self, namespace: str, *command: str) -> str:
        """Run a command in a namespace; its standard output. Raises CalledProcessError."""
        return subprocess.run(
            ["ip", "netns", "exec", namespace, *command], check=True, capture_output=True, text=True
        ).stdout

    def start(
        self, namespace: str, command: Sequence[str], output: Path | IO[Any] | int | None = None
    ) -> subprocess.Popen[Any]:
        """Start a process in a namespace; output takes standard output and error."""
        # `ip netns exec` becomes the command by exec, so the pid is the command's.
        line = ["ip", "netns", "exec", namespace, *command]
        if isinstance(output, Path):
            with output.open("ab") as file:
                process = subprocess.Popen(line, stdout=file, stderr=subprocess.STDOUT)
        else:
            process = subprocess.Popen(line, stdout=output, stderr=subprocess.STDOUT if output else None)
        self._processes.append(process)
        return process

    def stop(self, process: subprocess.Popen[Any]) -> int:
        """SIGTERM, and SIGKILL if that does not help; the exit status."""
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            try:
                process.wait(_PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
        return process.wait()

    def close(self) -> None:
        """Stop all processes and remove all namespaces."""
        for process in reversed(self._processes):
            self.stop(process)
        for name in self._names:
            remove(name)
        self._names.clear()

    def _up(self, namespace: str, interface: str, address: str) -> None:
        # Without IPv6 nothing but what the test sends is on the wire.
        self.run(namespace, "sysctl", "-qw", f"net.ipv6.conf.{interface}.disable_ipv6=1")
        if address:
            self.run(namespace, "ip", "address", "add", address, "dev", interface)
        self.run(namespace, "ip", "link", "set", interface, "up")

    @staticmethod
    def _ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True, text=True)
