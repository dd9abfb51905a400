"""Troubles of processes: killed, frozen, several at once, all of them."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from dataclasses import replace

from soak.evidence import Terms
from soak.node import SERVICES, Node
from soak.routers import EVERYTHING
from soak.stage import Stage
from soak.troubles import Act, trouble

_DISTURBED = Terms(moves=EVERYTHING, untold=True, unrecorded=True)
"""A whole node is gone for a while."""


def _harmless(*services: str) -> Terms:
    """What the death of these may cause: nothing that a client sees."""
    return Terms(
        anew="vrrp" in services,
        untold="notify" in services,
        unrecorded=not {"audit", "hub"}.isdisjoint(services),
    )


@trouble
def kill_service(stage: Stage, chance: random.Random) -> Iterator[Act]:
    """kill -9 of one service: nothing is seen outside (R-F1, R-F2, R-F8 to R-F12)."""
    node, name = chance.choice(stage.nodes), chance.choice(SERVICES)
    node.signal(signal.SIGKILL, node.service(name))
    yield Act(f"{node.name}: kill -9 {name}", _harmless(name))


@trouble
def kill_several(stage: Stage, chance: random.Random) -> Iterator[Act]:
    """kill -9 of several services at once: the standby of vrrp lives."""
    node, names = chance.choice(stage.nodes), chance.sample(SERVICES, chance.randint(2, len(SERVICES)))
    node.signal(signal.SIGKILL, *map(node.service, names))
    yield Act(f"{node.name}: kill -9 {' '.join(names)}", _harmless(*names))


@trouble
def kill_again_and_again(stage: Stage, chance: random.Random) -> Iterator[Act]:
    """kill -9 of one service, six times, as soon as it is back (R-F21)."""
    node, name = chance.choice(stage.nodes), chance.choice([s for s in SERVICES if s != "vrrp"])
    for _ in range(6):
        pid = node.service(name)
        node.signal(signal.SIGKILL, pid)
        deadline = time.monotonic() + 5
        while node.service(name) == pid and time.monotonic() < deadline:
            time.sleep(0.05)
    yield Act(f"{node.name}: kill -9 {name}, six times", _harmless(name))


@trouble
def kill_vrrp_and_standby(stage: Stage, chance: random.Random) -> Iterator[Act]:
    """kill -9 of both: the lease ends, or their successor is faster (R-F3)."""
    node = chance.choice(stage.nodes)
    pids = [pid for pid, what in node.processes().items() if what == "keepbus_vrrp"]
    node.signal(signal.SIGKILL, *pids)
    yield Act(f"{node.name}: kill -9 of vrrp and its standby", Terms(moves=EVERYTHING))


@trouble
def freeze_service(stage: Stage, chance: random.Random) -> Iterator[Act]:
    """SIGSTOP of one service for up to 12 s: the watchdog replaces it after 5 s (R-F16 to R-F18)."""
    node, name, lasts_s = chance.choice(stage.nodes), chance.choice(SERVICES), chance.uniform(0.3, 12)
    pid = node.service(name)
    node.signal(signal.SIGSTOP, pid)
    terms = Terms(moves=EVERYTHING) if name == "vrrp" else _harmless(name)
    yield Act(f"{node.name}: {name} is stopped for {lasts_s:.1f} s", terms, lasts_s)
    node.signal(signal.SIGCONT, pid)


@trouble
def freeze_node(stage: Stage, chance: random.Random) -> Iterator[Act]:
    """SIGSTOP of all processes of a node, as a hanging machine (R-F19)."""
    node, lasts_s = chance.choice(stage.nodes), chance.uniform(0.3, 8)
    pids = list(node.processes())
    node.signal(signal.SIGSTOP, *pids)
    yield Act(f"{node.name}: all processes are stopped for {lasts_s:.1f} s", _DISTURBED, lasts_s)
    node.signal(signal.SIGCONT, *pids)


@trouble
def freeze_supervision(stage: Stage, chance: random.Random) -> Iterator[Act]:
    """supervisord or `keepbus up` is stopped while a service dies: it is back when they go on."""
    node, lasts_s = chance.choice(stage.nodes), chance.uniform(1, 7)
    what, pid = chance.choice((("supervisord", node.supervisord()), ("keepbus up", node.foreground())))
    name = chance.choice(SERVICES)
    node.signal(signal.SIGSTOP, pid)
    node.signal(signal.SIGKILL, node.service(name))
    told = f"{node.name}: {what} is stopped for {lasts_s:.1f} s, kill -9 {name}"
    yield Act(told, _harmless(name), lasts_s)
    node.signal(signal.SIGCONT, pid)


@trouble
def terminate_service(stage: Stage, chance: random.Random) -> Iterator[Act]:
    """SIGTERM of a service by hand: it says goodbye, and is started again."""
    node, name = chance.choice(stage.nodes), chance.choice(SERVICES)
    node.signal(signal.SIGTERM, node.service(name))
    terms = replace(_harmless(name), moves=EVERYTHING if name == "vrrp" else frozenset())
    yield Act(f"{node.name}: kill -TERM {name}", terms)


@trouble
def kill_while_moving(stage: Stage, chance: random.Random) -> Iterator[Act]:
    """Services die while mastership moves: what happened is told all the same (R-F4 to R-F6, R-F11)."""
    node, names = chance.choice(stage.nodes), chance.sample(("hub", "notify", "vrrp", "audit"), 2)
    for router in ("SLOW", "TRACKED", "FAST"):
        node.keepbus("demote", router)
    time.sleep(chance.uniform(0, 0.3))
    node.signal(signal.SIGKILL, *map(node.service, names))
    terms = replace(_harmless(*names), moves=EVERYTHING, anew=True, unrecorded=True)
    yield Act(f"{node.name}: three routers demoted, kill -9 {' '.join(names)}", terms, 3)
    for router in ("SLOW", "TRACKED", "FAST"):
        node.keepbus("demote", "--undo", router)


@trouble
def kill_supervisord(stage: Stage, chance: random.Random) -> Iterator[Act]:
    """kill -9 of supervisord: the node ends, nothing of it is left, init starts it again (R-F13)."""
    node, lasts_s = chance.choice(stage.nodes), chance.uniform(0, 4)
    node.signal(signal.SIGKILL, node.supervisord())
    _await_end(node)
    yield Act(f"{node.name}: kill -9 supervisord, started again after {lasts_s:.1f} s", _DISTURBED, lasts_s)
    stage.restart(node)


@trouble
def kill_parent(stage: Stage, chance: random.Random) -> Iterator[Act]:
    """kill -9 of `keepbus up`: the node ends, and is started again when nothing is left."""
    node, lasts_s = chance.choice(stage.nodes), chance.choice((0.0, 0.2, 1.0))
    node.signal(signal.SIGKILL, node.pid)
    _await_end(node)
    yield Act(f"{node.name}: kill -9 keepbus up, started again after {lasts_s} s", _DISTURBED, lasts_s)
    # Init would try again as long as what is left holds the run directory.
    deadline = time.monotonic() + 10
    while node.processes() and time.monotonic() < deadline:
        time.sleep(0.05)
    stage.restart(node)


@trouble
def kill_node(stage: Stage, chance: random.Random) -> Iterator[Act]:
    """kill -9 of all processes of a node, and a new start over what they left (R-F14)."""
    node, lasts_s = chance.choice(stage.nodes), chance.uniform(0, 6)
    node.signal(signal.SIGKILL, *node.processes())
    _await_end(node)
    yield Act(f"{node.name}: kill -9 of everything, started again after {lasts_s:.1f} s", _DISTURBED, lasts_s)
    stage.restart(node)


@trouble
def stop_node(stage: Stage, chance: random.Random) -> Iterator[Act]:
    """An orderly stop, and a new start."""
    node, lasts_s = chance.choice(stage.nodes), chance.uniform(0, 4)
    status = node.stop()
    left = ", ".join(node.processes().values()) or "nothing"
    told = f"{node.name}: stopped with status {status}, {left} is left, started after {lasts_s:.1f} s"
    if status or left != "nothing":
        raise RuntimeError(told)
    yield Act(told, _DISTURBED, lasts_s)
    stage.restart(node)


@trouble
def kill_while_starting(stage: Stage, chance: random.Random) -> Iterator[Act]:
    """A node that is killed in the middle of its start, twice."""
    node = chance.choice(stage.nodes)
    node.stop()
    moments = [chance.uniform(0.1, 2.5) for _ in range(2)]
    for moment_s in moments:
        stage.restart(node)
        time.sleep(moment_s)
        node.signal(signal.SIGKILL, *node.processes())
        _await_end(node)
    told = " and ".join(f"{moment_s:.2f} s" for moment_s in moments)
    yield Act(f"{node.name}: killed {told} after its start", replace(_DISTURBED, most_steps=10))
    stage.restart(node)


def _await_end(node: Node) -> None:
    deadline = time.monotonic() + 10
    while node.up and time.monotonic() < deadline:
        time.sleep(0.02)
