"""What the FIFO is told of servers over a life: a start, failing checks, a reload, a stop; keepalived and us.

Nothing listens at the checked servers, so that their first check fails.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from keepbus.config.compiler import compile_file
from keepbus.runtime import generation

FILE = Path("/run/notices.conf")
FIFO = Path("/run/notices.fifo")
RUN_DIR = Path("/run/notices")
PATIENCE_S = 60.0
QUIET_S = 2.0
"""Nothing more is told after so long: each check has had its turn, and none has another result."""
SERVICES = ("hub", "notify", "ipvs", "checker")
CHECK = "TCP_CHECK {\nconnect_timeout 1\nretry 0\nwarmup 0\n%s}"


def virtual(vip: str, *lines: str) -> str:
    body = "\n".join(("lb_algo rr", "lb_kind NAT", "protocol TCP", "delay_loop 1", *lines))
    return f"virtual_server {vip} 80 {{\n{body}\n}}\n"


def server(address: str, check: str = "") -> str:
    return f"real_server {address} 80 {{\nweight 1\n{check}\n}}"


def text(*, init: bool, added: str = "", removed: str = "") -> str:
    lines = [f"lvs_notify_fifo {FIFO}", *(["rs_init_notifies"] if init else [])]
    return "".join(
        (
            "global_defs {\n" + "\n".join(lines) + "\n}\n",
            virtual("192.0.2.10", "omega", server("127.0.0.1"), server("127.0.0.2", CHECK % ""), added),
            virtual("192.0.2.11", server("127.0.0.1"), server("127.0.0.3", CHECK % "alpha\n"), removed),
            virtual("192.0.2.12", "quorum 2", "sorry_server 127.0.0.99 80",
                    server("127.0.0.4", CHECK % "alpha\n"), server("127.0.0.1")),
            virtual("192.0.2.13", "quorum 2", "alpha",
                    server("127.0.0.5", CHECK % ""), server("127.0.0.1")),
        )
    )  # fmt: skip


def run() -> dict[str, Any]:
    os.mkfifo(FIFO)
    os.chmod(FIFO, 0o600)
    reader = os.open(FIFO, os.O_RDWR | os.O_NONBLOCK)
    return {
        f"{name}, init" if init else name: lines(reader, program, init=init)
        for name, program in (("keepalived", keepalived), ("keepbus", keepbus))
        for init in (False, True)
    }


def lines(reader: int, program: Callable[[], Any], *, init: bool) -> dict[str, list[str]]:
    """What was told at the start, at a reload, at the stop."""
    FILE.write_text(text(init=init, removed=server("127.0.0.8")))
    with program() as reload:
        found = {"start": told(reader)}
        FILE.write_text(text(init=init, added=server("127.0.0.9")))
        reload()
        found["reload"] = told(reader)
    found["stop"] = told(reader, at_least=0)
    return found


def told(reader: int, at_least: int = 1) -> list[str]:
    """Lines until it is quiet; the NUL octets of keepalived's left out."""
    heard, began_s = b"", time.monotonic()
    last_s = began_s
    while time.monotonic() - last_s < QUIET_S or heard.count(b"\n") < at_least:
        assert time.monotonic() - began_s < PATIENCE_S, heard
        try:
            heard += os.read(reader, 65536)
            last_s = time.monotonic()
        except BlockingIOError:
            time.sleep(0.05)
    return heard.replace(b"\0", b"").decode().splitlines()


@contextmanager
def keepalived() -> Iterator[Callable[[], None]]:
    command = ["keepalived", "--check", "--dont-fork", "-f", str(FILE)]
    pids = ["-p", "/run/notices.pid", "-c", "/run/notices-check.pid"]
    process = subprocess.Popen([*command, *pids], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield lambda: process.send_signal(signal.SIGHUP)
    finally:
        process.terminate()
        process.wait()


@contextmanager
def keepbus() -> Iterator[Callable[[], None]]:
    """The four services that it takes, ended in the order of a node's stop."""

    def configure() -> None:
        configuration = compile_file(FILE, permissive=True).configuration
        assert configuration is not None
        generation.write(RUN_DIR, configuration, FILE)

    subprocess.run(["rm", "-rf", str(RUN_DIR)], check=True)
    RUN_DIR.mkdir()
    configure()
    running = {
        name: subprocess.Popen(
            [sys.executable, "-m", f"keepbus_{name}", "-r", RUN_DIR, "--log-level", "error"]
        )
        for name in SERVICES
    }

    def reload() -> None:
        configure()
        for name in reversed(SERVICES):
            running[name].send_signal(signal.SIGHUP)

    try:
        yield reload
    finally:
        for name in reversed(SERVICES):
            running[name].terminate()
            running[name].wait()
