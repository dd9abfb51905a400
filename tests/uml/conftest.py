"""Boots a real IPVS kernel once: Debian's user-mode-linux on the host's own file tree.

`scenario(name)` is what tests/uml/NAME.py's `run()` returned in there. All scenarios run in one boot, one
process; a test file on this side asserts what they found.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
TIME_LIMIT_S = 240
INIT = """#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs run /run
mkdir /run/results
mount -t hostfs -o {results} none /run/results
mount -t tmpfs tmp /tmp
export PYTHONDONTWRITEBYTECODE=1
exec {python} {guest} /run/results {scenarios}
"""


@pytest.fixture(scope="session")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """A function from a scenario's name to what it found; skips where there is no linux.uml."""
    kernel = shutil.which("linux.uml")
    if kernel is None:
        pytest.skip("no linux.uml: real IPVS is not tested (apt install user-mode-linux)")
    results = tmp_path_factory.mktemp("uml")
    names = sorted(path.stem for path in HERE.glob("scenario_*.py"))
    init = results / "init"
    init.write_text(
        INIT.format(
            results=results, python=sys.executable, guest=HERE / "guest.py", scenarios=" ".join(names)
        )
    )
    init.chmod(0o755)
    console = _boot(kernel, results, init)

    def found(name: str) -> Any:
        try:
            outcome = json.loads((results / f"{name}.json").read_text())
        except FileNotFoundError:
            error = results / "error"
            pytest.fail(f"{name} did not run:\n{error.read_text() if error.exists() else console[-3000:]}")
        if "error" in outcome:
            pytest.fail(f"in the guest:\n{outcome['error']}")
        return outcome["result"]

    return found


def _boot(kernel: str, results: Path, init: Path) -> str:
    """Run the guest until it powers off; what its console showed."""
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
            process.wait(TIME_LIMIT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return (results / "console").read_text(errors="replace")
