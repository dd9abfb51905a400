"""kill -9 of the process that does VRRP on the master, again and again: keepbus beside keepalived.

    python -m bench vrrp_crash
    python bench/vrrp_crash.py [--rounds 20] [--intervals 1 0.1]

Master and backup of one kind and a client on a bridge, who pings the virtual address 200 times a second.
keepbus-vrrp has its standby, as a node starts it; keepalived's parent starts another child. Counted are the
backup's takeovers, and for how long the address did not answer around each crash. All, the client too, are in
the real-time class where that is allowed. Needs root and keepalived.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "netns"))

from vrrp_nodes import Keepalived, Keepbus, Router, Wire, wait_for

from bench import _routers
from bench._routers import VirtualRouter
from bench.ending import end_on_signals
from keepbus.testing.namespaces import Namespaces

MASTER, BACKUP, CLIENT, VIP = "10.7.0.1", "10.7.0.2", "10.7.0.3", "10.7.0.100"
INTERFACE = "vrrp0"
PING_S = 0.005
PINGER = str(Path(__file__).with_name("_pinger.py"))


class Master:
    """The router whose process is killed, and what takes its place."""

    def __init__(self, router: Router) -> None:
        self.router = router
        self._standby: subprocess.Popen[Any] | None = None

    def start(self) -> None:
        """With its standby, where there is one."""
        _routers.start(self.router)
        self._start_standby()

    def crash(self) -> None:
        """kill -9, and what the supervision does then."""
        if isinstance(self.router, Keepalived):
            pid = self.router.vrrp_pid()
            os.kill(pid, signal.SIGKILL)
            wait_for("another child", lambda: self.router.vrrp_pid() not in (pid, 0))  # type: ignore[attr-defined]
            return
        assert isinstance(self.router, Keepbus)
        self.router.kill()
        self.router.process = self._standby
        self._start_standby()

    def settle(self) -> None:
        """Be as before the crash: keepalived waits longer with each crash before it starts another child."""
        if isinstance(self.router, Keepalived):
            self.router.stop()
            _routers.start(self.router)
            wait_for("the master", lambda: self.router.has(VIP), 60)

    def _start_standby(self) -> None:
        if isinstance(self.router, Keepbus):
            active = self.router.process
            _routers.start(self.router, "--standby")
            self.router.process, self._standby = active, self.router.process


def measure(kind: type[Router], interval_s: float, rounds: int, directory: Path) -> tuple[int, list[float]]:
    """How many takeovers, and for how many milliseconds the address was silent at each crash."""
    with Namespaces("vrk") as spaces:
        hub = spaces.add("hub")
        ends = {name: spaces.add(name) for name in ("one", "two", "cli")}
        addresses = zip(ends.values(), (MASTER, BACKUP, CLIENT), strict=True)
        spaces.bridge(hub, "br0", *((end, INTERFACE, f"{address}/24") for end, address in addresses))
        wire = Wire(spaces, ends["cli"], INTERFACE, directory / "wire")
        one, two = (kind(spaces, ends[name], INTERFACE, directory / name) for name in ("one", "two"))
        for router, priority in ((one, 200), (two, 100)):
            _routers.configure(router, [VirtualRouter(INTERFACE, f"{VIP}/24", priority, interval_s)])
        master = Master(one)
        master.start()
        wait_for("the master", lambda: one.has(VIP))
        _routers.start(two)
        time.sleep(5 * interval_s + 2)
        pings = directory / "pings"
        pinger = _routers.urgently(
            lambda: spaces.start(ends["cli"], [sys.executable, PINGER, VIP, f"{PING_S}"], pings)
        )
        takeovers, silences_ms = 0, []
        for _ in range(rounds):
            time.sleep(1.5 + interval_s)  # the next standby is there
            crashed_at = time.time()
            master.crash()
            time.sleep(5 * interval_s + 1)
            quiet_at = time.time()
            wait_for("the master again", lambda: one.has(VIP) and not two.has(VIP), 60)
            time.sleep(0.2)
            takeovers += bool([at for at, priority in wire.adverts(BACKUP, since=crashed_at) if priority])
            answered = [float(line) for line in pings.read_text(encoding="ascii").split("\n")[:-1]]
            around = [at for at in answered if crashed_at - 0.1 < at < quiet_at + 20]
            gaps = [later - earlier for earlier, later in pairwise(around)]
            silences_ms.append((max(gaps, default=quiet_at - crashed_at)) * 1000)
            master.settle()
        spaces.stop(pinger)
    return takeovers, silences_ms


def main(argv: Sequence[str] = ()) -> None:
    """Measure both kinds at each interval."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--intervals", type=float, nargs="+", default=[1.0, 0.1])
    args = parser.parse_args(argv)
    end_on_signals()
    for interval_s in args.intervals:
        for kind in (Keepalived, Keepbus):
            with tempfile.TemporaryDirectory() as directory:
                takeovers, silences_ms = measure(kind, interval_s, args.rounds, Path(directory))
            print(
                f"interval {interval_s:g} s: {kind.__name__.lower():10} {takeovers} takeovers in "
                f"{args.rounds} crashes, address silent for {statistics.median(silences_ms):.0f} ms "
                f"(worst {max(silences_ms):.0f})",
                flush=True,
            )


if __name__ == "__main__":
    main(sys.argv[1:])
