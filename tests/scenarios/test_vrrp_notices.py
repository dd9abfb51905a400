"""What is numbered beside changes of state: conformance N1 and N2, features 10.1."""

from __future__ import annotations

from vrrp_router import LOWER, Router, advert, config

from keepbus.contracts.vrrp import Instance, Transitioned, VrrpState
from keepbus.runtime.machine import Publish
from keepbus.testing.playbook import Scene


def told(scene: Scene) -> list[tuple[int, VrrpState, VrrpState]]:
    bodies = [effect.body for effect in scene if isinstance(effect, Publish)]
    return [
        (body.transition.number, body.transition.from_state, body.transition.to_state)
        for body in bodies
        if isinstance(body, Transitioned)
    ]


def test_n2_the_winner_of_a_conflict_publishes_too_once_for_a_conflict() -> None:
    router = Router()
    start = router.become_master()
    since_ns, cause = router.instance.since_ns, router.instance.cause
    scene = router.at(start + 5, advert(50, LOWER, at=start + 5))
    assert told(scene) == [(3, VrrpState.MASTER, VrrpState.MASTER)]
    assert (
        router.instance.history[-1].cause
        == "192.0.2.100 (priority 50) is master too; the addresses are announced again"
    )
    # It is no change of state: since when it is master, and why, stays.
    assert (router.instance.since_ns, router.instance.cause) == (since_ns, cause)
    for second in range(6, 30):
        assert told(router.at(start + second, advert(50, LOWER, at=start + second))) == []
    assert told(router.at(start + 60, advert(50, LOWER, at=start + 60))) == [
        (4, VrrpState.MASTER, VrrpState.MASTER)
    ]


def test_an_instance_that_a_reload_removes_is_deleted() -> None:
    router = Router()
    start = router.become_master()
    scene = router.reload(start + 1, config(name="VI_2", virtual_router_id=52, virtual_addresses=()))
    assert (3, VrrpState.MASTER, VrrpState.DELETED) in told(scene)
    names = [e.body.name for e in scene if isinstance(e, Publish) and isinstance(e.body, Instance)]
    assert names[0] == "VI_1"
