"""Many instances in one process: keepbus beside keepalived.

    python -m bench vrrp_fleet
    python bench/vrrp_fleet.py [--seconds 20] [--scenes fast many start]

fast: 1,250 instances over five interfaces at 0.1 s, 12,500 adverts a second from one process to another.
many: 1,000 instances over four interfaces at 1 s. In both the backup must stay silent, for every advert of
it is a flap, and the master must send all that it should. start: from the start of a process that is alone
to all addresses of 250 instances, of which three intervals and a skew of 8 ms are the protocol's.

One kind after the other. Processes are in the real-time class where that is allowed, keepalived's too. Needs
root and keepalived.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "netns"))

from vrrp_nodes import Keepalived, Keepbus, Router, wait_for

from bench import _routers
from bench._routers import VirtualRouter
from bench.ending import end_on_signals
from keepbus.testing.namespaces import Namespaces

KINDS: tuple[type[Router], ...] = (Keepalived, Keepbus)
PER_INTERFACE = 250


class Fleet(NamedTuple):
    """So many instances at so many seconds."""

    instances: int
    interval_s: float

    @property
    def interfaces(self) -> list[str]:
        """As many as their virtual router ids need."""
        return [f"vrrp{number}" for number in range(-(-self.instances // PER_INTERFACE))]

    def configure(self, router: Router, priority: int) -> None:
        """All of them, VRRP version 3, an address each."""
        places = [
            (interface, number)
            for interface in self.interfaces
            for number in range(1, PER_INTERFACE + 1)
        ][: self.instances]  # fmt: skip
        _routers.configure(
            router,
            [
                VirtualRouter(
                    interface,
                    f"10.{100 + at // PER_INTERFACE}.{number}.1/32",
                    priority,
                    self.interval_s,
                    number,
                    f"VI_{at}",
                )
                for at, (interface, number) in enumerate(places)
            ],
        )


def held(router: Router) -> int:
    """How many virtual addresses its namespace has."""
    shown = router.namespaces.run(router.namespace, "ip", "-4", "-o", "address", "show")
    return sum(" 10.1" in line and "/32" in line for line in shown.splitlines())


def sent(router: Router, interfaces: Sequence[str]) -> int:
    """Frames that left its interfaces."""
    found = 0
    text = router.namespaces.run(router.namespace, "cat", "/proc/net/dev")
    for line in text.splitlines():
        name, _, numbers = line.partition(":")
        if name.strip() in interfaces:
            found += int(numbers.split()[9])
    return found


def quiet(kind: type[Router], fleet: Fleet, seconds: float, directory: Path) -> tuple[float, int]:
    """Part of the adverts due that the master sent, and frames of the backup, in so many seconds."""
    with Namespaces("vrm") as spaces:
        names = [spaces.add(name) for name in ("one", "two")]
        for number, interface in enumerate(fleet.interfaces):
            one, two = ((name, interface, f"10.7.{number}.{host}/24") for host, name in enumerate(names, 1))
            spaces.join(one, two)
        one_router, two_router = (
            kind(spaces, name, fleet.interfaces[0], directory / name[-3:]) for name in names
        )
        fleet.configure(one_router, 200)
        fleet.configure(two_router, 100)
        _routers.start(one_router, "--log-level", "error")
        wait_for("all addresses", lambda: held(one_router) == fleet.instances, 120)
        _routers.start(two_router, "--log-level", "error")
        time.sleep(12)  # the second announcements come 5 s after a takeover
        before = sent(one_router, fleet.interfaces), sent(two_router, fleet.interfaces)
        began = time.monotonic()
        time.sleep(seconds)
        took_s = time.monotonic() - began
        after = sent(one_router, fleet.interfaces), sent(two_router, fleet.interfaces)
        due = fleet.instances / fleet.interval_s * took_s
        return (after[0] - before[0]) / due, after[1] - before[1]


def start_s(kind: type[Router], fleet: Fleet, directory: Path) -> float:
    """From the start of a process to all its addresses."""
    with Namespaces("vrm") as spaces:
        name, other = spaces.add("one"), spaces.add("two")
        spaces.join((name, fleet.interfaces[0], "10.7.0.1/24"), (other, fleet.interfaces[0], "10.7.0.2/24"))
        router = kind(spaces, name, fleet.interfaces[0], directory)
        fleet.configure(router, 254)
        began = time.monotonic()
        _routers.start(router, "--log-level", "error")
        wait_for("all addresses", lambda: held(router) == fleet.instances, 60)
        return time.monotonic() - began


def main(argv: Sequence[str] = ()) -> None:
    """All scenes, one kind after the other."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--scenes", nargs="+", default=["fast", "many", "start"])
    args = parser.parse_args(argv)
    end_on_signals()
    fleets = {"fast": Fleet(1250, 0.1), "many": Fleet(1000, 1.0), "start": Fleet(250, 1.0)}
    for scene in args.scenes:
        fleet = fleets[scene]
        for kind in KINDS:
            name = kind.__name__.lower()
            with tempfile.TemporaryDirectory() as directory:
                if scene == "start":
                    seconds = min(start_s(kind, fleet, Path(directory) / f"{each}") for each in range(3))
                    print(
                        f"start: {name:10} all {fleet.instances} addresses after {seconds:.2f} s", flush=True
                    )
                else:
                    part, flaps = quiet(kind, fleet, args.seconds, Path(directory))
                    print(
                        f"{scene}: {name:10} {fleet.instances} instances at {fleet.interval_s:g} s: sent "
                        f"{part:.1%} of what was due, the backup {flaps}",
                        flush=True,
                    )


if __name__ == "__main__":
    main(sys.argv[1:])
