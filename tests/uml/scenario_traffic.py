"""The seed's DR and NAT virtual servers with traffic: a client, two directors, two web servers of each kind.

Each director runs hub, checker and ipvs as processes in its network namespace. The virtual addresses are put
and moved by the test, which is VRRP's part.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ipvs_wire import Web, ask, inside, ip, spawn, sysctl
from keepbus_ipvs.kernel import Kernel
from keepbus_ipvs.words import of_endpoint

from keepbus.config.compiler import compile_file
from keepbus.runtime import generation

SEED = Path(__file__).parents[1] / "seed"
DR_VIP, NAT_VIP, WEIGHTED_VIP, INSIDE_VIP = "172.16.1.254", "172.16.1.188", "172.16.1.253", "192.168.1.188"
VIPS = (DR_VIP, NAT_VIP, WEIGHTED_VIP)
OUTSIDE = {
    "client": "172.16.1.100",
    "d1": "172.16.1.1",
    "d2": "172.16.1.2",
    "r3": "172.16.1.3",
    "r4": "172.16.1.4",
}
INSIDE = {"d1": "192.168.1.1", "d2": "192.168.1.2", "n3": "192.168.1.3", "n4": "192.168.1.4"}
SERVERS = {"r3": "172.16.1.3", "r4": "172.16.1.4", "n3": "192.168.1.3", "n4": "192.168.1.4"}
DIRECTORS = ("d1", "d2")
LIMIT_S = 40.0
Processes = dict[tuple[str, str], subprocess.Popen[bytes]]
"""By service and director."""


def run() -> dict[str, Any]:
    build()
    found: dict[str, Any] = {}
    webs = {name: Web(name, "0.0.0.0", name) for name in SERVERS}
    sorry = [Web(director, "0.0.0.0", f"sorry {director}") for director in DIRECTORS]
    processes = {(name, director): process for director in DIRECTORS for name, process in start(director)}
    try:
        found["took"] = story(found, webs, processes)
    finally:
        for process in reversed(processes.values()):
            process.terminate()
        for process in processes.values():
            process.wait()
    found["after_stop"] = {director: table(director) for director in DIRECTORS}
    for web in (*webs.values(), *sorry):
        web.close()
    return found


def story(found: dict[str, Any], webs: dict[str, Web], processes: Processes) -> dict[str, float]:
    """The steps; how long each took to show."""
    took = {}
    took["entered"] = wait(lambda: all(len(table(director)) == 3 for director in DIRECTORS))
    found["listing"] = listing("d1")
    found["spread"] = {vip: ask("client", vip, 12) for vip in VIPS}

    crashed = processes["ipvs", "d1"]
    crashed.kill()
    crashed.wait()
    found["without_ipvs"] = {vip: ask("client", vip, 12) for vip in VIPS}
    written = changes("d1")
    processes["ipvs", "d1"] = service("ipvs", "d1")
    time.sleep(4)  # longer than a restarted process waits for verdicts
    found["written"] = written
    found["written_by_restart"] = changes("d1") - written
    found["after_restart"] = table("d1")

    move("d1", "d2")
    found["through_d2"] = {vip: ask("client", vip, 12) for vip in VIPS}
    move("d2", "d1")

    for name in ("r3", "n3"):
        webs.pop(name).close()
    took["one dead"] = wait(lambda: servers("d1") == {DR_VIP: 1, NAT_VIP: 1, WEIGHTED_VIP: 1})
    found["one_dead"] = {vip: ask("client", vip, 6) for vip in VIPS}

    for name in ("r4", "n4"):
        webs.pop(name).close()
    took["all dead"] = wait(
        lambda: all(list(targets) == ["127.0.0.1:80"] for targets in table("d1").values())
    )
    found["sorry_listing"] = listing("d1")
    found["all_dead"] = {vip: ask("client", vip, 3) for vip in VIPS}

    webs.update({name: Web(name, "0.0.0.0", name) for name in ("r4", "n4")})
    took["one back"] = wait(
        lambda: (
            table("d1")
            == {
                DR_VIP: {"172.16.1.4:80": 2},
                NAT_VIP: {"192.168.1.4:80": 2},
                WEIGHTED_VIP: {"172.16.1.4:80": 2},
            }
        )
    )
    found["one_back"] = {vip: ask("client", vip, 3) for vip in VIPS}
    return took


def build() -> None:
    """Two bridges: outside with everybody but the NAT servers, inside with those and the directors."""
    names = sorted(OUTSIDE.keys() | INSIDE.keys())
    lines = [f"netns add {name}" for name in names]
    for bridge, link, members in (("outside", "eth0", OUTSIDE), ("inside", "eth1", INSIDE)):
        lines += [f"link add {bridge} type bridge", f"link set {bridge} up"]
        for name in members:
            port = f"{name}-{bridge}"[:15]
            lines.append(f"link add {port} master {bridge} type veth peer name {link} netns {name}")
            lines.append(f"link set {port} up")
    ip(lines)
    for name in names:
        own = ["link set lo up"]
        for link, prefix, members in (("eth0", 16, OUTSIDE), ("eth1", 24, INSIDE)):
            if name in members:
                own += [f"addr add {members[name]}/{prefix} dev {link}", f"link set {link} up"]
        if name in ("r3", "r4"):
            own += [f"addr add {vip}/32 dev lo" for vip in (DR_VIP, WEIGHTED_VIP)]
        if name in ("n3", "n4"):
            own.append(f"route add default via {INSIDE_VIP}")
        ip(own, name)
    for name in ("r3", "r4"):
        # A real server must not answer for the virtual address that it holds (W2).
        sysctl(name, conf__all__arp_ignore=1, conf__all__arp_announce=2, conf__all__rp_filter=0)
    for director in DIRECTORS:
        sysctl(director, ip_forward=1, conf__all__send_redirects=0, conf__eth0__send_redirects=0)
    ip(held("add"), "d1")


def held(verb: str) -> list[str]:
    """The virtual addresses of a master, for `ip`."""
    return [f"addr {verb} {vip}/32 dev eth0" for vip in VIPS] + [f"addr {verb} {INSIDE_VIP}/32 dev eth1"]


def move(source: str, target: str) -> None:
    """The virtual addresses go from one director to the other."""
    ip(held("del"), source)
    ip(held("add"), target)
    for name in ("client", "n3", "n4"):
        ip(["neigh flush all"], name)


def start(director: str) -> list[tuple[str, subprocess.Popen[bytes]]]:
    """hub, checker and ipvs of a director on the seed's files, and one virtual server by weight."""
    run_dir = Path("/run") / director
    for name in ("bus/speak", "bus/listen", "locks", "log"):
        (run_dir / name).mkdir(parents=True)
    dr = (SEED / "dr-virtual-server.conf").read_text(encoding="utf-8")
    nat = (SEED / "nat-drct1.conf").read_text(encoding="utf-8")
    weighted = dr.replace(DR_VIP, WEIGHTED_VIP).replace("lb_algo rr", "lb_algo wrr")
    file = run_dir / "keepalived.conf"
    file.write_text(dr + weighted + nat, encoding="utf-8")
    configuration = compile_file(file, permissive=True).configuration
    assert configuration is not None
    generation.write(run_dir, configuration, file)
    return [(name, service(name, director)) for name in ("hub", "checker", "ipvs")]


def service(name: str, director: str) -> subprocess.Popen[bytes]:
    """A service of a director; its log is RUNDIR/NAME.log."""
    run_dir = Path("/run") / director
    command = (sys.executable, "-m", f"keepbus_{name}", "-r", str(run_dir))
    return spawn(director, *command, log=run_dir / f"{name}.log")


def changes(director: str) -> int:
    """How many commands the director's ipvs has carried out, all its processes together."""
    return Path(f"/run/{director}/ipvs.log").read_text().count("ipvsadm -")


def table(director: str) -> dict[str, dict[str, int]]:
    """Address of each service: its destinations and their weights."""

    def read() -> dict[str, dict[str, int]]:
        kernel = Kernel()
        slices = list(kernel.read())
        while slices[-1].more:
            slices += kernel.read(further=True)
        kernel.close()
        return {
            service.service.key.address: {
                of_endpoint(item.destination.key): item.destination.weight for item in service.destinations
            }
            for part in slices
            for service in part.services
        }

    return inside(director, read)


def servers(director: str) -> dict[str, int]:
    return {address: len(targets) for address, targets in table(director).items()}


def listing(director: str) -> list[str]:
    """What `ipvsadm -Ln` prints."""
    command = ["ip", "netns", "exec", director, "ipvsadm", "-Ln"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def wait(condition: Callable[[], bool]) -> float:
    """The seconds until the condition held."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < LIMIT_S, f"d1 has {table('d1')}, d2 has {table('d2')}"
        time.sleep(0.1)
    return round(time.monotonic() - started, 1)
