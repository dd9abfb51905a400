"""Boots User-Mode Linux on the host's own file tree, runs scenarios in it, waits for the power off."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

GUEST = Path(__file__).parent / "guest.py"
KERNEL = "linux.uml"
TIME_LIMIT_S = 240
INIT = """#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs run /run
mkdir /run/results
mount -t hostfs -o {results} none /run/results
mkdir /run/tmp
export TMPDIR=/run/tmp
unset PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX=/run/pycache
exec {python} {guest} /run/results {scenarios}
"""


def boot(kernel: str, results: Path, scenarios: Sequence[Path], *, time_limit_s: float = TIME_LIMIT_S) -> str:
    """Run the scenarios in one guest; each leaves NAME.json in `results`. Returns what the console showed."""
    init = results / "init"
    init.write_text(
        INIT.format(
            results=results, python=sys.executable, guest=GUEST, scenarios=" ".join(map(str, scenarios))
        )
    )
    init.chmod(0o755)
    command = [
        kernel, "mem=1G", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "rw", f"init={init}",
        "con=null", "con0=fd:0,fd:1", "quiet", f"uml_dir={results}", "umid=guest",
    ]  # fmt: skip
    with (results / "console").open("wb") as console:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            process.wait(time_limit_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return (results / "console").read_text(errors="replace")
