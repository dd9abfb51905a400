"""What adverts cost: CPU time per advert sent and received, keepbus beside keepalived in the same run.

    python bench/vrrp_cost.py [--instances 250] [--seconds 10] [--rounds 2]

Two namespaces on one veth pair; one side is master of all instances, the other backup, adverts every 0.1 s
(VRRP version 3). keepbus-vrrp has a hub to speak to, and CPU time is that of all threads of the process that
does VRRP, the bus's among them, by the kernel's account in nanoseconds. It contains for the sender the
delivery to the receiver, which the kernel does on the sender's time. Needs root and keepalived.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "netns"))

from vrrp_nodes import KEEPBUS_VRRP, Keepalived, Keepbus, Router, instance, vrrp_instance

from keepbus.testing.namespaces import Namespaces

HUB = KEEPBUS_VRRP.with_name("keepbus-hub")
INTERVAL_US = 100_000


def build(
    kind: type[Router], spaces: Namespaces, space: str, side: int, directory: Path, args: argparse.Namespace
) -> Router:
    """A router of all instances, side 0 is to be master."""
    interface = "vrrp0"
    priority = (200, 100)[side]
    # A busy machine must not make the backup stand up: what is measured is the quiet state.
    down = (3, 100)[side]
    router = kind(spaces, space, interface, directory)
    numbers = range(1, args.instances + 1)
    if isinstance(router, Keepbus):
        router.configure(
            *(
                instance(
                    interface,
                    f"10.8.{number}.1/32",
                    name=f"VI_{number}",
                    virtual_router_id=number,
                    version=3,
                    priority=priority,
                    advert_interval_us=INTERVAL_US,
                    down_timer_adverts=down,
                )
                for number in numbers
            )
        )
        spaces.start(space, [str(HUB), "-r", str(directory)], directory / "hub.output")
        router.start("--log-level", "error")
    elif isinstance(router, Keepalived):
        router.configure(
            *(
                vrrp_instance(
                    interface,
                    f"virtual_router_id {number}",
                    f"priority {priority}",
                    "advert_int 0.1",
                    f"down_timer_adverts {down}",
                    name=f"VI_{number}",
                    addresses=[f"10.8.{number}.1/32"],
                )
                for number in numbers
            ),
            global_defs=["  vrrp_version 3"],
        )
        router.start()
    return router


def pid_of(router: Router) -> int:
    """The process that does VRRP."""
    if isinstance(router, Keepalived):
        return router.vrrp_pid()
    assert router.process is not None
    return router.process.pid


def cpu_ns(pid: int) -> int:
    """CPU time of a process so far, of all its threads."""
    return sum(
        int(each.read_text(encoding="ascii").split()[0])
        for each in Path(f"/proc/{pid}/task").glob("*/schedstat")
    )


def sent(spaces: Namespaces, space: str) -> int:
    """Frames that left the interface."""
    return int(spaces.run(space, "cat", "/sys/class/net/vrrp0/statistics/tx_packets"))


def measure(sender: type[Router], receiver: type[Router], args: argparse.Namespace) -> tuple[float, float]:
    """Microseconds of CPU per advert sent and received."""
    with Namespaces("vrb") as spaces, tempfile.TemporaryDirectory() as directory:
        one, other = spaces.add("a"), spaces.add("b")
        spaces.join((one, "vrrp0", "10.7.0.1/24"), (other, "vrrp0", "10.7.0.2/24"))
        master = build(sender, spaces, one, 0, Path(directory) / "a", args)
        time.sleep(3.0)
        backup = build(receiver, spaces, other, 1, Path(directory) / "b", args)
        # The second announcements come 5 s after the takeover; they are not what is measured.
        time.sleep(6.0)
        per_second = args.instances * 1_000_000 / INTERVAL_US
        for _ in range(60):
            frames = sent(spaces, one)
            time.sleep(1.0)
            if 0.95 < (sent(spaces, one) - frames) / per_second < 1.05:
                break
        time.sleep(1.0)
        pids = pid_of(master), pid_of(backup)
        before = [cpu_ns(pid) for pid in pids]
        frames = sent(spaces, one)
        time.sleep(args.seconds)
        after = [cpu_ns(pid) for pid in pids]
        frames = sent(spaces, one) - frames
        wanted = per_second * args.seconds
        if not 0.95 < frames / wanted < 1.05:
            print(f"{frames} adverts instead of {wanted:.0f}: the machine was busy, once more", flush=True)
            return measure(sender, receiver, args)
        sending, receiving = ((a - b) / frames / 1000 for a, b in zip(after, before, strict=True))
        return sending, receiving


def main(argv: Sequence[str] = ()) -> None:
    """Measure alternately and print medians and ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--instances", type=int, default=250)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=2)
    args = parser.parse_args(argv)
    kinds = (Keepalived, Keepbus)
    pairs = [(sender, receiver) for sender in kinds for receiver in kinds]
    results: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for number in range(args.rounds):
        for sender, receiver in pairs:
            names = sender.__name__.lower(), receiver.__name__.lower()
            result = measure(sender, receiver, args)
            results.setdefault(names, []).append(result)
            print(
                f"round {number + 1}: {names[0]} sends at {result[0]:5.1f} µs, "
                f"{names[1]} receives at {result[1]:5.1f} µs",
                flush=True,
            )
    for peer in ("keepalived", "keepbus"):
        for index, what in enumerate(("sent", "received")):
            ours, theirs = (
                statistics.median(
                    each[index] for each in results[(name, peer) if what == "sent" else (peer, name)]
                )
                for name in ("keepbus", "keepalived")
            )
            print(
                f"CPU per advert {what:8} (peer {peer:10}): keepbus {ours:5.1f} µs, "
                f"keepalived {theirs:5.1f} µs, ratio {ours / theirs:.2f}"
            )


if __name__ == "__main__":
    main(sys.argv[1:])
