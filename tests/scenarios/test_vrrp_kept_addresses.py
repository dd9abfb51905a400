"""Addresses that the kernel does not let go: asked for again and again, and mute meanwhile (R-F46, R-L3)."""

from __future__ import annotations

from typing import Any

from keepbus_vrrp import ipv4
from keepbus_vrrp.effects import Guard, Install, Remove
from keepbus_vrrp.events import Removed
from test_vrrp_gate_openings import gated, several
from test_vrrp_refused_addresses import told
from test_vrrp_tracking import states
from vrrp_router import VIP, Router, advert

from keepbus.contracts.vrrp import VrrpState
from keepbus.testing.playbook import Scene

OWN = ipv4.pack(VIP)


class Kernel:
    """Lets no address go as long as it is stubborn, and answers as the shell does."""

    def __init__(self, router: Router) -> None:
        self.router = router
        self.stubborn = True
        self.asked_at_s: list[float] = []

    def at(self, seconds: float, *happened: Any) -> Scene:
        """Time passes, in steps; then this happens."""
        scene = Scene()
        while self.router.play.now_s + 0.05 < seconds:
            scene.extend(self._answer(self.router.at(self.router.play.now_s + 0.05)))
        scene.extend(self._answer(self.router.at(seconds, *happened)))
        return scene

    def _answer(self, scene: Scene) -> Scene:
        for effect in scene.of(Remove):
            if effect.again:
                self.asked_at_s.append(self.router.play.now_s)
            refused = tuple((each, "Operation not permitted") for each in effect.addresses if self.stubborn)
            if refused or effect.again:
                answer = Removed(effect.instance, effect.addresses, refused)
                scene.extend(self.router.play.at(self.router.play.now_s, answer))
        return scene


def deposed(router: Router) -> tuple[Kernel, float, Scene]:
    """A better one came, and the kernel keeps the address."""
    start = router.become_master()
    kernel = Kernel(router)
    version, interval_us = router.instance.config.version, router.instance.config.advert_interval_us
    better = advert(200, version=version, interval_us=interval_us, at=start + 0.05)
    scene = kernel.at(start + 0.05, better)
    assert router.state is VrrpState.BACKUP
    return kernel, start + 0.05, scene


def hear_master(kernel: Kernel, start: float, until: float) -> Scene:
    """The better one goes on."""
    scene = Scene()
    config = kernel.router.instance.config
    interval_s = config.advert_interval_us / 1e6
    at = start + interval_s
    while at < until:
        again = advert(200, version=config.version, interval_us=config.advert_interval_us, at=at)
        scene.extend(kernel.at(at, again))
        at += interval_s
    return scene


def guarded(scene: Scene) -> list[dict[bytes, int]]:
    return [dict(effect.addresses) for effect in scene.of(Guard)]


def test_r_f46_it_is_asked_again_with_longer_and_longer_waits_until_it_is_gone() -> None:
    kernel, start, scene = deposed(Router())
    assert told(scene, "kept") == [VIP]
    assert states(scene)[-1].kept == (f"{VIP}: Operation not permitted",)
    scene = hear_master(kernel, start, start + 100)
    assert told(scene, "kept") == []
    waits = [
        round(after - before, 1)
        for before, after in zip([start, *kernel.asked_at_s], kernel.asked_at_s, strict=False)
    ]
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30]
    kernel.stubborn = False
    scene = hear_master(kernel, start + 99, start + 130)
    assert states(scene)[-1].kept == ()
    count = len(kernel.asked_at_s)
    hear_master(kernel, start + 129, start + 200)
    assert len(kernel.asked_at_s) == count, "there is nothing left to ask for"


def test_r_f46_who_is_master_again_has_it_by_right() -> None:
    router = Router()
    kernel, start, _ = deposed(router)
    kernel.at(start + 3.7)
    assert router.state is VrrpState.MASTER
    asked = len(kernel.asked_at_s)
    scene = kernel.at(start + 60)
    assert len(kernel.asked_at_s) == asked
    assert not scene.of(Remove)
    assert router.instance.kept == {}


def test_r_l3_below_a_second_it_is_mute_whoever_opens_the_gate() -> None:
    router = several(2)
    key = router.instance.key
    router.become_master()
    kernel = Kernel(router)
    now = router.play.now_s + 0.05
    mine = ipv4.pack("192.0.2.1")
    scene = kernel.at(
        now, advert(200, version=3, interval_us=100_000, at=now, vrid=1, addresses=("192.0.2.1",))
    )
    assert router.machine.instances[key].state is VrrpState.BACKUP
    # A length of lease that no opening names: that of the other master is 200 ms.
    assert guarded(scene) == [{mine: 0, ipv4.pack("192.0.2.2"): 200_000}]
    # Master again: it passes before it is installed.
    scene = kernel.at(now + 1)
    assert guarded(scene) == [{mine: 200_000, ipv4.pack("192.0.2.2"): 200_000}]
    assert router.machine.instances[key].state is VrrpState.MASTER


def test_r_l3_it_stays_mute_over_a_reload_that_takes_the_instance_out_and_at_the_end() -> None:
    router = gated()
    _, start, _ = deposed(router)
    other = several(2).machine.instances
    configs = [each.config for each in other.values()][1:]
    scene = router.reload(start + 0.02, *configs)
    assert guarded(scene) == [{OWN: 0, ipv4.pack("192.0.2.2"): 200_000}]
    assert guarded(router.stop(start + 0.04)) == [{OWN: 0}]


def test_r_l3_when_it_is_gone_the_gate_forgets_it() -> None:
    router = gated()
    kernel, start, scene = deposed(router)
    assert guarded(scene) == [{OWN: 0}]
    kernel.stubborn = False
    assert guarded(hear_master(kernel, start, start + 0.7)) == [{OWN: 200_000}]


def test_where_a_lifetime_ends_it_no_gate_is_made() -> None:
    _, _, scene = deposed(Router())
    assert not scene.of(Guard)
    assert not scene.of(Install)
