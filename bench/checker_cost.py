"""What checks cost: CPU time per TCP, HTTP and HTTPS check, keepbus beside keepalived in the same run.

    python -m bench checker_cost
    python bench/checker_cost.py [--targets 2000] [--secured 500] [--seconds 10] [--rounds 3]

Each round makes a fresh network namespace with one server that listens on all of 127/8 (nginx for HTTPS: TLS
1.3, a key of P-256), and lets each program check so many targets once a second. CPU time is the kernel's
account in nanoseconds of all threads of keepbus-checker, and of both processes of keepalived; checks are the
connections that the namespace opened. keepalived runs without ip_vs through checker_ipvs_shim.c, which is not
called while checks run. Needs root, gcc, keepalived, nginx and openssl.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from keepbus.config.model.checker import Check, CheckerSection, CheckKind, StatusRange, Url
from keepbus.config.model.configuration import Configuration
from keepbus.runtime import generation

HERE = Path(__file__).resolve().parent
PORT = 9999
MOST_OF_ONE = 4000
"""More targets are shared by as many keepbus-checkers as there are CPUs."""
SETTLE_S = 60.0
"""So long a program may take until it checks nearly all targets each second."""


def address(index: int) -> str:
    """The index-th target."""
    return f"127.{1 + index // 40_000}.{index // 200 % 200}.{index % 200 + 1}"


class World:
    """A namespace with the server in it; children end with it."""

    def __init__(self, directory: Path, kind: CheckKind) -> None:
        self.kind = kind
        self.directory = directory
        self._children: list[subprocess.Popen[bytes]] = []
        mode = ["http"] if kind is CheckKind.HTTP_GET else []
        server = secured(directory) if kind is CheckKind.SSL_GET else [directory / "server", PORT, *mode]
        self._spawn(["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *server])
        self._namespace = f"/proc/{self._children[0].pid}/ns/net"
        time.sleep(0.5)

    def inside(self, command: Sequence[object], **settings: str) -> subprocess.Popen[bytes]:
        """Start a program in the namespace."""
        return self._spawn(["nsenter", f"--net={self._namespace}", *command], **settings)

    def opened(self) -> int:
        """Connections opened in the namespace so far."""
        lines = Path(f"/proc/{self._children[0].pid}/net/snmp").read_text(encoding="ascii").splitlines()
        names, values = (line.split() for line in lines if line.startswith("Tcp:"))
        return int(values[names.index("ActiveOpens")])

    def close(self) -> None:
        """End everything."""
        for child in reversed(self._children):
            child.terminate()
            try:
                child.wait(5)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def _spawn(self, command: Sequence[object], **settings: str) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(
            [str(word) for word in command],
            env={**os.environ, **settings},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._children.append(child)
        return child


def secured(directory: Path) -> list[object]:
    """The command of a server that answers inside TLS."""
    key, certificate = directory / "key", directory / "certificate"
    request = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9 -subj /CN=bench"
    subprocess.run([*request.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    file = directory / "nginx.conf"
    file.write_text(
        f"daemon off; worker_processes 2; pid {directory}/nginx.pid; error_log stderr crit;\n"
        "events { worker_connections 4096; }\n"
        f"http {{ access_log off; server {{ listen {PORT} ssl backlog=4096;\n"
        f"ssl_certificate {certificate}; ssl_certificate_key {key}; ssl_protocols TLSv1.3;\n"
        'location / { return 200 "hello"; } } }\n',
        encoding="ascii",
    )
    return ["nginx", "-p", directory, "-c", file]


def cpu_ns(pids: Sequence[int]) -> int:
    """CPU time of all threads of these processes, nanoseconds."""
    return sum(
        int((task / "schedstat").read_text(encoding="ascii").split()[0])
        for pid in pids
        for task in Path(f"/proc/{pid}/task").iterdir()
    )


def children(pid: int) -> list[int]:
    """Process ids of a process's children."""
    return [
        int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    ]


def keepbus(
    world: World, targets: int, *, delay_s: int = 1, most_of_one: int = MOST_OF_ONE
) -> Callable[[], list[int]]:
    """Start hub and checker, or checkers; the process ids of these."""
    check = Check(
        id="",
        kind=world.kind,
        address="",
        port=PORT,
        delay_loop_us=delay_s * 1_000_000,
        warmup_us=delay_s * 1_000_000,
        urls=()
        if world.kind is CheckKind.TCP_CHECK
        else (Url(path="/", status_codes=(StatusRange(low=200, high=200),)),),
    )
    fields = {name: getattr(check, name) for name in Check.__slots__}
    checks = tuple(
        Check(**{**fields, "id": f"{world.kind}:{address(index)}:{PORT}", "address": address(index)})
        for index in range(targets)
    )
    run_dir = world.directory / "run"
    run_dir.mkdir()
    generation.write(run_dir, Configuration(checker=CheckerSection(checks=checks)), run_dir)

    def start(name: str, *options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"keepbus_{name}", "-r", run_dir, "--log-level", "error"]
        return world.inside([*command, *options])

    start("hub")
    processes = os.cpu_count() or 1 if targets > most_of_one else 1
    started = [start("checker", "--share", f"{number}/{processes}") for number in range(1, processes + 1)]
    return lambda: [process.pid for process in started]


def keepalived(
    world: World, targets: int, *, delay_s: int = 1, servers_of_one: int = 10_000
) -> Callable[[], list[int]]:
    """Start keepalived's parent and checker, with servers_of_one in a virtual server; their process ids."""
    check = "TCP_CHECK {\n}\n"
    if world.kind is not CheckKind.TCP_CHECK:
        check = f"{world.kind} {{\nurl {{\npath /\nstatus_code 200\n}}\n}}\n"
    head = f"delay_loop {delay_s}\nprotocol TCP\nlb_algo rr\nlb_kind NAT\n"
    text = ""
    for first in range(0, targets, servers_of_one):
        text += f"virtual_server 10.{first >> 16}.{first >> 8 & 255}.{first & 255} 80 {{\n{head}"
        for index in range(first, min(first + servers_of_one, targets)):
            text += f"real_server {address(index)} {PORT} {{\n{check}}}\n"
        text += "}\n"
    file = world.directory / "keepalived.conf"
    file.write_text(text, encoding="ascii")
    pid_file, checkers_pid_file = world.directory / "keepalived.pid", world.directory / "checkers.pid"
    started = world.inside(
        ["keepalived", "-C", "-n", "-l", "-f", file, "-p", pid_file, "-c", checkers_pid_file],
        LD_PRELOAD=str(world.directory / "shim.so"),
    )
    return lambda: [started.pid, *children(started.pid)]


Program = Callable[[World, int], Callable[[], list[int]]]


def measure(
    program: Program, kind: CheckKind, targets: int, seconds: float, directory: Path
) -> tuple[float, float]:
    """CPU microseconds per check, and checks per second."""
    with tempfile.TemporaryDirectory(dir=directory) as name:
        place = Path(name)
        for built in ("server", "shim.so"):
            (place / built).hardlink_to(directory / built)
        world = World(place, kind)
        try:
            pids = program(world, targets)
            settle(world, targets)
            at, opened, used = time.monotonic(), world.opened(), cpu_ns(pids())
            time.sleep(seconds)
            took, checks, cost = time.monotonic() - at, world.opened() - opened, cpu_ns(pids()) - used
        finally:
            world.close()
    return cost / 1000 / max(checks, 1), checks / took


def settle(world: World, rate_wanted: float) -> None:
    """Wait until nearly so many checks come in a second, then a little longer."""
    deadline = time.monotonic() + SETTLE_S
    rate = 0.0
    while rate < 0.9 * rate_wanted and time.monotonic() < deadline:
        opened = world.opened()
        time.sleep(1)
        rate = world.opened() - opened
    time.sleep(2)


def build(directory: Path) -> None:
    """Compile the server and the shim."""
    for output, source, options in (
        ("server", "checker_server.c", []),
        ("shim.so", "checker_ipvs_shim.c", ["-shared", "-fPIC"]),
    ):
        command = ["gcc", "-O2", *options, "-o", directory / output, HERE / source, "-ldl"]
        subprocess.run([str(word) for word in command], check=True)


def main(argv: Sequence[str] = ()) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--targets", type=int, default=2000, help="0: leave TCP and HTTP checks out")
    parser.add_argument("--secured", type=int, default=500, help="targets of HTTPS checks; 0: leave them out")
    parser.add_argument(
        "--most",
        type=int,
        default=8000,
        help="targets of the last table, shared by several keepbus-checkers; 0: leave it out",
    )
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(argv)
    programs: dict[str, Program] = {"keepbus": keepbus, "keepalived": keepalived}
    with tempfile.TemporaryDirectory(prefix="keepbus-bench-") as name:
        directory = Path(name)
        build(directory)
        wanted = {
            CheckKind.TCP_CHECK: options.targets,
            CheckKind.HTTP_GET: options.targets,
            CheckKind.SSL_GET: options.secured,
        }
        for kind, targets in wanted.items():
            if not targets:
                continue
            costs: dict[str, list[float]] = {program: [] for program in programs}
            for _ in range(options.rounds):
                for program, start in programs.items():
                    cost_us, rate = measure(start, kind, targets, options.seconds, directory)
                    costs[program].append(cost_us)
                    told = f"{cost_us:7.1f} µs CPU per check at {rate:6.0f} checks/s"
                    print(f"{kind:<10} {program:<11} {told}", flush=True)
            ours, theirs = (statistics.median(costs[program]) for program in programs)
            print(f"{kind:<10} keepbus / keepalived: {ours:.1f} / {theirs:.1f} µs = {ours / theirs:.2f}\n")
        for kind in (CheckKind.TCP_CHECK, CheckKind.HTTP_GET) if options.most else ():
            for program, start in programs.items():
                cost_us, rate = measure(start, kind, options.most, options.seconds, directory)
                told = f"{rate:6.0f} checks/s at {cost_us:.1f} µs CPU each"
                print(f"{options.most} targets each second: {kind:<10} {program:<11} {told}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
