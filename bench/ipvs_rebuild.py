"""From nothing to 500 virtual servers with four real servers each, keepbus beside keepalived and ipvsadm.

    python -m bench ipvs_rebuild

Runs in User-Mode Linux, whose kernel has IPVS: the numbers are good for ratios only. Each is the time from
the start of the process until the last destination is in the kernel; `driver alone` leaves out the start of
Python and the reading of the configuration. Needs linux.uml, keepalived and ipvsadm.
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "uml"))

from boot import KERNEL, boot

GUEST = Path(__file__).with_name("_ipvs_rebuild_guest.py")


def main() -> int:
    """Print the medians and the ratios to keepalived's."""
    kernel = shutil.which(KERNEL)
    if kernel is None or not shutil.which("keepalived") or not shutil.which("ipvsadm"):
        print("ipvs_rebuild: needs linux.uml, keepalived and ipvsadm", file=sys.stderr)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        console = boot(kernel, Path(folder), [GUEST])
        try:
            outcome = json.loads((Path(folder) / f"{GUEST.stem}.json").read_text())
        except FileNotFoundError:
            print(console[-2000:], file=sys.stderr)
            return 1
    if "error" in outcome:
        print(outcome["error"], file=sys.stderr)
        return 1
    medians = {name: statistics.median(times) for name, times in outcome["result"].items()}
    for name, median_s in medians.items():
        print(f"{name:<14} {median_s:6.2f} s   {median_s / medians['keepalived']:.2f} of keepalived")
    return 0


if __name__ == "__main__":
    sys.exit(main())
