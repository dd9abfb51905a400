"""The same file given to Debian's keepalived and to us: the tables, entry by entry.

At the start nothing has been checked, so that only alpha makes a server fail; then every check fails, because
nothing in this machine has a route to the servers.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rig import Rig, compiled, ipvsadm, ipvsadm_saved

from keepbus.contracts.checker import Verdict

SEED = Path(__file__).parents[1] / "seed"
SEEDS = ("dr-virtual-server.conf", "nat-drct1.conf")
CHECK = """
        TCP_CHECK {
            connect_timeout 1
            retry 1
            delay_before_retry 1
        }
"""


def server(address: str, *lines: str, check: bool = True) -> str:
    body = "".join(f"        {line}\n" for line in lines) + (CHECK if check else "")
    return f"    real_server {address} {{\n{body}    }}\n"


def virtual(address: str, *lines: str) -> str:
    return (
        f"virtual_server {address} {{\n    delay_loop 2\n"
        + "".join(line if line.endswith("\n") else f"    {line}\n" for line in lines)
        + "}\n"
    )


TEXT = "".join(
    (
        virtual("192.0.2.10 80", "lb_algo wrr", "lb_kind NAT", "protocol TCP", "persistence_timeout 300",
                "persistence_granularity 255.255.255.0",
                server("198.51.100.1 8080", "weight 3", "uthreshold 100", "lthreshold 50"),
                server("198.51.100.2 8081", "weight 0", check=False)),
        virtual("192.0.2.11 53", "lb_algo rr", "lb_kind DR", "protocol UDP",
                server("198.51.100.1 53", "weight 1", check=False)),
        virtual("192.0.2.12 80", "lb_algo lc", "lb_kind TUN", "protocol TCP",
                server("198.51.100.1 8080", "weight 7")),
        virtual("192.0.2.13 80", "lb_algo sh", "lb_kind NAT", "protocol TCP", "alpha",
                "sorry_server 198.51.100.99 8099", server("198.51.100.1 80", "weight 1")),
        virtual("192.0.2.14 80", "lb_algo wlc", "lb_kind NAT", "protocol TCP", "alpha",
                server("198.51.100.1 80", "weight 4", "inhibit_on_failure"),
                server("198.51.100.2 80", "weight 1")),
        virtual("192.0.2.15 80", "lb_algo wlc", "lb_kind DR", "protocol TCP",
                "sorry_server 198.51.100.99 80", "sorry_server_inhibit", "quorum 3", "hysteresis 1",
                server("198.51.100.1 80", "weight 2"),
                server("198.51.100.2 80", "weight 3", "inhibit_on_failure")),
        virtual("192.0.2.16 80", "lb_algo rr", "lb_kind DR", "protocol TCP",
                "sorry_server 198.51.100.98 8080", "sorry_server_lvs_method NAT", "quorum 2",
                server("198.51.100.1 80", "weight 1"),
                server("198.51.100.3 80", "weight 1", "inhibit_on_failure", check=False)),
        virtual("192.0.2.17 80", "lb_algo rr", "lb_kind NAT", "protocol TCP", "quorum 2",
                server("198.51.100.1 80", "weight 1"), server("198.51.100.3 80", "weight 1", check=False)),
    )
)  # fmt: skip


def run() -> dict[str, Any]:
    seeds = ((SEED / name).read_text(encoding="utf-8") for name in SEEDS)
    # keepalived itself cannot read the no-break spaces of these files.
    text = TEXT + "".join(seeds).replace("\u00a0", " ")
    Path("/run/keepalived.conf").write_text(text, encoding="utf-8")
    ipvsadm("-C")
    found: dict[str, Any] = {}
    process = subprocess.Popen(
        ["keepalived", "--check", "--dont-fork", "--log-console", "-f", "/run/keepalived.conf",
         "-p", "/run/keepalived.pid", "-c", "/run/checkers.pid"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        found["keepalived"] = stable(0.3, lambda table: len(table) > 20)
        found["keepalived_failed"] = stable(4.0, lambda table: table != found["keepalived"])
    finally:
        process.terminate()
        process.wait()
    ipvsadm("-C")
    rig = Rig(Path("/run"))
    section = compiled(text)
    rig.configure(section)
    found["keepbus"] = ipvsadm_saved()
    for virtual_server in section.virtual_servers:
        for real_server in virtual_server.real_servers:
            for use in real_server.checks:
                rig.verdict(use.check, Verdict.DOWN)
    found["keepbus_failed"] = ipvsadm_saved()
    rig.stop()
    return found


def stable(quiet_s: float, begun: Callable[[list[str]], bool]) -> list[str]:
    """The table once it has `begun` and then not changed for quiet_s."""
    last: list[str] = []
    since = time.monotonic()
    for _ in range(300):
        table = ipvsadm_saved()
        if table != last:
            last, since = table, time.monotonic()
        elif begun(table) and time.monotonic() - since > quiet_s:
            return table
        time.sleep(0.1)
    raise AssertionError(f"the table did not come to rest: {last}")
