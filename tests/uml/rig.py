"""The ipvs machine with its real shell, turned by hand, inside the guest."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from keepbus_ipvs.driver import open_driver
from keepbus_ipvs.effects import Write
from keepbus_ipvs.machine import Machine
from keepbus_ipvs.shell import Shell
from keepbus_ipvs.words import of_command

from keepbus.config import ipvs_drivers
from keepbus.config.compiler import compile_file
from keepbus.config.model.ipvs import IpvsSection
from keepbus.contracts.checker import CheckVerdict, Evidence, Verdict
from keepbus.contracts.message import Header, Message, topic_of
from keepbus.runtime.machine import (
    BusMessage,
    Configured,
    Exit,
    Log,
    Publish,
    Report,
    StopRequested,
    Withdraw,
)

COMMON = (Publish, Withdraw, Report, Log, Exit)


class Rig:
    """One life of the service: a machine, its shell on the kernel's table, and what it did."""

    def __init__(self, run_dir: Path, *, keep_table: bool = False) -> None:
        self.run_dir = run_dir
        self.machine = Machine(ipvs_drivers.unsupported, keep_table=keep_table)
        self.shell = Shell(run_dir, lambda: open_driver("ipvs", run_dir, _no_loop()), print)
        self.written: list[str] = []
        """Every command sent, in ipvsadm's words."""
        self.bodies: list[Any] = []
        self.report = Report
        self._sequence = 0

    def turn(self, *events: Any) -> None:
        """One turn, and those that its answers and what is due at once call for."""
        waiting: Sequence[Any] = events
        while True:
            now_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
            answers: list[Any] = []
            for effect in self.machine.turn(now_ns, waiting):
                answers += self._perform(effect, now_ns)
            wake_at_ns = self.machine.wake_at_ns()
            if not answers and (wake_at_ns is None or wake_at_ns > now_ns):
                return
            waiting = answers

    def configure(self, section: IpvsSection) -> None:
        """Start, or reload."""
        self.turn(Configured(1, section, time.time_ns()))

    def verdict(self, check: str, verdict: Verdict, *, weight_added: int = 0) -> None:
        """What checker would say."""
        self._sequence += 1
        now_ns = time.time_ns()
        body = CheckVerdict(
            check=check, kind="TCP_CHECK", target=check, verdict=verdict, changes=1, since_ns=now_ns,
            probes=1, failures=0, weight_added=weight_added,
            evidence=Evidence(sent="TCP connect", received="…", took_us=1, at_ns=now_ns),
        )  # fmt: skip
        header = Header(1, "node", "checker", "boot", self._sequence, 1, now_ns, now_ns, "")
        self.turn(BusMessage(Message(topic_of(body, "checker"), header, body), now_ns))

    def tell(self, body: Any) -> None:
        """Any other message from the bus."""
        self._sequence += 1
        now_ns = time.time_ns()
        header = Header(1, "node", "test", "boot", self._sequence, 1, now_ns, now_ns, "")
        self.turn(BusMessage(Message(topic_of(body, "test"), header, body), now_ns))

    def stop(self) -> None:
        """SIGTERM."""
        self.turn(StopRequested(time.time_ns()))

    def told(self, kind: type) -> list[Any]:
        """Bodies of one class, in order."""
        return [body for body in self.bodies if type(body) is kind]

    def take_written(self) -> list[str]:
        """Commands since the last call."""
        written, self.written = self.written, []
        return written

    def pass_time(self, until: Callable[[], bool], limit_s: float = 10.0) -> float:
        """Turn when due until the condition holds; the seconds it took."""
        started = time.monotonic()
        while not until():
            assert time.monotonic() - started < limit_s, "did not happen in time"
            time.sleep(0.02)
            self.turn()
        return time.monotonic() - started

    def _perform(self, effect: Any, now_ns: int) -> list[Any]:
        if isinstance(effect, Publish):
            self.bodies.append(effect.body)
        if isinstance(effect, Report):
            self.report = effect
        if isinstance(effect, COMMON):
            return []
        if isinstance(effect, Write):
            self.written += map(of_command, effect.commands)
        return list(self.shell.perform(effect, now_ns) or ())


def compiled(text: str) -> IpvsSection:
    """The ipvs section of a configuration text."""
    path = Path(tempfile.mkdtemp()) / "keepalived.conf"
    path.write_text(text)
    section = compile_file(path, permissive=True).configuration
    assert section is not None
    return section.ipvs


def ipvsadm(*arguments: str) -> str:
    """Run ipvsadm; what it printed."""
    return subprocess.run(["ipvsadm", *arguments], check=True, capture_output=True, text=True).stdout


def ipvsadm_saved() -> list[str]:
    """The table in ipvsadm's own words, sorted."""
    return sorted(ipvsadm("-Sn").splitlines())


def _no_loop() -> Any:
    return None
