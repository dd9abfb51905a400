"""Compile a file and tell what was found: what `up`, `plan` and `reload` do before anything else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from keepbus.cli.bar import Bar
from keepbus.cli.findings import render
from keepbus.cli.terminal import Paint, colour_wanted
from keepbus.config import ipvs_drivers
from keepbus.config.compiler import compile_file
from keepbus.config.model.configuration import Configuration

_MODPROBE_TIMEOUT_S = 5.0


def compile_and_tell(
    path: Path, *, permissive: bool, config_id: str = "", ipvs_driver: str = ""
) -> Configuration | None:
    """The compiled configuration, None when it has errors; the findings are on standard error.

    ipvs_driver is what the operator chose.
    """
    with Bar(sys.stderr) as bar:
        compiled = compile_file(
            path,
            permissive=permissive,
            config_id=config_id,
            ipvs_driver=limiting_driver(ipvs_driver),
            progress=bar,
        )
    if compiled.diagnostics:
        for line in render(compiled, Paint(colour_wanted(sys.stderr))):
            print(line, file=sys.stderr)
    return compiled.configuration


def limiting_driver(choice: str) -> str:
    """The driver whose limits count at compile time: `auto` has none where the kernel has ip_vs."""
    return "" if choice == ipvs_drivers.AUTO and _host_has_ip_vs() else choice


def _host_has_ip_vs() -> bool:
    """It is there, or can be loaded. Nothing is loaded by asking."""
    if Path("/proc/net/ip_vs").exists():
        return True
    try:
        asked = subprocess.run(
            ["modprobe", "-n", "-q", "ip_vs"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_MODPROBE_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0
