"""Init of the User-Mode Linux guest: modules, then each scenario that is named, then power off.

Started through a script that conftest.py writes, with the directory for the results as first argument. The
root file system is the host's own tree; what may be written is a tmpfs, or the directory for the results.
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import os
import subprocess
import sys
import time
import traceback
from pathlib import Path

POWER_OFF = 0x4321FEDC
MODULES = (
    "ip_vs", "ip_vs_rr", "ip_vs_wrr", "ip_vs_lc", "ip_vs_wlc", "ip_vs_sh", "veth", "bridge",
)  # fmt: skip
WRAPPER = '#!/bin/sh\nexec /sbin/modprobe -d /run/modules "$@"\n'


def prepare() -> None:
    """Modules from where the distribution keeps those of this kernel; modprobe finds them by itself then."""
    Path("/run/modules/lib").mkdir(parents=True)
    Path("/run/modules/lib/modules").symlink_to("/usr/lib/uml/modules")
    Path("/run/bin").mkdir()
    wrapper = Path("/run/bin/modprobe")
    wrapper.write_text(WRAPPER)
    wrapper.chmod(0o755)
    Path("/proc/sys/kernel/modprobe").write_text(str(wrapper))
    os.environ["PATH"] = "/run/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    os.environ["HOME"] = "/run"
    subprocess.run(["modprobe", "-a", *MODULES], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def run(path: Path) -> dict[str, object]:
    """What the scenario's `run()` found, or how it failed."""
    started = time.monotonic()
    try:
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        outcome: dict[str, object] = {"result": module.run()}
    except BaseException:
        outcome = {"error": traceback.format_exc()}
    outcome["took_s"] = round(time.monotonic() - started, 2)
    return outcome


def main(results: Path, scenarios: list[Path]) -> None:
    """Run the scenarios, each leaving its result in a file, then end the machine."""
    here = Path(__file__).parent
    sys.path[:0] = [str(here), str(here.parent / "netns")]
    try:
        prepare()
        for path in scenarios:
            outcome = run(path)
            (results / f"{path.stem}.json").write_text(json.dumps(outcome))
    except BaseException:
        (results / "error").write_text(traceback.format_exc())
    os.sync()
    ctypes.CDLL(None).reboot(POWER_OFF)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
