"""What adverts cost: CPU time per advert sent and received, keepbus beside keepalived at the same time.

    python -m bench vrrp_cost
    python bench/vrrp_cost.py [--instances 250] [--seconds 3] [--rounds 10]

Four pairs of namespaces run together, one for each choice of master and backup; in each one side is master
of all instances, adverts every 0.1 s (VRRP version 3). A round is a few seconds of all pairs at once, so what
else the machine does hits all alike, and a ratio is made of two that were measured in the same seconds.
keepbus-vrrp has a hub to speak to, and CPU time is that of all threads of the process that does VRRP, those
of the bus among them, by the kernel's account in nanoseconds. It contains for the sender the delivery to the
receiver, which the kernel does on the sender's time. Needs root and keepalived.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "netns"))

from vrrp_nodes import KEEPBUS_VRRP, Keepalived, Keepbus, Router

from bench import _routers
from bench._routers import VirtualRouter
from bench.ending import end_on_signals
from keepbus.testing.namespaces import Namespaces

HUB = KEEPBUS_VRRP.with_name("keepbus-hub")
INTERVAL_S = 0.1
INTERFACE = "vrrp0"
KINDS: tuple[type[Router], ...] = (Keepalived, Keepbus)
_SETTLING_S = 8.0
"""The second announcements come 5 s after a takeover; they are not what is measured."""
_PATIENCE_S = 90.0


def build(
    kind: type[Router], spaces: Namespaces, space: str, side: int, directory: Path, instances: int
) -> Router:
    """A running router of so many instances; side 0 is to be master."""
    priority = (200, 100)[side]
    # A busy machine must not make the backup stand up: what is measured is the quiet state.
    down = (3, 100)[side]
    router = kind(spaces, space, INTERFACE, directory)
    _routers.configure(
        router,
        [
            VirtualRouter(
                INTERFACE, f"10.8.{number}.1/32", priority, INTERVAL_S, number, f"VI_{number}", down
            )
            for number in range(1, instances + 1)
        ],
    )
    if isinstance(router, Keepbus):
        spaces.start(space, [str(HUB), "-r", str(directory)], directory / "hub.output")
        router.start("--log-level", "error")
    else:
        router.start()
    return router


def pid_of(router: Router) -> int:
    """The process that does VRRP."""
    if isinstance(router, Keepalived):
        return router.vrrp_pid()
    assert router.process is not None
    return router.process.pid


class Account(NamedTuple):
    """What a pair had used and sent at a moment; or between two."""

    sender_ns: int
    receiver_ns: int
    frames: int


class Pair:
    """A master and its backup."""

    def __init__(self, spaces: Namespaces, kinds: tuple[type[Router], type[Router]], directory: Path) -> None:
        self.kinds = kinds
        self.names = tuple(kind.__name__.lower() for kind in kinds)
        self._spaces = spaces
        self._directory = directory
        label = "".join(name[4] for name in self.names)  # keepAlived, keepBus
        self._ends = spaces.add(f"{label}0"), spaces.add(f"{label}1")
        addresses = ("10.7.0.1/24", "10.7.0.2/24")
        one, other = ((end, INTERFACE, address) for end, address in zip(self._ends, addresses, strict=True))
        spaces.join(one, other)
        self._routers: list[Router] = []

    def start(self, side: int, instances: int) -> None:
        """Start the master (0) or the backup (1)."""
        directory = self._directory / f"{self._ends[side]}"
        self._routers.append(
            build(self.kinds[side], self._spaces, self._ends[side], side, directory, instances)
        )

    def settle(self, per_second: float) -> None:
        """Wait a little until the master sends what it should: one after the other, for the kernel has one
        lock for all addresses of all namespaces."""
        time.sleep(1.0)
        for _ in range(20):
            frames = self._frames()
            time.sleep(0.5)
            if abs(self._frames() - frames - per_second / 2) < per_second / 20:
                return

    def _frames(self) -> int:
        return _frames_sent(pid_of(self._routers[0]))

    def account(self) -> Account:
        """Up to now."""
        sender, receiver = map(pid_of, self._routers)
        return Account(_cpu_ns(sender), _cpu_ns(receiver), _frames_sent(sender))


def _cpu_ns(pid: int) -> int:
    """CPU time of a process so far, of all its threads."""
    return sum(
        int(each.read_text(encoding="ascii").split()[0])
        for each in Path(f"/proc/{pid}/task").glob("*/schedstat")
    )


def _frames_sent(pid: int) -> int:
    """Frames that left the interface in the namespace of a process."""
    for line in Path(f"/proc/{pid}/net/dev").read_text(encoding="ascii").splitlines():
        name, _, numbers = line.partition(":")
        if name.strip() == INTERFACE:
            return int(numbers.split()[9])
    raise LookupError(f"process {pid} has no {INTERFACE}")


Costs = dict[tuple[str, str, str], list[float]]
"""What, whose, whose peer's: microseconds per advert, by round; NaN when the pair was not quiet."""


def measure(pairs: Sequence[Pair], seconds: float, per_second: float) -> tuple[dict[Pair, Account], bool]:
    """The accounts of one round, and whether all masters sent what they should."""
    began_at = time.monotonic()
    before = {pair: pair.account() for pair in pairs}
    time.sleep(seconds)
    after = {pair: pair.account() for pair in pairs}
    elapsed_s = time.monotonic() - began_at
    used = {pair: Account(*(b - a for a, b in zip(before[pair], after[pair], strict=True))) for pair in pairs}
    quiet = all(0.95 < each.frames / (per_second * elapsed_s) < 1.05 for each in used.values())
    return used, quiet


def main(argv: Sequence[str] = ()) -> None:
    """Measure all pairs together, round by round, and print medians, ratios and their spread."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--instances", type=int, default=250)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=10)
    args = parser.parse_args(argv)
    end_on_signals()
    os.nice(-15)  # all of them: else a busy machine would make masters step down
    per_second = args.instances / INTERVAL_S
    costs: dict[tuple[str, str, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as directory, Namespaces("vrb") as spaces:
        pairs = [Pair(spaces, (sender, receiver), Path(directory)) for sender in KINDS for receiver in KINDS]
        for side in (0, 1):
            for pair in pairs:
                pair.start(side, args.instances)
                pair.settle(per_second)
        patience_until = time.monotonic() + _PATIENCE_S + args.rounds * args.seconds
        time.sleep(_SETTLING_S)
        done = 0
        while done < args.rounds:
            used, quiet = measure(pairs, args.seconds, per_second)
            if not quiet:
                if time.monotonic() > patience_until:
                    sys.exit("vrrp_cost: the machine is too busy: the masters cannot send what they should")
                text = ", ".join(f"{'/'.join(pair.names)} {each.frames}" for pair, each in used.items())
                print(f"the machine was busy, once more; adverts sent: {text}", flush=True)
                continue
            done += 1
            for pair, account in used.items():
                sender, receiver = pair.names
                sending = account.sender_ns / account.frames / 1000
                receiving = account.receiver_ns / account.frames / 1000
                costs.setdefault(("sent", sender, receiver), []).append(sending)
                costs.setdefault(("received", receiver, sender), []).append(receiving)
            print(f"round {done}: " + ", ".join(_ratios_of_round(costs)), flush=True)
    report(costs)


def _ratios_of_round(costs: dict[tuple[str, str, str], list[float]]) -> list[str]:
    return [
        f"{what} ({peer}) {costs[what, 'keepbus', peer][-1] / costs[what, 'keepalived', peer][-1]:.2f}"
        for what in ("sent", "received")
        for peer in ("keepalived", "keepbus")
    ]


def report(costs: dict[tuple[str, str, str], list[float]]) -> None:
    """Medians; a ratio is the median of the rounds' ratios, with the least and the largest of them."""
    for peer in ("keepalived", "keepbus"):
        for what in ("sent", "received"):
            ours, theirs = costs[what, "keepbus", peer], costs[what, "keepalived", peer]
            ratios = [our / their for our, their in zip(ours, theirs, strict=True)]
            print(
                f"CPU per advert {what:8} (peer {peer:10}): keepbus {statistics.median(ours):5.1f} µs, "
                f"keepalived {statistics.median(theirs):5.1f} µs, ratio {statistics.median(ratios):.2f} "
                f"({min(ratios):.2f} to {max(ratios):.2f} in {len(ratios)} rounds)"
            )


if __name__ == "__main__":
    main(sys.argv[1:])
