"""notify with a real hub, real scripts, and a vrrp that says what the test wants."""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import zmq

from keepbus.bus.client import Listener, Speaker, listen_address
from keepbus.config.model.configuration import Configuration
from keepbus.config.model.notify import Fifo, Mail, NotifySection, NotifyTarget
from keepbus.config.model.scripts import Script
from keepbus.contracts.common import Service
from keepbus.contracts.notify import ScriptRun
from keepbus.contracts.vrrp import Instance, Transition, VrrpState
from keepbus.runtime import generation

PATIENCE_S = 20.0


class Stage:
    """A hub, a notify, and a vrrp that says what the test wants."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        run_dir.mkdir(mode=0o755)
        self.log = (run_dir / "log.txt").open("ab")
        self.processes: list[subprocess.Popen[bytes]] = []
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.messages: list[Any] = []
        self.history: list[Transition] = []
        self.said = run_dir / "said"
        self.said.touch()
        self.said.chmod(0o666)
        self.targets: tuple[NotifyTarget, ...] = ()
        self.start("hub")
        self.until(listen_address(run_dir).exists)
        (run_dir / "locks").chmod(0o755)
        self._lock = (run_dir / "locks" / "vrrp").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._ipvs_lock = (run_dir / "locks" / "ipvs").open("w")
        fcntl.flock(self._ipvs_lock, fcntl.LOCK_EX)
        self.ipvs = Speaker(self.context, run_dir, node="d1", source="ipvs", boot=f"{time.time_ns():x}")
        self.listener = Listener(self.context, run_dir, ("state/notify/", "event/notify/"))
        self.vrrp = Speaker(self.context, run_dir, node="d1", source="vrrp", boot=f"{time.time_ns():x}")

    def close(self) -> None:
        for process in reversed(self.processes):
            if process.poll() is None:
                process.kill()
            process.wait()
        self.vrrp.close(0)
        self.ipvs.close(0)
        self._ipvs_lock.close()
        self.listener.close()
        self.context.term()
        self._lock.close()
        self.log.close()

    def start(self, service: str, *options: str, before: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
        command = (*before, sys.executable, "-m", f"keepbus_{service}", "-r", str(self.run_dir), *options)
        process = subprocess.Popen(command, stderr=self.log, stdin=subprocess.DEVNULL)
        self.processes.append(process)
        return process

    def notify(self, *options: str, before: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
        """Start notify, wait until it says what it is."""
        process = self.start("notify", *options, before=before)
        self.until(
            lambda: any(beat.pid == process.pid and beat.status != "starting" for beat in self.got(Service))
        )
        return process

    def script(self, name: str, text: str) -> str:
        path = self.run_dir / name
        path.write_text(text.replace("SAID", str(self.said)))
        path.chmod(0o755)
        return str(path)

    def configure(
        self,
        *targets: NotifyTarget,
        security: bool = False,
        fifos: tuple[Fifo, ...] = (),
        mail: Mail | None = None,
        **scripts: Script,
    ) -> None:
        section = NotifySection(
            targets=(NotifyTarget(name="VI_1", **scripts), *targets),
            fifos=fifos,
            mail=mail,
            enable_script_security=security,
        )
        generation.write(self.run_dir, Configuration(notify=section), Path("/dev/null"))

    def goes(self, *states: VrrpState) -> None:
        """The instance goes through these states, and only the last one is said."""
        for state in states:
            before = self.history[-1].to_state if self.history else VrrpState.INIT
            self.history.append(
                Transition(
                    number=len(self.history) + 1, from_state=before, to_state=state, at_ns=time.time_ns(),
                    cause="the test wants it", priority=150,
                )
            )  # fmt: skip
        self.vrrp.publish(
            Instance(
                name="VI_1", interface="eth0", family="IPv4", virtual_router_id=1, version=2, life="life",
                state=self.history[-1].to_state, transitions=len(self.history), since_ns=time.time_ns(),
                cause="the test wants it", base_priority=150, effective_priority=150, advert_interval_us=1,
                master_down_interval_us=3, master_address="", master_priority=0, virtual_addresses=(),
                holds_addresses=False, lease_us=0, history=tuple(self.history[-16:]),
            )
        )  # fmt: skip

    def got(self, kind: type) -> list[Any]:
        self.messages += self.listener.receive()
        return [message.body for message in self.messages if type(message.body) is kind]

    def runs(self, count: int) -> list[ScriptRun]:
        self.until(lambda: len(self.got(ScriptRun)) >= count)
        return self.got(ScriptRun)

    def until(self, condition: Callable[[], Any]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, (self.run_dir / "log.txt").read_text()
            time.sleep(0.01)

    def lines(self) -> list[str]:
        return self.said.read_text().splitlines()

    def logged(self) -> str:
        return (self.run_dir / "log.txt").read_text()


def staged() -> Iterator[Stage]:
    """A stage for one test, not in pytest's directory, which is closed to other users."""
    folder = Path("/tmp") / f"kb-notify-{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    stage = Stage(folder)
    try:
        yield stage
    finally:
        stage.close()
        shutil.rmtree(folder)


def me() -> str:
    """The user of the tests."""
    return pwd.getpwuid(os.geteuid()).pw_name
