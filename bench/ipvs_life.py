"""What a table costs while it lives: a refusal until the entry is gone, memory, a reload, reading it back.

    python -m bench ipvs_life
    python bench/ipvs_life.py [--deaths 6] [--virtual 2277] [--real 37205]

Runs in User-Mode Linux, whose kernel has IPVS: good for ratios only. `refusal to removal` is from the last
RST that a dying server's port sent to a TCP_CHECK, by the kernel's time stamp, until the kernel's table has
that server no more; keepbus needs hub, checker and ipvs for it. Memory is the proportional set size of these
three and of both processes of keepalived, with one file of many checked servers, which are all in the table.
A reload changes one weight of that file; it counts from SIGHUP, with keepbus after the compilation, which is
told beside it, and with keepalived until it has read the file and done the same. keepalived 2.2.7 comes to no
end of that with the whole file: after a minute it is not waited for, and a tenth of the file gives the ratio.
Reading back is keepbus's alone: the whole of it, and its longest slice, for which nothing else is done. Needs
linux.uml and keepalived.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench._ipvs_life_guest import RELOAD_LIMIT_S, SMALL_PART
from bench.ipvs_rebuild import KERNEL, measured

GUEST = Path(__file__).with_name("_ipvs_life_guest.py")


def main(argv: Sequence[str] = ()) -> int:
    """Print medians and ratios."""
    parser = argparse.ArgumentParser(prog="ipvs_life")
    parser.add_argument("--deaths", type=int, default=6)
    parser.add_argument("--virtual", type=int, default=2277)
    parser.add_argument("--real", type=int, default=37205)
    options = parser.parse_args(argv)
    kernel = shutil.which(KERNEL)
    if kernel is None or not shutil.which("keepalived"):
        print("ipvs_life: needs linux.uml and keepalived", file=sys.stderr)
        return 0
    found = measured(kernel, GUEST, f"{options.deaths} {options.virtual} {options.real}")
    if found is None:
        return 1
    deaths = {name: found[f"refusal {name}"] for name in ("keepalived", "keepbus")}
    for name, times in deaths.items():
        ratio = statistics.median(times) / statistics.median(deaths["keepalived"])
        print(
            f"refusal to removal  {name:<10} median {statistics.median(times) * 1000:7.2f} ms"
            f"   longest {max(times) * 1000:7.2f} ms   {ratio:.2f} of keepalived"
        )
    beside = sum(found["memory keepalived"])
    for name in ("keepalived", "keepbus"):
        sizes = found[f"memory {name}"]
        parts = " + ".join(f"{size / 2**20:.0f}" for size in sizes)
        print(
            f"memory              {name:<10} {sum(sizes) / 2**20:7.1f} MiB ({parts})"
            f"   {sum(sizes) / beside:.2f} of keepalived"
        )
    for real in (options.real // SMALL_PART, options.real):
        reloads = {name: found[f"reload {name} {real}"] for name in ("keepalived", "keepbus")}
        beside = statistics.median(reloads["keepalived"])
        for name, times in reloads.items():
            median_s = statistics.median(times)
            print(
                f"reload, {real:>5} servers, one changed   {name:<10} "
                f"{'more than' if max(times) >= RELOAD_LIMIT_S else '   median'} {median_s:7.3f} s   "
                f"longest {max(times):7.3f} s   {median_s / beside:.2f} of keepalived"
            )
        print(f"compilation of it before: {statistics.median(found[f'compilation {real}']):.2f} s")
    slices = found["slices"]
    print(
        f"reading back        {options.real} servers: {sum(slices):.2f} s in {len(slices)} slices, "
        f"the longest {max(slices) * 1000:.0f} ms"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
