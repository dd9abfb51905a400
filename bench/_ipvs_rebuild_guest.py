"""What bench/ipvs_rebuild.py measures, inside the guest."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from keepbus_ipvs import codec
from keepbus_ipvs.diff import difference
from keepbus_ipvs.kernel import Kernel
from keepbus_ipvs.pool import pool_of
from keepbus_ipvs.words import of_command

from keepbus.config.compiler import compile_file
from keepbus.runtime import generation

VIRTUAL_SERVERS, REAL_SERVERS, ROUNDS = 500, 4, 3
FILE = Path("/run/keepalived.conf")
RUN_DIR = Path("/run/keepbus")


def run() -> dict[str, list[float]]:
    FILE.write_text("".join(map(virtual_server, range(VIRTUAL_SERVERS))))
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
    kernel = Kernel()
    last = codec.dump_destinations(pools[-1].key)

    def complete() -> bool:
        return len(kernel._dump(last)) == REAL_SERVERS

    def driver() -> float:
        started = time.monotonic()
        (outcome,) = kernel.write(commands)
        assert not any(outcome.errors)
        return time.monotonic() - started

    def ipvsadm() -> float:
        started = time.monotonic()
        subprocess.run(["ipvsadm", "-R"], input=words, text=True, check=True)
        return time.monotonic() - started

    found: dict[str, list[float]] = {
        "keepalived": [],
        "keepbus-ipvs": [],
        "driver alone": [],
        "ipvsadm -R": [],
    }
    for _ in range(ROUNDS):
        for name, measure in (
            ("keepalived", lambda: until_complete(KEEPALIVED, complete)),
            ("keepbus-ipvs", lambda: until_complete(KEEPBUS, complete)),
            ("driver alone", driver),
            ("ipvsadm -R", ipvsadm),
        ):
            kernel.request(codec.request(codec.FLUSH))
            time.sleep(1)
            found[name].append(measure())
    return found


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
    "--log-level",
    "warning",
)


def until_complete(command: tuple[str, ...], complete: Callable[[], bool]) -> float:
    """Seconds from the start of the program until its last destination is there; it is ended then."""
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        while not complete():
            assert time.monotonic() - started < 60, command
            time.sleep(0.02)
        return time.monotonic() - started
    finally:
        process.terminate()
        process.wait()


def virtual_server(number: int) -> str:
    servers = "".join(
        f"    real_server 10.1.{number % 250}.{index + 1} 80 {{\n        weight 1\n    }}\n"
        for index in range(REAL_SERVERS)
    )
    return (
        f"virtual_server 10.{number // 250 + 2}.{number % 250}.1 80 {{\n"
        f"    lb_algo wlc\n    lb_kind DR\n    protocol TCP\n{servers}}}\n"
    )
