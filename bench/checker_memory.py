"""What many checks need of memory: keepbus-checker beside keepalived's two processes, when all were checked.

    python -m bench checker_memory
    python bench/checker_memory.py [--targets 37205]

The namespace and the server are those of checker_cost. Memory is what the kernel counts as the process's own
(Pss of /proc/PID/smaps_rollup: a page that others have, too, in parts). Needs root, gcc, keepalived.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from bench.checker_cost import World, build, keepalived, keepbus
from keepbus.config.model.checker import CheckKind

DELAY_S = 10
LONGEST_S = 60.0
SERVERS_OF_ONE = 16
"""Real servers of a virtual server; with all of them in one keepalived checks nothing for minutes."""


def memory_kib(pids: Sequence[int]) -> int:
    """Memory of these processes."""
    rollups = (Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii") for pid in pids)
    return sum(int(text.split("\nPss:")[1].split()[0]) for text in rollups)


def main(argv: Sequence[str] = ()) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--targets", type=int, default=37_205)
    options = parser.parse_args(argv)
    programs: dict[str, Callable[[World, int], Callable[[], list[int]]]] = {
        "keepbus": partial(keepbus, delay_s=DELAY_S, most_of_one=options.targets),
        "keepalived": partial(keepalived, delay_s=DELAY_S, servers_of_one=SERVERS_OF_ONE),
    }
    for program, start in programs.items():
        with tempfile.TemporaryDirectory(prefix="keepbus-bench-") as name:
            build(Path(name))
            world = World(Path(name), CheckKind.TCP_CHECK)
            try:
                pids = start(world, options.targets)
                deadline = time.monotonic() + LONGEST_S
                while world.opened() < 1.2 * options.targets and time.monotonic() < deadline:
                    time.sleep(0.5)
                checked, used_kib = world.opened(), memory_kib(pids())
            finally:
                world.close()
        told = f"{used_kib / 1024:6.1f} MiB, {used_kib * 1024 / options.targets:6.0f} octets a server"
        print(f"{options.targets} servers: {program:<11} {told} (after {checked} checks)", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
