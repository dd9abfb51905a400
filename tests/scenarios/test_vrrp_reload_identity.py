"""A reload that makes another virtual router of an instance: another VRID or interface (reliability R-F86).

An advert of the old one begins with its version and VRID; octet 20 of a datagram is the first of the message.
"""

from __future__ import annotations

from typing import Any

import pytest
from keepbus_vrrp.effects import Advertise
from vrrp_router import INDEX, Router, address, config, link, on_wire, priorities

from keepbus.config.model.vrrp import VirtualAddress
from keepbus.contracts.vrrp import VrrpState
from keepbus.testing.playbook import Scene

OTHER_INDEX = INDEX + 1
CHANGES = {
    "VRID": {"virtual_router_id": 52},
    "interface": {
        "interface": "eth1",
        "virtual_addresses": (VirtualAddress(address="192.0.2.1", prefix=24, interface="eth1"),),
    },
}


def adverts(scene: Scene) -> list[tuple[int, int, int]]:
    """Interface, first octet (version and type) and VRID of each."""
    return [
        (effect.endpoint[0], effect.copies[0][1][20], effect.copies[0][1][21])
        for effect in scene
        if isinstance(effect, Advertise)
    ]


@pytest.mark.parametrize("changed", CHANGES.values(), ids=CHANGES)
def test_r_f86_the_old_router_says_goodbye_and_the_new_one_starts_in_initialize(
    changed: dict[str, Any],
) -> None:
    router = Router()
    router.at(0.1, link(index=OTHER_INDEX, name="eth1"), address("192.0.2.252", index=OTHER_INDEX))
    start = router.become_master()
    scene = router.reload(start + 0.5, config(**changed))
    assert (adverts(scene), priorities(scene)) == ([(INDEX, 0x21, 51)], [0])
    assert on_wire(scene) == ["advert", "remove"], "the proof goes before the addresses do"
    assert router.state is not VrrpState.MASTER
    # A fresh backup: it waits as long as one that has just been started, then is master by its new name.
    scene = router.at(start + 0.5 + 3.5)
    assert adverts(scene) == []
    scene = router.at(start + 0.5 + 3.7)
    assert router.state is VrrpState.MASTER
    of_the_new_one = (OTHER_INDEX, 0x21, 51) if "interface" in changed else (INDEX, 0x21, 52)
    assert set(adverts(scene)) == {of_the_new_one}


def test_r_f86_a_backup_leaves_without_a_word() -> None:
    router = Router()
    scene = router.reload(1, config(virtual_router_id=52))
    assert on_wire(scene) == []
