"""Priority 255: one owner, two of them, and one that does not listen (conformance P1, P6, M8, D21)."""

from __future__ import annotations

import pytest
from vrrp_router import HIGHER, LOWER, Router, advert, priorities

from keepbus.config.model.vrrp import InitialState
from keepbus.contracts.vrrp import VrrpState
from keepbus.runtime.machine import Log
from keepbus.testing.playbook import Scene


def owner(**fields: object) -> Router:
    return Router(priority=255, state=InitialState.MASTER, **fields)


def warnings(scene: Scene) -> int:
    return sum(isinstance(effect, Log) and "address owner too" in effect.text for effect in scene)


def test_p1_i1_an_owner_is_master_at_once_with_255() -> None:
    router = owner()
    assert router.state is VrrpState.MASTER
    assert priorities(router.scene) == [255]


def test_m8_the_lower_address_yields_at_once() -> None:
    router = owner()
    router.at(0.5, advert(255, HIGHER, at=0.5))
    assert router.state is VrrpState.BACKUP


@pytest.mark.parametrize("version", [2, 3])
def test_m8_d21_the_higher_address_insists_then_gives_in(version: int) -> None:
    """keepalived: two more adverts, 1.2 intervals, then priority 254 for as long as the rival is there."""
    router = owner(version=version)
    scene = router.at(0.5, advert(255, LOWER, version=version, at=0.5))
    assert priorities(scene) == [255]
    scene = router.at(1.5, advert(255, LOWER, version=version, at=1.5))
    assert router.state is VrrpState.MASTER
    assert priorities(scene) == [255, 255]
    router.at(1.8, advert(255, LOWER, version=version, at=1.8))
    assert router.state is VrrpState.BACKUP
    assert router.instance.effective_priority == 254
    router.at(2.8, advert(255, LOWER, version=version, at=2.8))
    assert router.state is VrrpState.BACKUP


def given_in() -> Router:
    router = owner()
    for second in (0.5, 1.5, 2.5):
        router.at(second, advert(255, LOWER, at=second))
    assert router.state is VrrpState.BACKUP
    return router


def test_m8_an_owner_again_when_the_rival_is_gone() -> None:
    router = given_in()
    assert priorities(router.at(5.6)) == [255]
    assert router.state is VrrpState.MASTER


def test_m8_an_owner_again_when_somebody_else_is_master() -> None:
    router = given_in()
    router.at(3, advert(200, HIGHER, at=3))
    assert router.instance.effective_priority == 255
    assert priorities(router.at(5.6)) == [255]


def test_m8_two_conflicts_long_apart_are_two() -> None:
    router = owner()
    for second in (0.5, 20.5, 40.5):
        router.at(second, advert(255, LOWER, at=second))
    assert router.state is VrrpState.MASTER


def test_p6_a_second_owner_is_told_of_and_not_with_each_advert() -> None:
    router = Router(priority=255)
    told = 0
    for second in range(1, 70):
        told += warnings(router.at(second, advert(255, HIGHER, at=second)))
    assert told == 1


def test_d21_owner_ignore_adverts_hears_nobody() -> None:
    router = owner(owner_ignore_adverts=True)
    for second in (0.5, 1.5, 2.5):
        router.at(second, advert(255, HIGHER, at=second))
    assert router.state is VrrpState.MASTER
    assert router.instance.counters.dropped == {"owner_ignores": 3}


def test_owner_ignore_adverts_is_for_owners_only() -> None:
    router = Router(owner_ignore_adverts=True)
    router.at(1, advert(200, at=1))
    assert router.instance.counters.adverts_received == 1


def test_r_f74_a_forged_255_costs_a_master_down_interval_at_most() -> None:
    router = Router(priority=200)
    start = router.become_master()
    router.at(start + 0.5, advert(255, HIGHER, at=start + 0.5))
    assert router.state is VrrpState.BACKUP
    router.at(start + 0.5 + 3.21875)
    assert router.state is VrrpState.MASTER
