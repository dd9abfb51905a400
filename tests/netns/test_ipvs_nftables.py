"""The nftables driver with traffic: a client, a director and two web servers in network namespaces.

hub, checker and ipvs run as processes on the director. Numbers are exact, because round robin is.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ipvs_wire import Web, ask, inside, ip, spawn, sysctl

from keepbus.config.compiler import compile_file
from keepbus.runtime import generation
from keepbus.testing.namespaces import remove

pytestmark = [
    pytest.mark.skipif(
        os.geteuid() != 0 or shutil.which("nft") is None or shutil.which("ip") is None,
        reason="needs root, nft and ip: NAT through nftables is not tested",
    ),
    pytest.mark.timeout(120),
]

VIP = "192.0.2.100"
ONE, TWO = "198.51.100.1", "198.51.100.2"
VIP6 = "2001:db8:1::100"
SIX, SEVEN = "2001:db8:2::6", "2001:db8:2::7"
CONFIGURATION = f"""
virtual_server {VIP} 80 {{
    delay_loop 1
    lb_algo wrr
    lb_kind NAT
    protocol TCP
    sorry_server 127.0.0.1 80
    real_server {ONE} 80 {{
        weight 1
        TCP_CHECK {{
            connect_timeout 1
            retry 0
        }}
    }}
    real_server {TWO} 8080 {{
        weight 2
        TCP_CHECK {{
            connect_timeout 1
            retry 0
        }}
    }}
}}
virtual_server {VIP} 81 {{
    lb_algo sh
    lb_kind NAT
    protocol TCP
    real_server {ONE} 80 {{
        weight 1
    }}
    real_server {TWO} 8080 {{
        weight 1
    }}
}}
virtual_server {VIP} 82 {{
    lb_algo wlc
    lb_kind NAT
    protocol TCP
    real_server {ONE} 80 {{
        weight 1
    }}
}}
virtual_server {VIP} 83 {{
    delay_loop 1
    lb_algo rr
    lb_kind NAT
    protocol TCP
    real_server {ONE} 7777 {{
        weight 1
    }}
    real_server {TWO} 8080 {{
        weight 1
        TCP_CHECK {{
            connect_timeout 1
            retry 0
        }}
    }}
}}
virtual_server {VIP} 84 {{
    lb_algo rr
    lb_kind NAT
    protocol TCP
    persistence_timeout 3
    persistence_granularity 255.255.255.254
    real_server {ONE} 80 {{
        weight 1
    }}
    real_server {TWO} 8080 {{
        weight 1
    }}
}}
virtual_server {VIP6} 80 {{
    lb_algo rr
    lb_kind NAT
    protocol TCP
    persistence_timeout 300
    persistence_granularity 128
    real_server {SIX} 80 {{
        weight 1
    }}
    real_server {SEVEN} 80 {{
        weight 1
    }}
}}
"""


class Site:
    """Three namespaces, the services of the director, and the two web servers."""

    def __init__(self, run_dir: Path) -> None:
        self.client, self.director, self.farm = (f"ipvs{os.getpid()}{letter}" for letter in "cdf")
        self.run_dir = run_dir
        self.log = run_dir / "services.log"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.webs: dict[str, Web] = {}

    def build(self) -> None:
        names = (self.client, self.director, self.farm)
        ip([f"netns add {name}" for name in names])
        ip(
            [
                f"link add eth0 netns {self.director} type veth peer name eth0 netns {self.client}",
                f"link add eth1 netns {self.director} type veth peer name eth0 netns {self.farm}",
            ]
        )
        up = ["link set lo up", "link set eth0 up"]
        ip([*up, "addr add 192.0.2.1/24 dev eth0", f"addr add {VIP}/32 dev eth0", "link set eth1 up",
            "addr add 198.51.100.254/24 dev eth1", "addr add 2001:db8:1::1/64 dev eth0 nodad",
            f"addr add {VIP6}/128 dev eth0 nodad", "addr add 2001:db8:2::fe/64 dev eth1 nodad"],
            self.director)  # fmt: skip
        ip([*up, *(f"addr add 192.0.2.{host}/24 dev eth0" for host in (2, 3, 4)),
            "addr add 2001:db8:1::2/64 dev eth0 nodad", "route add ::/0 via 2001:db8:1::1"],
            self.client)  # fmt: skip
        ip([*up, f"addr add {ONE}/24 dev eth0", f"addr add {TWO}/24 dev eth0",
            "route add default via 198.51.100.254", f"addr add {SIX}/64 dev eth0 nodad",
            f"addr add {SEVEN}/64 dev eth0 nodad", "route add ::/0 via 2001:db8:2::fe"],
            self.farm)  # fmt: skip
        sysctl(self.director, ip_forward=1)
        forwarding = Path("/proc/sys/net/ipv6/conf/all/forwarding")
        inside(self.director, lambda: forwarding.write_text("1"))
        self.serve("one", "two", "six", "seven")
        self.webs["sorry"] = Web(self.director, "0.0.0.0", "sorry")
        for name in ("bus/speak", "bus/listen", "locks", "log"):
            (self.run_dir / name).mkdir(parents=True)
        file = self.run_dir / "keepalived.conf"
        file.write_text(CONFIGURATION)
        configuration = compile_file(file, permissive=True).configuration
        assert configuration is not None
        generation.write(self.run_dir, configuration, file)
        for service in ("hub", "checker", "ipvs"):
            self.start(service)

    def serve(self, *names: str) -> None:
        places = {"one": (ONE, 80), "two": (TWO, 8080), "six": (SIX, 80), "seven": (SEVEN, 80)}
        for name in names:
            address, port = places[name]
            self.webs[name] = Web(self.farm, address, name, port)

    def kill(self, *names: str) -> None:
        for name in names:
            self.webs.pop(name).close()

    def start(self, service: str) -> None:
        command = [sys.executable, "-m", f"keepbus_{service}", "-r", str(self.run_dir)]
        if service == "ipvs":
            command += ["--driver", "nftables"]
        self.processes[service] = spawn(self.director, *command, log=self.log)

    def ask(self, times: int, port: int = 80) -> dict[str, int]:
        return ask(self.client, VIP, times, port)

    def nft(self, *arguments: str) -> str:
        command = ["ip", "netns", "exec", self.director, "nft", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def rules(self) -> list[object]:
        """Rules and handles of our table; a handle changes when a rule is written anew."""
        try:
            listing = json.loads(self.nft("--json", "--handle", "list", "table", "inet", "keepbus"))
        except subprocess.CalledProcessError:
            return []
        return [item["rule"] for item in listing["nftables"] if "rule" in item]

    def ask_from(self, source: str, port: int) -> str:
        """What one request from a certain address is answered."""

        def request() -> str:
            with socket.create_connection((VIP, port), timeout=5, source_address=(source, 0)) as connection:
                connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
                return b"".join(iter(lambda: connection.recv(1000), b"")).decode().split()[-1]

        return inside(self.client, request)

    def clients(self, port: int) -> list[str]:
        """What is remembered of clients."""
        found = []
        for name in (f"tcp-{VIP}-{port}-{ONE}-80", f"tcp-{VIP}-{port}-{TWO}-8080"):
            found.append(self.nft("list", "set", "inet", "keepbus", name))
        return [line for text in found for line in text.splitlines() if "expires" in line]

    def connections(self, port: int) -> dict[str, int]:
        """The counters of the servers."""
        listing = json.loads(self.nft("--json", "list", "counters"))
        counters = {
            item["counter"]["name"]: item["counter"] for item in listing["nftables"] if "counter" in item
        }
        names = {"one": f"tcp-{VIP}-{port}-{ONE}-80", "two": f"tcp-{VIP}-{port}-{TWO}-8080"}
        return {server: counters[name]["packets"] for server, name in names.items()}

    def close(self) -> None:
        for process in reversed(self.processes.values()):
            process.terminate()
        for process in self.processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
            process.kill()
            process.wait()
        for web in self.webs.values():
            web.close()
        for name in (self.client, self.director, self.farm):
            remove(name)


def until(condition: Callable[[], bool], limit_s: float = 15.0) -> None:
    """Wait for a condition, which only a defect keeps away for so long."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("nftables"))
    try:
        site.build()
        until(lambda: len(site.rules()) >= 6)
        yield site
    finally:
        site.close()


def test_requests_are_spread_by_weight(site: Site) -> None:
    assert site.ask(12) == {"one": 4, "two": 8}


def test_source_hash_sends_a_client_to_one_server(site: Site) -> None:
    assert list(site.ask(8, 81).values()) == [8]


def test_persistent_client_keeps_its_server_and_neighbours_share_it(site: Site) -> None:
    """W14: clients that the granularity makes one (192.0.2.2 and .3) meet one server, another the next."""
    first = site.ask_from("192.0.2.2", 84)
    assert [site.ask_from("192.0.2.3", 84) for _ in range(3)] == [first] * 3
    assert site.ask_from("192.0.2.4", 84) != first
    assert site.ask_from("192.0.2.2", 84) == first


def test_persistence_ends_after_its_timeout(site: Site) -> None:
    until(lambda: not site.clients(84))
    first, second = site.ask_from("192.0.2.2", 84), site.ask_from("192.0.2.4", 84)
    assert first != second
    until(lambda: not site.clients(84))
    assert site.ask_from("192.0.2.4", 84) == first


def test_ipv6_is_balanced_and_persistent(site: Site) -> None:
    answers = ask(site.client, VIP6, 6)
    assert list(answers.values()) == [6]
    assert set(answers) < {"six", "seven"}


def test_connections_are_counted(site: Site) -> None:
    before = site.connections(80)
    site.ask(6)
    after = site.connections(80)
    assert {server: after[server] - before[server] for server in after} == {"one": 2, "two": 4}


def test_director_itself_reaches_the_virtual_server(site: Site) -> None:
    assert ask(site.director, VIP, 6) == {"one": 2, "two": 4}


def test_scheduler_that_nftables_has_not_is_refused_and_nothing_is_listening(site: Site) -> None:
    assert site.ask(1, 82) == {"Connection refused": 1}


def test_restart_writes_not_one_rule(site: Site) -> None:
    before = site.rules()
    site.processes["ipvs"].kill()
    site.processes["ipvs"].wait()
    assert site.ask(3) == {"one": 1, "two": 2}
    site.start("ipvs")
    time.sleep(3)
    assert site.rules() == before


def test_open_connection_goes_on_while_the_other_server_comes_and_goes(site: Site) -> None:
    listener = inside(site.farm, lambda: socket.create_server((ONE, 7777)))
    for _ in range(2):  # round robin: one of two connections meets the listener
        client = inside(site.client, lambda: socket.create_connection((VIP, 83), timeout=3))
        listener.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            server, _peer = listener.accept()
            break
    with listener, client, server:
        site.kill("two")
        until(lambda: site.ask(2) == {"one": 2})
        client.sendall(b"still here")
        assert server.recv(100) == b"still here"
        site.serve("two")
        until(lambda: site.ask(3) == {"one": 1, "two": 2})
        server.sendall(b"so am I")
        assert client.recv(100) == b"so am I"


def test_local_sorry_server_answers_other_hosts_when_all_are_dead(site: Site) -> None:
    site.kill("one", "two")
    until(lambda: site.ask(2) == {"sorry": 2})
    site.serve("one", "two")
    until(lambda: site.ask(3) == {"one": 1, "two": 2})


def test_deleted_table_is_back(site: Site) -> None:
    before = len(site.rules())
    site.nft("delete", "table", "inet", "keepbus")
    until(lambda: len(site.rules()) == before)
    assert site.ask(3) == {"one": 1, "two": 2}
    assert "was changed by somebody else" in site.log.read_text()


def test_stop_removes_the_table_and_nothing_else(site: Site) -> None:
    site.nft("add", "table", "inet", "other")
    site.processes["ipvs"].terminate()
    assert site.processes["ipvs"].wait(5) == 0
    assert site.nft("list", "tables").split() == ["table", "inet", "other"]
