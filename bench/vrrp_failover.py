"""How late a backup takes over: keepbus beside keepalived in the same run.

    python bench/vrrp_failover.py [--rounds 5] [--intervals 1 0.1 0.01]

The master, a keepbus-vrrp, is killed; the backup's first advert should come exactly one master down interval
after the master's last. What it is later is the overshoot, by the time stamps of a capture at the backup.
VRRP version 3, all in the real-time class where that is allowed. Needs root and keepalived.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "netns"))

from vrrp_nodes import Keepalived, Keepbus, Router, Wire, wait_for

from bench import _routers
from bench._routers import VirtualRouter
from bench.ending import end_on_signals
from keepbus.testing.namespaces import Namespaces

MASTER, BACKUP, VIP = "10.7.0.1", "10.7.0.2", "10.7.0.100"
PRIORITY = 200
LIFE_S = 2.0
"""A master that dies sooner each time is taken for a crash loop, whose next start waits."""


class Bench:
    """A keepbus master and a backup of either kind."""

    def __init__(self, kind: type[Router], interval_s: float, spaces: Namespaces, directory: Path) -> None:
        one, other = spaces.add("a"), spaces.add("b")
        spaces.join((one, "vrrp0", f"{MASTER}/24"), (other, "vrrp0", f"{BACKUP}/24"))
        self.interval_s = interval_s
        self.wire = Wire(spaces, other, "vrrp0", directory / "wire")
        self.master = Keepbus(spaces, one, "vrrp0", directory / "a")
        self.backup = kind(spaces, other, "vrrp0", directory / "b")
        for router, priority in ((self.master, 254), (self.backup, PRIORITY)):
            _routers.configure(router, [VirtualRouter("vrrp0", f"{VIP}/24", priority, interval_s)])

    def elect(self) -> None:
        """The master advertises, the backup is quiet."""
        started_at = time.time()
        _routers.start(self.master)
        wait_for("the master", lambda: self.wire.adverts(MASTER, since=started_at))

    def takeover_overshoot_ms(self) -> float:
        """Kill the master; how late the backup was."""
        time.sleep(max(LIFE_S, 2 * self.interval_s))
        killed_at = time.time()
        self.master.kill()
        wait_for("the takeover", lambda: self.wire.adverts(BACKUP, since=killed_at))
        last = self.wire.adverts(MASTER)[-1][0]
        first = self.wire.adverts(BACKUP, since=killed_at)[0][0]
        down_s = (3 + (256 - PRIORITY) / 256) * self.interval_s
        return (first - last - down_s) * 1000


def main(argv: Sequence[str] = ()) -> None:
    """Measure and print medians."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--intervals", type=float, nargs="+", default=[1.0, 0.1, 0.01])
    args = parser.parse_args(argv)
    end_on_signals()
    for interval_s in args.intervals:
        medians = {}
        for kind in (Keepalived, Keepbus):
            with Namespaces("vrf") as spaces, tempfile.TemporaryDirectory() as directory:
                bench = Bench(kind, interval_s, spaces, Path(directory))
                _routers.start(bench.backup)
                time.sleep(1)
                values = []
                for _ in range(args.rounds):
                    bench.elect()
                    values.append(bench.takeover_overshoot_ms())
                medians[kind] = statistics.median(values)
                print(
                    f"interval {interval_s:g} s: {kind.__name__.lower():10} takes over "
                    f"{medians[kind]:6.2f} ms late (median of {args.rounds}, worst {max(values):.2f})",
                    flush=True,
                )
        print(
            f"interval {interval_s:g} s: ratio of keepbus to keepalived "
            f"{medians[Keepbus] / medians[Keepalived]:.2f}"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
