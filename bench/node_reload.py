"""A reload of a whole node with 37,205 real servers and one change, and the adverts meanwhile.

    python -m bench node_reload
    python bench/node_reload.py [--virtual 2277] [--real 37205] [--reloads 5]

A node as `keepbus up` starts it, in a network namespace, with the dry-run driver for the table and an
instance that advertises every tenth of a second; each `keepbus reload` changes one weight. `compiled` is
what passes until the new generation is current, `applied` from then until the weight is in the table,
`confirmed` until every service said that it runs the generation and the command ended. A gap is that
between two adverts, by the time stamps of a capture at the other end of the wire. What keepalived needs for
such a reload is in `ipvs_life`, where it has an IPVS. Needs root and tcpdump.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "netns"))

from node_harness import INTERFACE, Node, configuration, node, wire

from bench._ipvs_life_guest import servers
from bench.ending import end_on_signals

INTERVAL_S = 0.1
PORT = 8080
SETTLED_S = 20
LIMIT_S = 60.0
_TAIL = 8192
"""Octets of the file that the last virtual server has room in."""
LISTENER = f"""
import socket
with socket.create_server(("0.0.0.0", {PORT}), backlog=4096) as server:
    while True:
        server.accept()[0].close()
"""


def main(argv: Sequence[str] = ()) -> int:
    """Print medians and longest times."""
    parser = argparse.ArgumentParser(prog="node_reload")
    parser.add_argument("--virtual", type=int, default=2277)
    parser.add_argument("--real", type=int, default=37205)
    parser.add_argument("--reloads", type=int, default=5)
    options = parser.parse_args(argv)
    if os.geteuid() != 0:
        print("node_reload: needs root", file=sys.stderr)
        return 0
    end_on_signals()
    pools = [
        [each.replace("10.", "127.", 1) for each in pool] for pool in servers(options.virtual, options.real)
    ]
    with wire() as (one, other):
        listener = _in(one, sys.executable, "-c", LISTENER)
        capture = _in(other, "tcpdump", "-lntt", "--immediate-mode", "-i", INTERFACE, "ip proto 112")
        try:
            with node(one, text(pools, 1), "--ipvs-driver", "dry-run") as made:
                until(lambda: is_in_table(made, pools, 1), "the table is whole")
                time.sleep(SETTLED_S)
                begun_s = time.time()
                times = [reload(made, pools, 2 + number) for number in range(options.reloads)]
                ended_s = time.time()
        finally:
            for process in (listener, capture):
                process.terminate()
            output, _ = capture.communicate()
    for name, each in zip(("compiled", "applied", "confirmed"), zip(*times, strict=True), strict=True):
        print(f"{name:<10} median {statistics.median(each):6.3f} s   longest {max(each):6.3f} s")
    moments = [float(line.split()[0]) for line in output.splitlines() if "VRRPv3, Advertisement" in line]
    gaps_s = [later - at for at, later in pairwise(moments) if begun_s < at < ended_s]
    print(f"adverts    {len(gaps_s)} gaps of {INTERVAL_S} s, the longest {max(gaps_s) * 1000:.1f} ms")
    return 0


def text(pools: Sequence[Sequence[str]], weight: int) -> str:
    """The file; weight is that of the first server of the last pool."""
    blocks = [configuration(200, advert_int=f"{INTERVAL_S}")]
    for number, pool in enumerate(pools):
        blocks.append(
            f"virtual_server 10.{number // 250 + 2}.{number % 250}.1 80 {{\n    delay_loop 60\n"
            "    lb_algo wlc\n    lb_kind NAT\n    protocol TCP\n"
            + "".join(
                f"    real_server {each} {PORT} {{\n        weight {weight if each == pools[-1][0] else 1}\n"
                "        TCP_CHECK {\n            connect_timeout 5\n        }\n    }\n"
                for each in pool
            )
            + "}\n"
        )
    return "".join(blocks)


def reload(made: Node, pools: Sequence[Sequence[str]], weight: int) -> tuple[float, float, float]:
    """Seconds: compiled, applied, confirmed."""
    made.file.write_text(text(pools, weight), encoding="utf-8")
    current = made.run_dir / "config" / "current"
    before = os.readlink(current)
    begun_s = time.monotonic()
    process = subprocess.Popen(made.command("reload"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: os.readlink(current) != before, "the new generation")
    current_s = time.monotonic()
    until(lambda: is_in_table(made, pools, weight), "the new weight")
    applied_s = time.monotonic()
    assert process.wait(LIMIT_S) == 0
    return current_s - begun_s, applied_s - current_s, time.monotonic() - current_s


def is_in_table(made: Node, pools: Sequence[Sequence[str]], weight: int) -> bool:
    """True when the first server of the last pool has this weight there."""
    try:
        with (made.run_dir / "ipvs" / "dry-run.json").open("rb") as file:
            file.seek(-min(_TAIL, file.seek(0, os.SEEK_END)), os.SEEK_END)
            return f'"{pools[-1][0]}", {PORT}, 0, {weight}, '.encode() in file.read()
    except FileNotFoundError:
        return False


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for it; raises AssertionError after a long time."""
    ended_s = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < ended_s, what
        time.sleep(0.001)


def _in(namespace: str, *command: str) -> subprocess.Popen[str]:
    line = ["ip", "netns", "exec", namespace, *command]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
