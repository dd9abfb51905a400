"""A node of the soak: `keepbus up` in its namespace, its file, its scripts, its processes."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

from demo.network import inside, run
from soak.evidence import Size
from soak.routers import Variant, text

SERVICES = ("hub", "audit", "notify", "ipvs", "checker", "vrrp", "watchdog")
_STOP_S = 15.0
_RUN_DIR_SIZE = "24m"
_SCRIPTS = {
    # Appends in one write, so that lines of scripts that run side by side stay whole.
    "notify.sh": '#!/bin/sh\nread PAUSE < {work}/pause\nsleep "$PAUSE"\necho "$@" >> {work}/told\n',
    "fit.sh": "#!/bin/sh\nread STATUS < {work}/fit\nexit $STATUS\n",
}
_CRIES = ("Traceback (most recent call last)", "Fatal Python error", "Assertion", "invariant", "core dumped")


class Node:
    """One director."""

    def __init__(self, host: str, number: int, nodes: int, work: Path) -> None:
        self.name = host
        self.work = work / host
        self.run_dir = self.work / "run"
        self.file = self.work / "keepalived.conf"
        self.output = self.work / "output"
        self.variant = Variant()
        self._number, self._nodes = number, nodes
        self._process: subprocess.Popen[bytes] | None = None
        self._read_octets = 0
        self._told_octets = 0
        self.run_dir.mkdir(parents=True)
        self.work.chmod(0o755)
        run("mount", "-t", "tmpfs", "-o", f"size={_RUN_DIR_SIZE},mode=755", "tmpfs", str(self.run_dir))
        for name, script in _SCRIPTS.items():
            (self.work / name).write_text(script.replace("{work}", str(self.work)))
            (self.work / name).chmod(0o755)
        for name, content in {"fit": "0", "load": "0", "pause": "0", "told": None}.items():
            (self.work / name).write_text(f"{content}\n" if content else "")
        self.write(Variant())

    @property
    def up(self) -> bool:
        """True while `keepbus up` runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of `keepbus up`."""
        return self._process.pid if self._process is not None else 0

    def write(self, variant: Variant) -> None:
        """Write its file."""
        self.variant = variant
        self.file.write_text(text(self.work, self._number, self._nodes, variant), encoding="utf-8")

    def start(self, *prefix: str) -> None:
        """Start it; prefix is put before the command."""
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                inside(self.name, *prefix, *self.command("up", "-f", str(self.file), "--node", self.name),
                       "--ipvs-driver", "nftables", "--log-level", "info"),
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip

    def stop(self) -> int:
        """Stop it as its user does; its exit status."""
        if self._process is None:
            return 0
        self._process.terminate()
        try:
            return self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            return -1

    def command(self, *words: str) -> tuple[str, ...]:
        """A keepbus command of this node."""
        return (sys.executable, "-m", "keepbus.cli", *words, "-r", str(self.run_dir))

    def keepbus(self, *words: str) -> tuple[int, str]:
        """Run a keepbus command; its exit status and output."""
        done = subprocess.run(
            inside(self.name, *self.command(*words)),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=60,
        )  # fmt: skip
        return done.returncode, done.stdout

    def service(self, name: str) -> int:
        """Process id of a service, from its lock; 0 when there is none."""
        try:
            return int((self.run_dir / "locks" / name).read_text())
        except (OSError, ValueError):
            return 0

    def supervisord(self) -> int:
        """Process id of supervisord; 0 when there is none."""
        try:
            return int((self.run_dir / "supervisor" / "pid").read_text())
        except (OSError, ValueError):
            return 0

    def foreground(self) -> int:
        """Process id of `keepbus up`, which may run under a command that was put before it."""
        return next((pid for pid, what in self.processes().items() if what == "keepbus.cli.foreground"), 0)

    def processes(self) -> dict[int, str]:
        """Every process that names its run directory, by what it is."""
        found = {}
        wanted = f"{self.run_dir}".encode()
        for entry in os.listdir("/proc"):
            if entry.isdecimal():
                with contextlib.suppress(OSError):
                    words = Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0")
                    zombie = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
                    if not zombie and any(wanted in word for word in words):
                        found[int(entry)] = _what(words)
        return found

    def census(self) -> Counter[str]:
        """How many processes of each kind there are."""
        return Counter(self.processes().values())

    def sizes(self) -> dict[str, Size]:
        """What each service's processes take; the largest of a kind."""
        found: dict[str, Size] = {}
        for pid, what in self.processes().items():
            with contextlib.suppress(OSError, ValueError, IndexError):
                status = Path(f"/proc/{pid}/status").read_text()
                kibibytes = int(status.split("VmRSS:")[1].split()[0])
                size = Size(kibibytes, len(os.listdir(f"/proc/{pid}/fd")))
                name = f"{self.name} {what}"
                found[name] = max(size, found.get(name, size), key=lambda each: each.kibibytes)
        return found

    def signal(self, number: signal.Signals, *pids: int) -> None:
        """Send it to those of the processes that still are."""
        for pid in pids:
            if pid > 0:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)

    def cries(self) -> list[str]:
        """What of its output since the last call should not be in a log."""
        text_of_round, self._read_octets = _tail(self.output, self._read_octets)
        lines = text_of_round.splitlines()
        return [
            f"{self.name}: {_outcry(lines[at:])}"
            for at, line in enumerate(lines)
            if any(cry in line for cry in _CRIES)
        ]

    def told(self, *, peek: bool = False) -> list[tuple[str, str]]:
        """Names and states that its notify script got since the last call that was not a peek."""
        new, octets = _tail(self.work / "told", self._told_octets)
        if not peek:
            self._told_octets = octets
        lines = [line.split() for line in new.splitlines()]
        return [(line[1] if line[0] == "INSTANCE" else " ".join(line[:2]), line[2]) for line in lines]

    def set(self, name: str, value: object) -> None:
        """Write one of the files that its scripts and trackers read: fit, load, pause."""
        (self.work / name).write_text(f"{value}\n")

    def free_disk(self) -> int:
        """Octets that are left where its run directory is."""
        return shutil.disk_usage(self.run_dir).free


def _tail(path: Path, octets: int) -> tuple[str, int]:
    data = path.read_bytes() if path.exists() else b""
    return data[octets:].decode(errors="replace"), len(data)


def _outcry(lines: list[str]) -> str:
    """A line of a log; of a traceback its last line, and from where."""
    if not lines[0].startswith("Traceback"):
        return lines[0]
    end = next((at for at, line in enumerate(lines) if at and not line.startswith(" ")), len(lines) - 1)
    places = [line.strip() for line in lines[:end] if line.startswith("  File")]
    return " | ".join([lines[end], *reversed(places[-3:])])


def _what(words: list[bytes]) -> str:
    for before, word in itertools.pairwise(words):
        if before == b"-m":
            name = word.decode(errors="replace")
            if name == "keepbus.cli":
                return f"keepbus {words[words.index(word) + 1].decode(errors='replace')}"
            return name
    return words[0].decode(errors="replace")
