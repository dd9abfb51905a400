"""`./dev soak [MINUTES]`: whole nodes in namespaces of their own, one trouble after the other, each judged.

Needs root. What a round left behind is printed with the seed and the round's number, and stays in --logs.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import NoReturn

from demo import network
from soak import combined_troubles, host_troubles, network_troubles, operator_troubles, process_troubles
from soak.rounds import Soak
from soak.stage import stage
from soak.troubles import TROUBLES

_INSIDE = "KEEPBUS_SOAK_INSIDE"
_MODULES = (process_troubles, network_troubles, host_troubles, operator_troubles, combined_troubles)
"""Imported because they register troubles."""


def main() -> int:
    """The exit status: 0 when nothing was found."""
    options = _options()
    if _INSIDE not in os.environ:
        _enter(options)
    work = Path("/run/soak")
    network.run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    (Path("/run/netns")).mkdir()
    work.mkdir()
    network.run("mount", "--bind", str(options.logs), str(work))
    with stage(work, options.nodes, options.peers) as made:
        soak = Soak(made, random.Random(options.seed), options)
        until = time.monotonic() + options.minutes * 60
        while time.monotonic() < until and (options.rounds is None or soak.number < options.rounds):
            soak.play(until)
        soak.finish()
    return soak.report()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev soak", description=__doc__.splitlines()[0])
    parser.add_argument("minutes", nargs="?", type=float, default=10.0, help="how long [%(default)g]")
    parser.add_argument("--seed", type=int, default=None, help="of the sequence of troubles [the time]")
    parser.add_argument("--nodes", type=int, choices=(2, 3), default=2)
    parser.add_argument("--peers", type=int, choices=(0, 1), default=0, help="of Debian's keepalived")
    parser.add_argument("--rounds", type=int, default=None, help="at most so many")
    parser.add_argument("--only", action="append", choices=sorted(TROUBLES), help="these troubles only")
    parser.add_argument("--logs", type=Path, default=None, help="folder of what stays [a new one in /tmp]")
    options = parser.parse_args()
    if options.seed is None:
        options.seed = int(time.time())
    if options.logs is None:
        options.logs = Path(tempfile.mkdtemp(prefix=f"keepbus-soak-{options.seed}-"))
    options.logs = options.logs.absolute()
    return options


def _enter(options: argparse.Namespace) -> NoReturn:
    """Become the same in a network, with mounts and processes of its own, which end with it."""
    if os.geteuid() != 0:
        sys.exit("soak: needs root")
    options.logs.mkdir(parents=True, exist_ok=True)
    options.logs.chmod(0o755)
    print(f"seed {options.seed}, logs in {options.logs}", flush=True)
    arguments = [*sys.argv[1:], "--seed", str(options.seed), "--logs", str(options.logs)]
    os.execvpe(
        "unshare",
        ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child",
         sys.executable, "-m", "soak", *arguments],
        {**os.environ, _INSIDE: "1", "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
