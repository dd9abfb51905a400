"""From nothing to a whole table: 500 virtual servers with 4 real servers each, 2,500 with 16.

    python -m bench ipvs_rebuild
    python bench/ipvs_rebuild.py [--rounds 3] [--sizes 500x4 2500x16]

Runs in User-Mode Linux, whose kernel has IPVS: the numbers are good for ratios only. `bare loop` sends the
same requests, encoded before, one after the other, and waits for the answer of each: what the kernel costs.
`driver` is keepbus's, encoding included; `ipvsadm -R` reads them from its standard input. `keepalived` and
`keepbus-ipvs` are the time from the start of the process until the last destination is in the kernel, the
start of Python and the reading of the configuration included. Each gets a network namespace of its own.
Needs linux.uml, keepalived and ipvsadm.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "uml"))

from boot import KERNEL, boot

GUEST = Path(__file__).with_name("_ipvs_rebuild_guest.py")
TIME_LIMIT_S = 3000


def main(argv: Sequence[str] = ()) -> int:
    """Print the medians and the ratios."""
    parser = argparse.ArgumentParser(prog="ipvs_rebuild")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sizes", nargs="+", default=["500x4", "2500x16"], metavar="VIRTUALxREAL")
    options = parser.parse_args(argv)
    kernel = shutil.which(KERNEL)
    if kernel is None or not shutil.which("keepalived") or not shutil.which("ipvsadm"):
        print("ipvs_rebuild: needs linux.uml, keepalived and ipvsadm", file=sys.stderr)
        return 0
    for size in options.sizes:
        outcome = measured(kernel, GUEST, f"{size} {options.rounds}")
        if outcome is None:
            return 1
        medians = {name: statistics.median(times) for name, times in outcome.items()}
        print(f"{size}, medians of {options.rounds} rounds")
        for name, median_s in medians.items():
            print(
                f"  {name:<14} {median_s:8.3f} s   {median_s / medians['keepalived']:5.2f} of keepalived"
                f"   {median_s / medians['bare loop']:5.2f} of a bare loop"
            )
    return 0


def measured(kernel: str, guest: Path, argument: str) -> dict[str, list[float]] | None:
    """What the guest's run() found; None, and why on standard error, when it did not."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "argument").write_text(argument)
        console = boot(kernel, Path(folder), [guest], time_limit_s=TIME_LIMIT_S)
        try:
            outcome = json.loads((Path(folder) / f"{guest.stem}.json").read_text())
        except FileNotFoundError:
            print(console[-2000:], file=sys.stderr)
            return None
    if "error" in outcome:
        print(outcome["error"], file=sys.stderr)
        return None
    found: dict[str, list[float]] = outcome["result"]
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
