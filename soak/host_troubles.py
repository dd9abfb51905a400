"""Troubles of the host: a full disk, no descriptors, no processor, a run directory that vanishes."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from demo.network import inside
from soak.evidence import Terms
from soak.node import SERVICES
from soak.routers import EVERYTHING
from soak.stage import Stage
from soak.troubles import Act, trouble


@trouble
def fill_disk(stage: Stage, chance: random.Random) -> Iterator[Act]:
    """The run directory's file system is full for a while (R-F37)."""
    node, lasts_s = chance.choice(stage.nodes), chance.uniform(3, 8)
    ballast = node.run_dir / "ballast"
    _fill(ballast)
    yield Act(f"{node.name}: disk full for {lasts_s:.1f} s", Terms(unrecorded=True), lasts_s)
    ballast.unlink()


@trouble
def fill_disk_and_kill(stage: Stage, chance: random.Random) -> Iterator[Act]:
    """A service dies while the disk is full: it must start without it."""
    node, name, lasts_s = chance.choice(stage.nodes), chance.choice(SERVICES), chance.uniform(3, 8)
    ballast = node.run_dir / "ballast"
    _fill(ballast)
    node.signal(signal.SIGKILL, node.service(name))
    terms = Terms(unrecorded=True, anew=name == "vrrp", untold=name == "notify")
    yield Act(f"{node.name}: disk full for {lasts_s:.1f} s, kill -9 {name}", terms, lasts_s)
    ballast.unlink()


@trouble
def no_descriptors(stage: Stage, chance: random.Random) -> Iterator[Act]:
    """A service may open no more files for a while (R-F43)."""
    node, name, lasts_s = chance.choice(stage.nodes), chance.choice(SERVICES), chance.uniform(2, 6)
    pid = node.service(name)
    with contextlib.suppress(OSError):
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (len(os.listdir(f"/proc/{pid}/fd")), before[1]))
    terms = Terms(unrecorded=name in ("hub", "audit"), untold=name == "notify", anew=name == "vrrp")
    yield Act(f"{node.name}: {name} may open no more files for {lasts_s:.1f} s", terms, lasts_s)
    with contextlib.suppress(OSError):
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


@trouble
def hog_processors(stage: Stage, chance: random.Random) -> Iterator[Act]:
    """Four processes take all the time they get (R-F41), as nice as a shared machine asks."""
    lasts_s = chance.uniform(3, 6)
    hogs = [
        subprocess.Popen(["nice", "-n", "5", sys.executable, "-S", "-c", "while True: pass"])
        for _ in range(4)
    ]
    yield Act(f"four hogs for {lasts_s:.1f} s", Terms(), lasts_s)
    for hog in hogs:
        hog.kill()
        hog.wait()


@trouble
def freeze_listeners(stage: Stage, chance: random.Random) -> Iterator[Act]:
    """Programs that listen to the bus and don't read: nobody waits for them (R-F26)."""
    node = chance.choice(stage.nodes)
    taps = [
        subprocess.Popen(inside(node.name, *node.command("tap")), stdout=subprocess.DEVNULL) for _ in range(3)
    ]
    time.sleep(1.5)
    for tap in taps:
        tap.send_signal(signal.SIGSTOP)
    yield Act(f"{node.name}: three listeners are stopped for 6 s", Terms(), 6)
    for tap in taps:
        tap.kill()
        tap.wait()


@trouble
def garble_files(stage: Stage, chance: random.Random) -> Iterator[Act]:
    """A node dies, and what it kept is garbage when it starts again."""
    node = chance.choice(stage.nodes)
    node.signal(signal.SIGKILL, *node.processes())
    time.sleep(0.5)
    names = ("vrrp/memory", "ipvs/nftables", "notify/ledger", "audit/journal.jsonl")
    chosen = chance.sample(names, 2)
    for name in chosen:
        path = node.run_dir / name
        if path.exists():
            size = path.stat().st_size
            path.write_bytes(chance.randbytes(min(size, 4096)) + b"\0" * max(size - 4096, 0))
    terms = Terms(moves=EVERYTHING, anew=True, untold=True, unrecorded=True, most_steps=40)
    yield Act(f"{node.name}: killed, {' and '.join(chosen)} garbled", terms)
    stage.restart(node)


@trouble
def delete_sockets(stage: Stage, chance: random.Random) -> Iterator[Act]:
    """The bus's socket files vanish: bound again within a second (R-F24)."""
    node = chance.choice(stage.nodes)
    for path in (node.run_dir / "bus").rglob("socket"):
        path.unlink()
    yield Act(f"{node.name}: socket files of the bus deleted", Terms(unrecorded=True))


@trouble
def delete_run_directory(stage: Stage, chance: random.Random) -> Iterator[Act]:
    """Everything in the run directory vanishes: vrrp goes on until the node is started anew (R-F25)."""
    node = chance.choice(stage.nodes)
    for path in node.run_dir.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    yield Act(f"{node.name}: run directory emptied", Terms(unrecorded=True, untold=True, moves=EVERYTHING), 4)
    node.stop()
    stage.restart(node)


def _fill(ballast: Path) -> None:
    block = b"\0" * 65536
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while block:
            if file.write(block) < len(block):
                block = block[: len(block) // 2]
