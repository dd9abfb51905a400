"""What runs on the demo's hosts: keepbus nodes, web servers, a client that fetches pages."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import zmq

from demo.network import inside
from keepbus.bus.client import Listener
from keepbus.contracts.common import Service
from keepbus.contracts.ipvs import VirtualServer
from keepbus.contracts.vrrp import Instance

_STOP_S = 10.0
_FETCH = """
import http.client, sys
connection = http.client.HTTPConnection(sys.argv[1], 80, timeout=2)
connection.request("GET", "/index.html")
print(connection.getresponse().read().decode())
"""


class Node:
    """A director: `keepbus up` in its namespace, and what its bus says."""

    def __init__(self, host: str, work: Path) -> None:
        self.host = host
        self.run_dir = work / host
        self._log = work / f"{host}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._listener: Listener | None = None
        self.instances: dict[str, Instance] = {}
        self.virtual_servers: dict[str, VirtualServer] = {}
        self.services: dict[str, Service] = {}

    def command(self, configuration: Path, *options: str) -> tuple[str, ...]:
        """What a user types on this host."""
        return ("keepbus", "up", "-f", str(configuration), "-r", str(self.run_dir), *options)

    def start(self, configuration: Path, *options: str) -> None:
        """Start the node; it is up when its states come."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                inside(
                    self.host, sys.executable, "-m", "keepbus.cli", *self.command(configuration, *options)[1:]
                ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": ""},
            )
        self.instances.clear()
        self.virtual_servers.clear()
        self.services.clear()
        self._listener = Listener(self._context, self.run_dir, ["state/"])

    def stop(self) -> int:
        """Stop the node as its user does; the exit status."""
        if self._process is None:
            return 0
        self._process.send_signal(signal.SIGTERM)
        try:
            status = self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        self._process = None
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        return status

    def look(self) -> None:
        """Take in what the bus told since the last look."""
        if self._listener is None:
            return
        for message in self._listener.receive():
            match message.body:
                case Instance() as instance:
                    self.instances[instance.name] = instance
                case VirtualServer() as virtual_server:
                    self.virtual_servers[virtual_server.name] = virtual_server
                case Service() as service:
                    self.services[message.header.source] = service

    def instance(self, name: str) -> Instance | None:
        """An instance as this node's vrrp last told it."""
        self.look()
        return self.instances.get(name)

    def state(self, name: str) -> str:
        """The instance's state; empty before the first."""
        instance = self.instance(name)
        return instance.state if instance is not None else ""

    def cause(self, name: str) -> str:
        """Why the instance is in its state."""
        instance = self.instance(name)
        return instance.cause if instance is not None else ""

    def log(self) -> str:
        """The last lines of the node's output."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-15:])


class WebServer:
    """A web server that can be killed and started again."""

    def __init__(self, host: str, name: str) -> None:
        self._command = inside(host, sys.executable, "-m", "demo.web", name)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start serving."""
        self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL)

    def kill(self) -> None:
        """End it as a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def fetch(host: str, address: str) -> str:
    """The page that a host gets from an address, the reason in brackets when it gets none."""
    done = subprocess.run(
        inside(host, sys.executable, "-S", "-c", _FETCH, address),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout.strip() if done.returncode == 0 else f"({done.stderr.strip().splitlines()[-1]})"
