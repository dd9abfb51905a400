"""Troubles of the network: cables, cuts, losses, and what somebody removes by hand."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

from demo.network import inside, run
from soak import network
from soak.evidence import Terms
from soak.network import BACK, FRONT
from soak.node import Node
from soak.routers import EVERYTHING, ROUTERS, moving
from soak.stage import Stage
from soak.troubles import Act, trouble

_MOVES = Terms(moves=EVERYTHING)
_SPLIT = Terms(moves=EVERYTHING, split=True, most_steps=8)


@trouble
def pull_cables(stage: Stage, chance: random.Random) -> Iterator[Act]:
    """Carrier loss on both interfaces of a node (R-F51)."""
    node, lasts_s = chance.choice(stage.nodes), chance.uniform(0.2, 7)
    network.plug(node.name, on=False)
    yield Act(f"{node.name}: cables pulled for {lasts_s:.1f} s", _MOVES, lasts_s)
    network.plug(node.name, on=True)


@trouble
def flap_cables(stage: Stage, chance: random.Random) -> Iterator[Act]:
    """Carrier comes and goes, five times within two seconds (R-F52)."""
    node = chance.choice(stage.nodes)
    for _ in range(5):
        network.plug(node.name, on=False)
        time.sleep(0.2)
        network.plug(node.name, on=True)
        time.sleep(0.2)
    yield Act(
        f"{node.name}: cables pulled five times",
        Terms(moves=EVERYTHING, split=True, silent_s=3, most_steps=30),
    )


@trouble
def take_interface_down(stage: Stage, chance: random.Random) -> Iterator[Act]:
    """`ip link set … down` on the node, and up again: routes and IPv6 addresses are gone then."""
    node, interface, lasts_s = (
        chance.choice(stage.nodes),
        chance.choice((FRONT, BACK)),
        chance.uniform(0.2, 5),
    )
    run(*inside(node.name, "ip", "link", "set", interface, "down"))
    yield Act(f"{node.name}: {interface} down for {lasts_s:.1f} s", _MOVES, lasts_s)
    run(*inside(node.name, "ip", "link", "set", interface, "up"))
    _give_ipv6(stage, node)


@trouble
def rename_interface(stage: Stage, chance: random.Random) -> Iterator[Act]:
    """An interface gets another name, and its own again: FAULT, and back by itself (R-F53)."""
    node, interface, lasts_s = (
        chance.choice(stage.nodes),
        chance.choice((FRONT, BACK)),
        chance.uniform(0.5, 4),
    )
    _rename(node, interface, "other")
    yield Act(f"{node.name}: {interface} is called other for {lasts_s:.1f} s", _MOVES, lasts_s)
    _rename(node, "other", interface)
    _give_ipv6(stage, node)


@trouble
def remove_primary_address(stage: Stage, chance: random.Random) -> Iterator[Act]:
    """The address that adverts come from is removed, and added again (R-F54)."""
    node, interface, lasts_s = (
        chance.choice(stage.nodes),
        chance.choice((FRONT, BACK)),
        chance.uniform(0.5, 4),
    )
    number = stage.nodes.index(node) + 1
    address = f"10.{77 if interface == FRONT else 78}.0.{number}/16"
    run(*inside(node.name, "ip", "address", "delete", address, "dev", interface))
    yield Act(f"{node.name}: {address} removed for {lasts_s:.1f} s", _MOVES, lasts_s)
    run(*inside(node.name, "ip", "address", "replace", address, "dev", interface))


@trouble
def lower_mtu(stage: Stage, chance: random.Random) -> Iterator[Act]:
    """An MTU so low that IPv6 ends on the interface, and back (R-F55)."""
    node, lasts_s = chance.choice(stage.nodes), chance.uniform(0.5, 4)
    run(*inside(node.name, "ip", "link", "set", FRONT, "mtu", "1000"))
    yield Act(f"{node.name}: MTU of {FRONT} 1000 for {lasts_s:.1f} s", _MOVES, lasts_s)
    run(*inside(node.name, "ip", "link", "set", FRONT, "mtu", "1500"))
    _give_ipv6(stage, node)


@trouble
def cut_one_way(stage: Stage, chance: random.Random) -> Iterator[Act]:
    """A node is not heard by another one, which it still hears (R-F62)."""
    node, lasts_s = chance.choice(stage.nodes), chance.uniform(1, 8)
    other = chance.choice(stage.others(node))
    network.cut(node.name, other.name)
    yield Act(f"{node.name} is not heard by {other.name} for {lasts_s:.1f} s", _SPLIT, lasts_s)
    network.heal()


@trouble
def cut_both_ways(stage: Stage, chance: random.Random) -> Iterator[Act]:
    """A node and the others don't hear each other (R-F61)."""
    node, lasts_s = chance.choice(stage.nodes), chance.uniform(1, 8)
    for other in stage.others(node):
        network.cut(node.name, other.name)
        network.cut(other.name, node.name)
    yield Act(f"{node.name} and the others are cut off for {lasts_s:.1f} s", _SPLIT, lasts_s)
    network.heal()


@trouble
def lose_frames(stage: Stage, chance: random.Random) -> Iterator[Act]:
    """A part of a node's frames is lost (R-F59)."""
    node, percent, lasts_s = chance.choice(stage.nodes), chance.choice((1, 10, 33)), chance.uniform(3, 10)
    network.lose(node.name, percent)
    terms = _SPLIT if percent > 1 else Terms()
    yield Act(f"{node.name}: {percent} % of its frames are lost for {lasts_s:.1f} s", terms, lasts_s)
    network.heal()


@trouble
def remove_address(stage: Stage, chance: random.Random) -> Iterator[Act]:
    """Somebody removes a virtual address from the master: a new election, as keepalived's (R-F48)."""
    router = chance.choice([router for router in ROUTERS if router.name != "VMAC"])
    node = stage.first(router)
    run(*inside(node.name, "ip", "address", "delete", router.prefixed[-1], "dev", router.bridge), check=False)
    yield Act(f"{node.name}: {router.address} of {router.name} removed by hand", Terms(moves=moving(router)))


@trouble
def add_address(stage: Stage, chance: random.Random) -> Iterator[Act]:
    """Somebody adds a virtual address on a backup: removed within a second (R-F48)."""
    router = chance.choice([router for router in ROUTERS if router.name != "VMAC"])
    node = chance.choice(stage.others(stage.first(router)))
    run(*inside(node.name, "ip", "address", "replace", router.prefixed[-1], "dev", router.bridge))
    yield Act(f"{node.name}: {router.address} of {router.name} added by hand", Terms(together_s=1))


@trouble
def flush_nftables(stage: Stage, chance: random.Random) -> Iterator[Act]:
    """`nft flush ruleset` on a node: the gate and the balancing are written anew."""
    node = chance.choice(stage.nodes)
    run(*inside(node.name, "nft", "flush", "ruleset"))
    yield Act(f"{node.name}: nft flush ruleset", Terms(together_s=1, silent_s=1))


@trouble
def delete_vmac(stage: Stage, chance: random.Random) -> Iterator[Act]:
    """Somebody deletes the interface with the virtual MAC address (R-F53)."""
    node = chance.choice(stage.nodes)
    run(*inside(node.name, "ip", "link", "delete", "vm54"), check=False)
    yield Act(f"{node.name}: vm54 deleted by hand", Terms(moves=frozenset({"VMAC"})))


def _rename(node: Node, before: str, after: str) -> None:
    run(*inside(node.name, "ip", "link", "set", before, "down"))
    run(*inside(node.name, "ip", "link", "set", before, "name", after))
    run(*inside(node.name, "ip", "link", "set", after, "up"))


def _give_ipv6(stage: Stage, node: Node) -> None:
    """The kernel takes IPv6 addresses off an interface that goes down."""
    number = stage.nodes.index(node) + 1
    run(*inside(node.name, "ip", "address", "replace", f"fd77::{number}/64", "dev", FRONT, "nodad"))
