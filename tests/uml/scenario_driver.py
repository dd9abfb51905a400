"""The service on a real kernel: create, edit, remove, drift, foreign entries, restart, stop."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import rig
from rig import Rig, ipvsadm, ipvsadm_saved

from keepbus.config.model.ipvs import IpvsSection
from keepbus.contracts import ipvs as contract
from keepbus.contracts.checker import Verdict

ONE = """
virtual_server 192.0.2.1 80 {
    lb_algo wrr
    lb_kind NAT
    protocol TCP
    sorry_server 127.0.0.1 80
    real_server 198.51.100.1 80 {
        weight 1
        TCP_CHECK {
            connect_timeout 3
        }
    }
    real_server 198.51.100.2 8080 {
        weight 2
        TCP_CHECK {
            connect_timeout 3
        }
    }
}
"""
TWO = """
virtual_server 192.0.2.1 80 {
    lb_algo wlc
    lb_kind NAT
    protocol TCP
    sorry_server 127.0.0.1 80
    real_server 198.51.100.1 80 {
        weight 5
        TCP_CHECK {
            connect_timeout 3
        }
    }
    real_server 198.51.100.3 80 {
        weight 1
        TCP_CHECK {
            connect_timeout 3
        }
    }
}
virtual_server 192.0.2.2 53 {
    lb_algo rr
    lb_kind TUN
    protocol UDP
    persistence_timeout 60
    persistence_granularity 255.255.255.0
    real_server 198.51.100.9 53 {
        weight 1
    }
}
virtual_server 192.0.2.3 80 {
    lb_algo dh
    lb_kind NAT
    protocol TCP
    real_server 198.51.100.9 80 {
        weight 1
    }
}
"""
FOREIGN = ("-A", "-t", "203.0.113.7:443", "-s", "rr")


def with_scheduler(section: IpvsSection, address: str, scheduler: str) -> IpvsSection:
    """The section with a scheduler that no kernel has; the compiler would have refused it."""
    servers = (
        replace(server, scheduler=scheduler) if server.address == address else server
        for server in section.virtual_servers
    )
    return replace(section, virtual_servers=tuple(servers))


def run() -> dict[str, Any]:
    found: dict[str, Any] = {}
    run_dir = Path(tempfile.mkdtemp())
    ipvsadm("-C")
    ipvsadm(*FOREIGN)
    first = Rig(run_dir)
    first.configure(rig.compiled(ONE))
    found["created"] = ipvsadm_saved()
    found["created_commands"] = first.take_written()
    found["report"] = first.report.detail
    checks = [
        use.check for server in rig.compiled(ONE).virtual_servers[0].real_servers for use in server.checks
    ]

    first.verdict(checks[0], Verdict.DOWN)
    found["one_down"] = first.take_written()
    first.verdict(checks[1], Verdict.DOWN)
    found["all_down"] = first.take_written()
    found["all_down_table"] = ipvsadm_saved()
    found["sorry_active"] = first.told(contract.VirtualServer)[-1].sorry_server_active
    first.verdict(checks[0], Verdict.UP)
    found["one_back"] = first.take_written()
    first.verdict(checks[1], Verdict.UP)
    first.take_written()

    ipvsadm("-C")
    ipvsadm(*FOREIGN)
    found["healed_s"] = first.pass_time(lambda: len(first.told(contract.Drift)) > 0 and bool(first.written))
    found["healed"] = ipvsadm_saved()
    ipvsadm("-e", "-t", "192.0.2.1:80", "-r", "198.51.100.1:80", "-m", "-w", "77")
    first.take_written()
    first.pass_time(lambda: bool(first.written))
    found["weight_repair"] = first.take_written()
    found["drift"] = [body.found for body in first.told(contract.Drift)]
    found["foreign"] = first.told(contract.Table)[-1].foreign

    # A crash: the next process finds all of it and writes nothing; then a reload, in place.
    second = Rig(run_dir)
    second.configure(rig.compiled(ONE))
    for check in checks:
        second.verdict(check, Verdict.UP)
    time.sleep(0.05)
    second.turn()
    found["restart_commands"] = second.take_written()
    second.configure(with_scheduler(rig.compiled(TWO), "192.0.2.3", "nosuch"))
    found["reload_commands"] = second.take_written()
    found["reload_table"] = ipvsadm_saved()
    found["reload_status"] = second.report.detail
    second.pass_time(lambda: second.told(contract.Table)[-1].errors > 2)
    found["error"] = next(
        body.error for body in reversed(second.told(contract.VirtualServer)) if "192.0.2.3" in body.name
    )
    # A service that leaves the file while nothing runs is still known as ours.
    third = Rig(run_dir)
    third.configure(rig.compiled(ONE.replace("192.0.2.1", "192.0.2.4")))
    third.pass_time(lambda: len(third.written) > 3)
    found["after_absence"] = ipvsadm_saved()
    third.stop()
    found["stopped"] = ipvsadm_saved()
    ipvsadm("-C")
    return found
