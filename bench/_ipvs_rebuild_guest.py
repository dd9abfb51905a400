"""What bench/ipvs_rebuild.py measures, inside the guest."""

from __future__ import annotations

import ctypes
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from keepbus_ipvs import codec, kernel
from keepbus_ipvs.diff import difference
from keepbus_ipvs.kernel import Kernel
from keepbus_ipvs.pool import pool_of
from keepbus_ipvs.words import of_command

from keepbus.config.compiler import compile_file
from keepbus.runtime import generation

FILE = Path("/run/keepalived.conf")
RUN_DIR = Path("/run/keepbus")
ARGUMENT = Path("/run/results/argument")
LONGEST_S = 600
CLONE_NEWNET = 0x40000000


def run() -> dict[str, list[float]]:
    size, rounds = ARGUMENT.read_text().split()
    virtual_servers, real_servers = map(int, size.split("x"))
    FILE.write_text("".join(virtual_server(number, real_servers) for number in range(virtual_servers)))
    configuration = compile_file(FILE, permissive=True).configuration
    assert configuration is not None
    pools = [pool_of(each) for each in configuration.ipvs.virtual_servers]
    for pool in pools:
        pool.evaluate({}, 1)
    commands = [
        command for pool in pools for entry in pool.entries().values() for command in difference(entry, None)
    ]
    words = "".join(f"{of_command(command)}\n" for command in commands)
    generation.write(RUN_DIR, configuration, FILE)
    driver = Kernel()
    libc = ctypes.CDLL(None)
    family = driver._family_number()
    messages = [
        kernel._message(family, kernel._REQUEST | kernel._ACK, number, codec.encode(command))
        for number, command in enumerate(commands)
    ]
    last = [codec.dump_destinations(key) for pool in (pools[0], pools[-1]) for key in pool.keys]

    def complete() -> bool:
        return all(len(driver._dump(each)) == real_servers for each in last)

    def bare() -> float:
        return bare_loop(messages)

    def alone() -> float:
        # What an earlier round encoded is not to be found in its caches.
        codec._key.cache_clear()
        started = time.monotonic()
        for start in range(0, len(commands), 1000):
            (outcome,) = driver.write(commands[start : start + 1000])
            assert not any(outcome.errors)
        return time.monotonic() - started

    def ipvsadm() -> float:
        started = time.monotonic()
        subprocess.run(["ipvsadm", "-R"], input=words, text=True, check=True)
        return time.monotonic() - started

    # The guest's Python has compiled nothing yet; a host's did so when keepbus was installed.
    subprocess.run([*KEEPBUS[:3], "--help"], check=True, stdout=subprocess.DEVNULL)
    found: dict[str, list[float]] = {}
    for _ in range(int(rounds)):
        for name, measure in (
            ("bare loop", bare),
            ("driver", alone),
            ("ipvsadm -R", ipvsadm),
            ("keepalived", lambda: until_complete(KEEPALIVED, complete)),
            ("keepbus-ipvs", lambda: until_complete(KEEPBUS, complete)),
        ):
            # Not a flushed table: the kernel keeps removed destinations for two minutes, and goes through all
            # of them at each new one.
            driver.close()
            assert libc.unshare(CLONE_NEWNET) == 0
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            driver = Kernel()
            time.sleep(2)
            found.setdefault(name, []).append(measure())
            assert name.startswith("keep") or complete(), name
    return found


def bare_loop(messages: list[bytes]) -> float:
    """Seconds for these requests, each sent when the one before it was answered."""
    connection = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16)
    connection.bind((0, 0))
    with connection:
        started = time.monotonic()
        for message in messages:
            connection.send(message)
            answer = connection.recv(4096)
            assert answer[16:20] == bytes(4)
        return time.monotonic() - started


KEEPALIVED = (
    "keepalived", "--check", "--dont-fork", "-f", str(FILE), "-p", "/run/ka.pid", "-c", "/run/ka-check.pid",
)  # fmt: skip
KEEPBUS = (
    sys.executable,
    "-m",
    "keepbus_ipvs",
    "-r",
    str(RUN_DIR),
    "--driver",
    "ipvs",
    "--keep-table",
    "--log-level",
    "warning",
)


def until_complete(command: tuple[str, ...], complete: Callable[[], bool]) -> float:
    """Seconds from the start of the program until its last destination is there; it is ended then."""
    shutil.rmtree(RUN_DIR / "ipvs", ignore_errors=True)
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        while not complete():
            assert time.monotonic() - started < LONGEST_S, command
            time.sleep(0.02)
        return time.monotonic() - started
    finally:
        process.terminate()
        process.wait()


def virtual_server(number: int, real_servers: int) -> str:
    servers = "".join(
        f"    real_server 10.{index + 100}.{number // 250}.{number % 250 + 1} 80 {{\n        weight 1\n"
        "    }\n"
        for index in range(real_servers)
    )
    return (
        f"virtual_server 10.{number // 250 + 2}.{number % 250}.1 80 {{\n"
        f"    lb_algo wlc\n    lb_kind DR\n    protocol TCP\n{servers}}}\n"
    )
