"""What bench/ipvs_life.py measures, inside the guest."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from keepbus_ipvs import codec
from keepbus_ipvs.kernel import Kernel
from keepbus_ipvs.table import AF_INET, TCP, ServiceKey

from keepbus.config.compiler import compile_file
from keepbus.runtime import generation

FILE = Path("/run/keepalived.conf")
RUN_DIR = Path("/run/keepbus")
ARGUMENT = Path("/run/results/argument")
MORTAL, IMMORTAL, PORT = "127.1.0.1", "127.1.0.2", 8080
LIMIT_S = 600.0
RELOADS = 3
RELOAD_LIMIT_S = 60.0
"""keepalived 2.2.7 compares each server with each: 37,205 of them take it longer than anybody waits."""
SMALL_PART = 10
"""So many times fewer servers, with which keepalived comes to an end."""
SETTLED_S = 20
ETHERTYPE_IPV4 = 0x0800
SO_TIMESTAMPNS = 35
CHECK = """TCP_CHECK {
            connect_timeout 1
            retry 1
            delay_before_retry 1
        }"""


def run() -> dict[str, list[float]]:
    deaths, virtual_servers, real_servers = map(int, ARGUMENT.read_text().split())
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    driver = Kernel()
    found: dict[str, list[float]] = {}
    key = write_file([(MORTAL, IMMORTAL)], PORT, 1)
    with listening(IMMORTAL):
        for name in ("keepalived", "keepbus"):
            with program(name, driver):
                found[f"refusal {name}"] = [death(driver, key) for _ in range(deaths)]
    for part in (SMALL_PART, 1):
        pools = servers(virtual_servers // part, real_servers // part)
        for name in ("keepalived", "keepbus"):
            key = write_file(pools, 80, 3600)
            with program(name, driver) as processes:
                until(lambda key=key: bool(present(driver, key)), name)
                time.sleep(SETTLED_S // part)
                if part == 1:
                    found[f"memory {name}"] = [proportional_size(pid) for pid in processes()]
                    if name == "keepbus":
                        found["slices"] = list(slices(driver))
                for weight in range(2, 2 + (1 if (name, part) == ("keepalived", 1) else RELOADS)):
                    begun_s = time.monotonic()
                    write_file(pools, 80, 3600, weight=weight)
                    compiled_s = time.monotonic() - begun_s
                    found.setdefault(f"compilation {real_servers // part}", []).append(compiled_s)
                    taken_s = reload(driver, key, weight, processes())
                    found.setdefault(f"reload {name} {real_servers // part}", []).append(taken_s)
    return found


def servers(virtual_servers: int, real_servers: int) -> list[tuple[str, ...]]:
    """The real servers of each virtual server."""
    each, more = divmod(real_servers, virtual_servers)
    addresses = (
        f"10.{100 + index // 62500}.{index // 250 % 250}.{index % 250 + 1}" for index in range(real_servers)
    )
    return [
        tuple(next(addresses) for _ in range(each + (number < more))) for number in range(virtual_servers)
    ]


def reload(driver: Kernel, key: ServiceKey, weight: int, processes: list[int]) -> float:
    """Seconds from SIGHUP until the one weight that is another now is in the table."""
    begun_s = time.monotonic()
    for pid in processes:
        # A helper of checker knows no SIGHUP; keepalived's children hear of it from their parent.
        if parent(str(pid)) == os.getpid():
            os.kill(pid, signal.SIGHUP)
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    while weight not in present(driver, key).values():
        if time.monotonic() - begun_s > RELOAD_LIMIT_S:
            break
        time.sleep(0.001)
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    return time.monotonic() - begun_s


def write_file(pools: list[tuple[str, ...]], port: int, delay_loop_s: int, *, weight: int = 0) -> ServiceKey:
    """A configuration for both programs; the last of its services. weight: another one for the first server
    of that, in the next generation of the same run directory."""
    text = "".join(
        f"virtual_server 10.{number // 250 + 2}.{number % 250}.1 80 {{\n    delay_loop {delay_loop_s}\n"
        "    lb_algo wlc\n    lb_kind NAT\n    protocol TCP\n"
        + "".join(f"    real_server {each} {port} {{\n        {CHECK}\n    }}\n" for each in pool)
        + "}\n"
        for number, pool in enumerate(pools)
    )
    if weight:
        server = f"real_server {pools[-1][0]} {port} {{"
        text = text.replace(server, f"{server}\n        weight {weight}")
    else:
        shutil.rmtree(RUN_DIR, ignore_errors=True)
        RUN_DIR.mkdir()
    FILE.write_text(text)
    configuration = compile_file(FILE, permissive=True).configuration
    assert configuration is not None
    generation.write(RUN_DIR, configuration, FILE)
    last = configuration.ipvs.virtual_servers[-1]
    return ServiceKey(AF_INET, TCP, last.address, last.port)


@contextmanager
def program(name: str, driver: Kernel) -> Iterator[Callable[[], list[int]]]:
    """keepalived or keepbus on an empty table; gives a function that gives their process ids."""
    driver.request(codec.request(codec.FLUSH))
    if name == "keepalived":
        commands = [
            [
                "keepalived",
                "--check",
                "--dont-fork",
                "-f",
                FILE,
                "-p",
                "/run/ka.pid",
                "-c",
                "/run/ka-check.pid",
            ]
        ]
    else:
        commands = [
            [sys.executable, "-m", f"keepbus_{service}", "-r", RUN_DIR, "--log-level", "error"]
            for service in ("hub", "checker", "ipvs")
        ]
    running = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for command in commands]

    def processes() -> list[int]:
        own = [process.pid for process in running]
        children = [int(pid) for pid in os.listdir("/proc") if pid.isdecimal() and parent(pid) in own]
        return own + children

    try:
        yield processes
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()


def parent(pid: str) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return int(re.search(r"^PPid:\s+(\d+)", status, re.MULTILINE).group(1))  # type: ignore[union-attr]


def proportional_size(pid: int) -> float:
    """Octets; where the kernel does not tell them, the resident size."""
    for name, pattern in (("smaps_rollup", r"^Pss:\s+(\d+)"), ("status", r"^VmRSS:\s+(\d+)")):
        try:
            text = Path(f"/proc/{pid}/{name}").read_text()
        except OSError:
            continue
        match = re.search(pattern, text, re.MULTILINE)
        if match:
            return float(match.group(1)) * 1024
    raise AssertionError(f"no memory of {pid}")


@contextmanager
def listening(address: str) -> Iterator[socket.socket]:
    with socket.create_server((address, PORT), backlog=4096) as server:
        server.setblocking(False)
        yield server


def death(driver: Kernel, key: ServiceKey) -> float:
    """Seconds from the last refusal until the server is gone from the table."""
    with listening(MORTAL) as server:
        # Whatever was decided before it listened has happened then.
        time.sleep(4)
        until(lambda: MORTAL in present(driver, key), "the server comes")
        accept_all(server)
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETHERTYPE_IPV4))
    wire.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    wire.setblocking(False)
    # The one who looks takes no time from those who are looked at.
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    refused_ns = 0
    with wire:
        ended = time.monotonic() + LIMIT_S
        while MORTAL in present(driver, key):
            refused_ns = max(refused_ns, last_refusal(wire))
            assert time.monotonic() < ended, "the server stays"
        gone_ns = time.time_ns()
        refused_ns = max(refused_ns, last_refusal(wire, gone_ns))
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    assert refused_ns, "no refusal was seen"
    return (gone_ns - refused_ns) / 1e9


def last_refusal(wire: socket.socket, before_ns: int = 1 << 63) -> int:
    """Moment of the last RST from the mortal server's port among the waiting packets; 0 for none."""
    latest_ns = 0
    while True:
        try:
            packet, ancillary, _flags, _from = wire.recvmsg(128, 64)
        except BlockingIOError:
            return latest_ns
        header = (packet[0] & 15) * 4
        source = struct.unpack_from("!H", packet, header)[0] if packet[9] == TCP else 0
        if source == PORT and packet[12:16] == socket.inet_aton(MORTAL) and packet[header + 13] & 4:
            seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
            at_ns = seconds * 1_000_000_000 + nanoseconds
            latest_ns = max(latest_ns, at_ns if at_ns < before_ns else 0)


def accept_all(server: socket.socket) -> None:
    while True:
        try:
            server.accept()[0].close()
        except BlockingIOError:
            return


def present(driver: Kernel, key: ServiceKey) -> dict[str, int]:
    """Addresses and weights of the destinations of a service."""
    return {
        found.destination.key.address: found.destination.weight
        for payload in driver._dump(codec.dump_destinations(key))
        for found in (codec.decode_destination(payload, AF_INET),)
    }


def until(condition: object, what: str) -> None:
    ended = time.monotonic() + LIMIT_S
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < ended, what
        time.sleep(0.1)


def slices(driver: Kernel) -> Iterator[float]:
    """Seconds of each slice of a reading."""
    further = False
    while True:
        started = time.monotonic()
        (part,) = driver.read(further=further)
        assert not part.error, part.error
        yield time.monotonic() - started
        further = part.more
        if not further:
            return
