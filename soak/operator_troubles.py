"""Troubles that an operator or a server makes: reloads, demotions, drains, slow scripts, dead servers."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from soak.evidence import Terms
from soak.network import WEB
from soak.routers import EVERYTHING, ROUTERS, Variant, moving
from soak.stage import Stage
from soak.troubles import Act, trouble

_VARIANTS: tuple[dict[str, Any], ...] = (
    {"comment": "a word"},
    {"interval_of_check_s": 2},
    {"extra_router": True},
    {"extra_router": True, "interval_of_check_s": 3},
)
_OF_NODES_ALONE: tuple[dict[str, Any], ...] = ({"extra_address": True},)
"""A keepalived that has not reloaded would not believe the others' adverts any more."""


@trouble
def reload(stage: Stage, chance: random.Random) -> Iterator[Act]:
    """A changed file on all nodes, and back: nothing but the difference moves."""
    variants = _VARIANTS if stage.peers else _VARIANTS + _OF_NODES_ALONE
    variant, lasts_s = chance.choice(variants), chance.uniform(1, 5)
    _reload_all(stage, Variant(**variant))
    yield Act(f"all nodes: reload with {variant}", Terms(moves=frozenset({"MORE"})), lasts_s)
    _reload_all(stage, Variant())


@trouble
def reload_with_errors(stage: Stage, chance: random.Random) -> Iterator[Act]:
    """A file that cannot be used: refused whole, nothing changes."""
    node = chance.choice(stage.nodes)
    node.write(Variant(broken=True))
    status, page = node.keepbus("reload")
    if status != 2:
        raise RuntimeError(f"{node.name}: a broken file was not refused: {page}")
    yield Act(f"{node.name}: reload with errors")
    node.write(Variant())


@trouble
def reload_storm(stage: Stage, chance: random.Random) -> Iterator[Act]:
    """Twenty SIGHUPs within a second, the file changed with each; the last one wins (R-F85)."""
    node = chance.choice(stage.nodes)
    for number in range(20):
        node.write(Variant(comment=f"number {number}", interval_of_check_s=1 + number % 2))
        node.signal(signal.SIGHUP, node.pid)
        time.sleep(0.05)
    yield Act(f"{node.name}: twenty reloads within a second", Terms(), 4)
    node.write(Variant())
    node.keepbus("reload")


@trouble
def reload_and_kill(stage: Stage, chance: random.Random) -> Iterator[Act]:
    """A service dies in the middle of a reload: it starts with the new generation (R-F87)."""
    node, name = chance.choice(stage.nodes), chance.choice(("hub", "notify", "ipvs", "checker", "vrrp"))
    node.write(replace(Variant(), interval_of_check_s=2))
    node.signal(signal.SIGHUP, node.pid)
    time.sleep(chance.uniform(0.1, 1.0))
    node.signal(signal.SIGKILL, node.service(name))
    terms = Terms(anew=name == "vrrp", untold=name == "notify", unrecorded=name == "hub")
    yield Act(f"{node.name}: kill -9 {name} during a reload", terms, 3)
    node.write(Variant())
    status, page = node.keepbus("reload")
    if status:
        raise RuntimeError(f"{node.name}: reload: {page}")


@trouble
def demote(stage: Stage, chance: random.Random) -> Iterator[Act]:
    """Mastership leaves by command, and comes back."""
    router, lasts_s = chance.choice(ROUTERS), chance.uniform(1, 6)
    node = stage.first(router)
    status, page = node.keepbus("demote", router.name)
    if status:
        raise RuntimeError(f"{node.name}: demote {router.name}: {page}")
    yield Act(f"{node.name}: {router.name} demoted for {lasts_s:.1f} s", Terms(moves=moving(router)), lasts_s)
    status, page = node.keepbus("demote", "--undo", router.name)
    if status:
        raise RuntimeError(f"{node.name}: demote --undo {router.name}: {page}")


@trouble
def drain(stage: Stage, chance: random.Random) -> Iterator[Act]:
    """A real server gets no new connections, and gets them again."""
    address = chance.choice(list(WEB.values()))
    for node in stage.nodes:
        status, page = node.keepbus("drain", f"{address}:80")
        if status:
            raise RuntimeError(f"{node.name}: drain {address}: {page}")
    yield Act(f"all nodes: {address} drained", Terms(), 2)
    for node in stage.nodes:
        node.keepbus("undrain", f"{address}:80")


@trouble
def kill_web_server(stage: Stage, chance: random.Random) -> Iterator[Act]:
    """A real server goes and comes back."""
    name, lasts_s = chance.choice(list(WEB)), chance.uniform(0.5, 6)
    stage.web[name].kill()
    yield Act(f"{name} is dead for {lasts_s:.1f} s", Terms(), lasts_s)
    stage.web[name].start()


@trouble
def script_fails(stage: Stage, chance: random.Random) -> Iterator[Act]:
    """The tracked script of the master fails for a while."""
    node, lasts_s = stage.nodes[0], chance.uniform(0.5, 6)
    node.set("fit", 1)
    yield Act(
        f"{node.name}: its tracked script fails for {lasts_s:.1f} s",
        Terms(moves=frozenset({"TRACKED"})),
        lasts_s,
    )
    node.set("fit", 0)


@trouble
def file_changes(stage: Stage, chance: random.Random) -> Iterator[Act]:
    """The tracked file of the master says that it is worth less."""
    router = next(router for router in ROUTERS if router.name == "FILED")
    node, lasts_s = stage.first(router), chance.uniform(0.2, 6)
    node.set("load", -100)
    yield Act(
        f"{node.name}: its tracked file says -100 for {lasts_s:.1f} s",
        Terms(moves=frozenset({"FILED"})),
        lasts_s,
    )
    node.set("load", 0)


@trouble
def slow_scripts(stage: Stage, chance: random.Random) -> Iterator[Act]:
    """Notify scripts take seconds while mastership goes and comes: all are told of, in order (R-F81)."""
    node = stage.first(next(router for router in ROUTERS if router.name == "FAST"))
    pause_s = chance.choice((1, 3))
    for each in stage.nodes:
        each.set("pause", pause_s)
    node.keepbus("demote", "FAST")
    time.sleep(0.7)
    node.keepbus("demote", "--undo", "FAST")
    yield Act(
        f"{node.name}: FAST demoted for 0.7 s, scripts take {pause_s} s", Terms(moves=frozenset({"FAST"})), 3
    )
    for each in stage.nodes:
        each.set("pause", 0)


@trouble
def move_everything(stage: Stage, chance: random.Random) -> Iterator[Act]:
    """A node stops while another one reloads."""
    node = chance.choice(stage.nodes)
    for other in stage.others(node):
        other.write(Variant(comment="moving"))
        other.signal(signal.SIGHUP, other.pid)
    node.stop()
    yield Act(
        f"{node.name}: stopped while others reload", Terms(moves=EVERYTHING, untold=True, unrecorded=True), 4
    )
    stage.restart(node)


def _reload_all(stage: Stage, variant: Variant) -> None:
    for node in stage.nodes:
        node.write(variant)
        status, page = node.keepbus("reload")
        if status:
            raise RuntimeError(f"{node.name}: reload with {variant}: {page}")
