"""Who puts the neighbours right when a cut heals (decision 0114; conformance M5, M7, M10, N2).

The worse master may hear the better one first: then it yields, and the better one would never know that there
was another, whom the neighbours may still believe.
"""

from __future__ import annotations

from typing import Any

import pytest
from keepbus_vrrp.effects import Advertise
from vrrp_router import HIGHER, LOWER, Router, advert, announced, on_wire, priorities

from keepbus.contracts.vrrp import Conflict, VrrpState
from keepbus.runtime.machine import Publish
from keepbus.testing.playbook import ns

MASTER, BACKUP = VrrpState.MASTER, VrrpState.BACKUP


def conflicts(scene: Any) -> list[Conflict]:
    return [e.body for e in scene if isinstance(e, Publish) and isinstance(e.body, Conflict)]


def test_m5_a_master_made_by_silence_yields_with_one_more_advert() -> None:
    router = Router()
    start = router.become_master()
    scene = router.at(start + 9.4, advert(200, at=start + 9.4))
    assert router.state is BACKUP
    assert on_wire(scene)[-2:] == ["advert", "remove"]
    assert priorities(scene)[-1] == 100
    (word,) = [e for e in scene if isinstance(e, Advertise)][-1:]
    assert (word.addresses, word.lease_end_ns) == ((), 0), "it renews nothing"
    # It follows now, without a word.
    assert on_wire(router.at(start + 10.4, advert(200, at=start + 10.4))) == []


def test_m5_a_master_made_by_a_release_or_by_preemption_yields_without_a_word() -> None:
    released = Router()
    released.at(0.5, advert(200, at=0.5))
    released.at(1, advert(0, at=1))
    preempting = Router()
    for tenth in range(1, 37):
        preempting.at(tenth / 10, advert(90, at=tenth / 10))
    for router in (released, preempting):
        start = router.become_master()
        scene = router.at(start + 0.4, advert(200, LOWER, at=start + 0.4))
        assert router.state is BACKUP
        assert on_wire(scene) == ["remove"]


@pytest.mark.parametrize(("setting", "words"), [(True, ["advert", "remove"]), (False, ["remove"])])
def test_the_keyword_settles_it(setting: bool, words: list[str]) -> None:
    router = Router(higher_prio_send_advert=setting)
    start = router.become_master()
    assert on_wire(router.at(start + 0.4, advert(200, at=start + 0.4))) == words


def preempts() -> tuple[Router, float]:
    """A router that has just preempted HIGHER, whose priority is 90."""
    router = Router()
    for tenth in range(1, 37):
        router.at(tenth / 10, advert(90, at=tenth / 10))
    return router, router.become_master()


def test_m10_the_last_word_of_the_predecessor_is_no_second_master() -> None:
    router, start = preempts()
    scene = router.at(start + 0.001, advert(90, at=start + 0.001))
    assert announced(scene) == 5, "the neighbours hear it again all the same"
    assert conflicts(scene) == []
    assert router.instance.rivals.addresses == ()


def test_m10_n2_a_predecessor_that_goes_on_is_one() -> None:
    router, start = preempts()
    router.at(start + 0.5, advert(90, at=start + 0.5))
    (began,) = conflicts(router.at(start + 1.5, advert(90, at=start + 1.5)))
    assert (began.address, began.priority) == (HIGHER, 90)
    assert began.began_ns == ns(start + 1.5)


def test_m10_n2_an_advert_of_anybody_else_is_one_at_once() -> None:
    router, start = preempts()
    (began,) = conflicts(router.at(start + 0.5, advert(90, LOWER, at=start + 0.5)))
    assert began.address == LOWER
