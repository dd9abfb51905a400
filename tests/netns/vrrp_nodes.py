"""Routers in network namespaces: keepbus-vrrp without a hub, and the distribution's keepalived."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from keepbus_vrrp.memory import Memory
from keepbus_vrrp.record import Record, load

from keepbus.config.model.configuration import Configuration
from keepbus.config.model.vrrp import SyncGroup, VirtualAddress, VrrpInstance, VrrpSection
from keepbus.runtime import generation
from keepbus.testing.namespaces import Namespaces

KEEPBUS_VRRP = Path(sys.executable).parent / "keepbus-vrrp"
KEEPALIVED = shutil.which("keepalived") or ""


def wait_for(what: str, condition: Callable[[], Any], patience_s: float = 15.0) -> Any:
    """Poll until the condition is true; its value."""
    deadline = time.monotonic() + patience_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {patience_s} s for: {what}"
        time.sleep(0.02)
    return value


def instance(interface: str, *addresses: str, **fields: Any) -> VrrpInstance:
    """An instance whose addresses are on its own interface."""
    virtual = tuple(
        VirtualAddress(address=address.split("/")[0], prefix=int(address.split("/")[1]), interface=interface)
        for address in addresses
    )
    return VrrpInstance(
        **{
            "name": "VI_1",
            "interface": interface,
            "virtual_router_id": 51,
            "virtual_addresses": virtual,
            **fields,
        }
    )


class Wire:
    """Everything that passes an interface, as tcpdump writes it."""

    def __init__(self, namespaces: Namespaces, namespace: str, interface: str, path: Path) -> None:
        self._path = path
        command = ["tcpdump", "-l", "-tt", "-n", "-e", "--immediate-mode", "-i", interface]
        self._process = namespaces.start(namespace, command, path)
        wait_for("tcpdump", lambda: path.exists() and "listening" in path.read_text(encoding="utf-8"))

    def lines(self, *words: str, since: float = 0.0) -> list[str]:
        """Lines with all of the words, from the wall clock time `since` on."""
        return [
            line
            for line in self._path.read_text(encoding="utf-8", errors="replace").splitlines()
            if line[:1].isdigit() and all(word in line for word in words) and float(line.split()[0]) >= since
        ]

    def adverts(self, source: str, since: float = 0.0) -> list[tuple[float, int]]:
        """Time and priority of the adverts of a router."""
        found = []
        for line in self.lines(f"{source} > 224.0.0.18", "Advertisement", since=since):
            priority = re.search(r"prio (\d+)", line)
            assert priority is not None
            found.append((float(line.split()[0]), int(priority[1])))
        return found

    def announcements(self, address: str, since: float = 0.0) -> int:
        """How many gratuitous ARP requests or unsolicited neighbour advertisements for an address."""
        if ":" in address:
            return len(self.lines("> ff02::1:", "neighbor advertisement", f"tgt is {address},", since=since))
        return len(self.lines("ARP", f"who-has {address}", f"tell {address}", since=since))


class Router:
    """One namespace with a VRRP process."""

    def __init__(self, namespaces: Namespaces, namespace: str, interface: str, directory: Path) -> None:
        self.namespaces = namespaces
        self.namespace = namespace
        self.interface = interface
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.process: subprocess.Popen[Any] | None = None
        self.log = directory / "output"

    def has(self, address: str) -> bool:
        """True when the kernel has the address."""
        shown = self.namespaces.run(self.namespace, "ip", "address", "show", "dev", self.interface)
        return f"inet {address}/" in shown or f"inet6 {address}/" in shown

    def reaches(self, address: str) -> bool:
        """True when somebody answers a ping to the address on the interface."""
        command = ["ping", "-c", "1", "-W", "1", "-I", self.interface, address]
        line = ["ip", "netns", "exec", self.namespace, *command]
        return subprocess.run(line, capture_output=True, check=False).returncode == 0

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process."""
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> int:
        """End the process regularly; its exit status."""
        assert self.process is not None
        return self.namespaces.stop(self.process)

    def text(self) -> str:
        """What the process wrote."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""


class Keepbus(Router):
    """keepbus-vrrp alone: there is no bus, and that must not matter."""

    def configure(
        self,
        *instances: VrrpInstance,
        address_lease: bool = True,
        sync_groups: tuple[SyncGroup, ...] = (),
    ) -> None:
        """Write the next generation."""
        section = VrrpSection(instances=instances, sync_groups=sync_groups, address_lease=address_lease)
        generation.write(self.directory, Configuration(vrrp=section), Path("test"))

    def start(self, *options: str) -> None:
        """Start it with the current generation."""
        command = [str(KEEPBUS_VRRP), "-r", str(self.directory), *options]
        self.process = self.namespaces.start(self.namespace, command, self.log)

    def reload(self, *instances: VrrpInstance) -> None:
        """Write the next generation and tell the process."""
        self.configure(*instances)
        self.signal(signal.SIGHUP)

    def reload_current(self) -> None:
        """Tell the process of a generation that was written."""
        self.signal(signal.SIGHUP)

    def kill(self) -> None:
        """kill -9, and wait until it is dead."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def record(self, name: str = "/IPv4/51") -> Record | None:
        """What the instance left in memory."""
        if not (self.directory / "vrrp" / "memory").exists():
            return None
        memory = Memory(self.directory / "vrrp" / "memory")
        try:
            for text, _, _, _ in memory.read():
                record = load(text)
                if record is not None and record.key.endswith(name):
                    return record
        finally:
            memory.close()
        return None

    def state(self) -> str:
        """The instance's state, as it would be resumed."""
        record = self.record()
        return "" if record is None else str(record.state)


class Keepalived(Router):
    """The distribution's keepalived, VRRP only."""

    def configure(self, *blocks: str, global_defs: Sequence[str] = ()) -> None:
        """Write keepalived.conf."""
        lines = "\n".join(("global_defs {", "  vrrp_notify_priority_changes no", *global_defs, "}"))
        lines = lines.replace("  vrrp_notify_priority_changes no\n", "")
        (self.directory / "keepalived.conf").write_text("\n".join((lines, *blocks)) + "\n", encoding="utf-8")

    def start(self) -> None:
        """Start it in the foreground."""
        directory = self.directory
        self.process = self.namespaces.start(
            self.namespace,
            [
                KEEPALIVED, "--dont-fork", "--log-console", "--log-detail", "--vrrp",
                "-f", str(directory / "keepalived.conf"),
                "-p", str(directory / "pid"), "-r", str(directory / "vrrp.pid"),
            ],
            self.log,
        )  # fmt: skip

    def vrrp_pid(self) -> int:
        """Of the VRRP child."""
        path = self.directory / "vrrp.pid"
        wait_for("keepalived's VRRP process", path.exists)
        return int(path.read_text(encoding="ascii") or 0)  # empty while another child writes it

    def statistics(self) -> dict[str, int]:
        """Counters of its first instance, by the words of its own report."""
        # keepalived writes into the file system's /tmp; one at a time, and not older than the request.
        path = Path("/tmp/keepalived.stats")
        path.unlink(missing_ok=True)
        subprocess.run(["kill", "-USR2", str(self.vrrp_pid())], check=True)
        wait_for("keepalived's statistics", lambda: path.exists() and "Released" in path.read_text())
        time.sleep(0.1)
        found = re.findall(r"^\s+([A-Z][A-Za-z ]+): (\d+)$", path.read_text(), re.MULTILINE)
        path.unlink(missing_ok=True)
        return {name: int(number) for name, number in found}


def vrrp_instance(interface: str, *lines: str, name: str = "VI_1", addresses: Sequence[str] = ()) -> str:
    """A vrrp_instance block for keepalived."""
    return "\n".join(
        (
            f"vrrp_instance {name} {{",
            f"  interface {interface}",
            *(f"  {line}" for line in lines),
            "  virtual_ipaddress {",
            *(f"    {address}" for address in addresses),
            "  }",
            "}",
        )
    )
