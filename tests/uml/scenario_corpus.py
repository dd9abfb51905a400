"""The corpus given to Debian's keepalived and to us, step by step: what both made of it in the kernel.

keepalived follows the files by itself; here checker would, and its verdicts are given by hand.
"""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from corpus import configuration
from rig import Rig, compiled, ipvsadm, ipvsadm_saved

from keepbus.contracts.checker import Verdict

STEPS: tuple[tuple[str, dict[str, int]], ...] = (
    ("A down", {"A": 1, "W": 4}),
    ("all down", {"B": 1, "C": 1}),
    ("all up", {"A": 0, "B": 0, "C": 0, "W": 0}),
)
"""What is written to the files."""


def run() -> dict[str, Any]:
    found = {"keepalived": of_keepalived(), "keepbus": of_keepbus()}
    ipvsadm("-C")
    return found


def of_keepalived() -> dict[str, list[str]]:
    tables = {}
    for name in "ABCW":
        Path(f"/run/{name}").write_text("0")
    path = Path("/run/corpus.conf")
    path.write_text(configuration())
    ipvsadm("-C")
    process = subprocess.Popen(
        ["keepalived", "--check", "--dont-fork", "--log-console", "-f", str(path),
         "-p", "/run/corpus.pid", "-c", "/run/corpus-checkers.pid"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        tables["start"] = at_rest([])
        last = tables["start"]
        for name, files in STEPS:
            for file, value in files.items():
                Path(f"/run/{file}").write_text(str(value))
            last = tables[name] = at_rest(last)
        path.write_text(configuration(reloaded=True))
        process.send_signal(signal.SIGHUP)
        tables["reloaded"] = at_rest(last)
    finally:
        process.terminate()
        process.wait()
    tables["stopped"] = ipvsadm_saved()
    return tables


def of_keepbus() -> dict[str, list[str]]:
    ipvsadm("-C")
    rig = Rig(Path("/run/corpus"))
    section = compiled(configuration())
    checks = {
        use.check
        for server in section.virtual_servers
        for real_server in server.real_servers
        for use in real_server.checks
    }
    rig.configure(section)
    for check in sorted(checks):
        rig.verdict(check, Verdict.UP)
    tables = {"start": ipvsadm_saved()}
    for name, files in STEPS:
        for check in sorted(checks):
            file = check.removeprefix("FILE_CHECK:")[0]
            if file == "W" and file in files:
                rig.verdict(check, Verdict.UP, weight_added=files[file])
            elif file in files:
                rig.verdict(check, Verdict.DOWN if files[file] else Verdict.UP)
        tables[name] = ipvsadm_saved()
    rig.configure(compiled(configuration(reloaded=True)))
    tables["reloaded"] = ipvsadm_saved()
    rig.stop()
    tables["stopped"] = ipvsadm_saved()
    return tables


def at_rest(before: list[str]) -> list[str]:
    """The table once it is another one than before and has stood still for 0.6 s."""
    last = before
    since = time.monotonic()
    for _ in range(300):
        table = ipvsadm_saved()
        if table != last:
            last, since = table, time.monotonic()
        elif table != before and time.monotonic() - since > 0.6:
            return table
        time.sleep(0.1)
    raise AssertionError("the table did not come to rest")
