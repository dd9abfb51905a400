"""IPVS that goes away and comes back, and IPVS that is closed to the process."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from keepbus_ipvs.kernel import Kernel
from rig import Rig, compiled, ipvsadm, ipvsadm_saved
from scenario_driver import ONE

ASK = "from keepbus_ipvs.kernel import Kernel; print(Kernel.missing())"


def run() -> dict[str, Any]:
    found: dict[str, Any] = {}
    rig = Rig(Path(tempfile.mkdtemp()))
    rig.configure(compiled(ONE))
    found["before"] = ipvsadm_saved()
    ipvsadm("-C")
    loaded = [line.split()[0] for line in Path("/proc/modules").read_text().splitlines()]
    schedulers = [name for name in loaded if name.startswith("ip_vs_")]
    subprocess.run(["modprobe", "-r", *schedulers, "ip_vs"], check=True)
    rig.pass_time(lambda: "cannot read" in rig.report.detail or len(ipvsadm_saved_if_loaded()) > 0)
    found["status"] = rig.report.detail
    found["healed_s"] = rig.pass_time(lambda: ipvsadm_saved_if_loaded() == found["before"])
    found["after"] = ipvsadm_saved()
    rig.stop()
    outside = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--net", sys.executable, "-c", ASK],
        capture_output=True,
        text=True,
        check=False,
    )
    found["in_user_namespace"] = outside.stdout.strip() or outside.stderr
    found["as_root"] = Kernel.missing()
    return found


def ipvsadm_saved_if_loaded() -> list[str]:
    """The table, without loading the module as ipvsadm does; empty when there is none."""
    return ipvsadm_saved() if Path("/proc/net/ip_vs").exists() else []
