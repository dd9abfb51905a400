"""Addresses that the kernel refuses: told once, asked for again every second, announced when they are there
(R-F46, G3)."""

from __future__ import annotations

from typing import Any

from keepbus_vrrp import ipv4
from keepbus_vrrp.effects import Announce, Install, Remove
from keepbus_vrrp.events import Installed, InstallFailed
from test_vrrp_tracking import states
from vrrp_router import VIP, Router

from keepbus.config.model.vrrp import VirtualAddress
from keepbus.contracts.vrrp import AddressChanged
from keepbus.runtime.machine import Log, Publish
from keepbus.testing.playbook import Scene

OTHER = "192.0.2.2"
TWO = tuple(VirtualAddress(address=text, prefix=24, interface="eth0") for text in (VIP, OTHER))


class Kernel:
    """Refuses some addresses, and answers as the shell does."""

    def __init__(self, router: Router, *refused: str) -> None:
        self.router = router
        self.refused = {ipv4.pack(each) for each in refused}
        self.asked = 0
        """How often it was asked again."""

    def at(self, seconds: float) -> Scene:
        """Time passes, in steps, so that what is asked is answered at once."""
        scene = Scene()
        while (wake_at_s := self.router.play.now_s + 0.05) < seconds:
            scene.extend(self._answer(self.router.at(wake_at_s)))
        scene.extend(self._answer(self.router.at(seconds)))
        return scene

    def _answer(self, scene: Scene) -> Scene:
        for effect in list(scene):
            addresses = getattr(effect, "addresses", ())
            events: list[Any] = [
                InstallFailed(self.router.instance.key, each.address, "Permission denied")
                for each in addresses
                if each.address in self.refused and not isinstance(effect, Remove)
            ]
            if isinstance(effect, Install):
                self.asked += 1
                events.append(Installed(effect.instance, effect.announce))
            if getattr(effect, "confirm", False):
                events.append(Installed(effect.instance, tuple(each.address for each in addresses)))
            if events:
                scene.extend(self.router.play.at(self.router.play.now_s, *events))
        return scene


def told(scene: Scene, action: str) -> list[str]:
    return [
        effect.body.address
        for effect in scene
        if isinstance(effect, Publish)
        and isinstance(effect.body, AddressChanged)
        and effect.body.action == action
    ]


def announced(scene: Scene) -> set[bytes]:
    return {frame[-4:] for effect in scene if isinstance(effect, Announce) for _, frame in effect.frames}


def complaints(scene: Scene) -> int:
    return sum(isinstance(effect, Log) and "the kernel refuses" in effect.text for effect in scene)


def test_r_f46_it_is_told_once_and_asked_for_every_second() -> None:
    for fields in ({}, {"version": 3, "advert_interval_us": 100_000}):
        router = Router(virtual_addresses=TWO, **fields)
        kernel = Kernel(router, OTHER)
        scene = kernel.at(10)
        assert complaints(scene) == 1
        assert told(scene, "failed") == [OTHER]
        assert told(scene, "added") == [VIP]
        assert announced(scene) == {ipv4.pack(VIP)}
        assert 5 <= kernel.asked <= 10, "about once a second, not with each advert"
        assert router.instance.holds_addresses


def test_r_f46_when_the_kernel_takes_it_the_neighbours_hear_of_it_and_of_no_other() -> None:
    router = Router(virtual_addresses=TWO)
    kernel = Kernel(router, OTHER)
    kernel.at(10)
    kernel.refused.clear()
    scene = kernel.at(11.2)
    assert told(scene, "added") == [OTHER]
    assert announced(scene) == {ipv4.pack(OTHER)}
    asked = kernel.asked
    scene = kernel.at(20)
    assert kernel.asked == asked, "there is nothing left to ask for"
    # Refused once more, it is told once more.
    kernel.refused.add(ipv4.pack(OTHER))
    assert complaints(kernel.at(25)) == 1


def test_a_master_without_any_of_its_addresses_says_so() -> None:
    router = Router(virtual_addresses=TWO)
    kernel = Kernel(router, VIP, OTHER)
    scene = kernel.at(6)
    assert not router.instance.holds_addresses
    assert states(scene)[-1].state == "MASTER"
    assert not states(scene)[-1].holds_addresses
    kernel.refused.clear()
    assert states(kernel.at(8))[-1].holds_addresses
