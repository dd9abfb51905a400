"""The same file and the same servers for keepalived's checkers and for keepbus's: the same verdicts.

keepalived runs without ip_vs, through the library of the benchmarks that answers for the kernel.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from checker_authority import Authority
from checker_corpus import CASES, Scene, configuration
from checker_servers import Checker

from keepbus.config.compiler import compile_file
from keepbus.contracts.checker import CheckVerdict, Verdict

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, ("keepalived", "gcc", "unshare"))),
    reason="needs root, keepalived, gcc and unshare: checks were not compared with keepalived's",
)
SECONDS = 7.0
# Where keepalived 2.2.7 does not do what its manual says, as docs/decisions/0201, 0204 and 0207 tell.
DEFECTS = {
    "regex dotall",
    "regex too early",
    "regex soon enough",
    "regex beyond Content-Length",
    "ping fwmark that is not let through",
    "bind_port alone",
    "sni_name",  # it came after 2.2.7
}


def last(checker: Checker, check: str) -> list[CheckVerdict]:
    """What was told of a check last: nothing, of one that could never be made."""
    return checker.verdicts.get(check, [])[-1:]


def in_a_namespace(folder: Path) -> None:
    """What the test runs alone in a network namespace; the two lists of those that are down, as JSON."""
    for words in (
        "link set lo up",
        "link add other type veth peer name far",
        "link set other up",
        # Before the rule for local addresses, which is moved back for it.
        "rule add pref 10 lookup local",
        "rule del pref 0",
        "rule add pref 5 fwmark 7 unreachable",
        "rule add pref 6 from 127.0.0.66 unreachable",
        "rule add pref 7 ipproto tcp sport 7777 unreachable",
    ):
        subprocess.run(["ip", *words.split()], check=True)
    Path("/proc/sys/net/ipv4/ping_group_range").write_text("0 2147483647", encoding="ascii")
    (folder / "one").write_text("0\n", encoding="ascii")
    authority = Scene.authority = Authority(folder)
    for name, days in (("good", 20), ("expired", -1)):
        authority.issue(name, days=days)
    authority.issue("client", password="secret")
    Authority(folder, "other")
    file = folder / "keepalived.conf"
    ports = [listens() for _, _, listens, _ in CASES.values()]
    file.write_text(configuration(folder, ports), encoding="utf-8")
    shim = folder / "shim.so"
    source = ROOT / "bench" / "checker_ipvs_shim.c"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", shim, source, "-ldl"], check=True)
    Scene.began_s = time.monotonic()
    with (folder / "log").open("w", encoding="utf-8") as log:
        keepalived = subprocess.Popen(
            ["keepalived", "-C", "-n", "-l", "-f", file, "-p", folder / "p", "-c", folder / "c"],
            env={**os.environ, "LD_PRELOAD": str(shim)}, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            time.sleep(1)
            # keepalived says nothing of a server that is down because of its file from the start.
            (folder / "one").write_text("1\n", encoding="ascii")
            time.sleep(SECONDS - 1)
        finally:
            keepalived.send_signal(signal.SIGTERM)
            keepalived.wait(10)
    text = (folder / "log").read_text(encoding="utf-8").partition("Stopping")[0]
    theirs: dict[int, bool] = {}
    for change, index in re.findall(r"(Removing|Adding) service \[127\.0\.9\.(\d+)\]", text):
        theirs[int(index) - 1] = change == "Removing"
    compiled = compile_file(file)
    assert compiled.configuration is not None, compiled.diagnostics
    section = compiled.configuration.checker
    checker = Checker(section=section)
    Scene.began_s = time.monotonic()
    checker.run(seconds=SECONDS)
    (virtual,) = compiled.configuration.ipvs.virtual_servers
    ours = [
        index
        for index, server in enumerate(virtual.real_servers)
        if any(told.verdict is Verdict.DOWN for use in server.checks for told in last(checker, use.check))
    ]
    print(json.dumps([sorted(index for index, down in theirs.items() if down), ours]))


def test_verdicts_are_keepaliveds(tmp_path: Path) -> None:
    result = subprocess.run(
        ["unshare", "-n", sys.executable, __file__, str(tmp_path)],
        capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    theirs, ours = json.loads(result.stdout.splitlines()[-1])
    names = list(CASES)
    down = {name for name, (*_, up) in CASES.items() if not up}
    assert {names[index] for index in ours} == down
    assert {names[index] for index in theirs} == down ^ DEFECTS


if __name__ == "__main__":
    in_a_namespace(Path(sys.argv[1]))
