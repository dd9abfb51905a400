"""Two masters at once: split repair (M10, N2) and the one-way alarm (R-L11)."""

from __future__ import annotations

from typing import Any

from keepbus_vrrp.effects import Advertise
from vrrp_router import HIGHER, LOWER, Router, advert, announced, on_wire, priorities

from keepbus.contracts.vrrp import Conflict, ConflictPhase, VrrpState
from keepbus.runtime.machine import Publish
from keepbus.testing.playbook import ns

MASTER, BACKUP = VrrpState.MASTER, VrrpState.BACKUP
BEGAN, UNHEARD, ENDED = ConflictPhase


def conflicts(scene: Any) -> list[Conflict]:
    return [e.body for e in scene if isinstance(e, Publish) and isinstance(e.body, Conflict)]


def test_m10_n2_a_split_that_heals_is_repaired_and_told() -> None:
    router = Router()
    start = router.become_master()
    scene = router.at(start + 0.3, advert(90, at=start + 0.3))
    # An advert at once, so that the other yields; then the neighbours hear again who has the address.
    assert priorities(scene) == [100]
    assert announced(scene) == 5
    (began,) = conflicts(scene)
    assert (began.phase, began.address, began.priority, began.own_priority) == (BEGAN, HIGHER, 90, 100)
    assert (began.adverts, began.ended_ns) == (1, 0)
    assert router.instance.rivals.addresses == (HIGHER,)
    # It yielded: nothing more is heard, and after three of its intervals the account is closed.
    scene = router.at(start + 3.3)
    (ended,) = conflicts(scene)
    assert ended.phase is ENDED
    assert ended.began_ns == ended.ended_ns == began.began_ns == ns(start + 0.3)
    assert ended.adverts == 1
    assert router.instance.rivals.addresses == ()
    assert router.state is MASTER


def test_n2_an_equal_priority_from_a_lower_address_is_a_rival_too() -> None:
    router = Router()
    start = router.become_master()
    scene = router.at(start + 0.3, advert(100, LOWER, at=start + 0.3))
    assert [each.address for each in conflicts(scene)] == [LOWER]


def fight(router: Router, start: float, adverts: int) -> list[Conflict]:
    """The rival advertises every second from start + 0.5 on."""
    told = []
    for count in range(adverts):
        told += conflicts(router.at(start + 0.5 + count, advert(90, at=start + 0.5 + count)))
    return told


def test_r_l11_r_f62_r_f66_a_rival_that_goes_on_for_three_intervals_does_not_hear_us() -> None:
    router = Router()
    start = router.become_master()
    told = fight(router, start, 10)
    assert [each.phase for each in told] == [BEGAN, UNHEARD]
    assert told[1].adverts == 4, "within three intervals of the first"
    assert router.instance.rivals.unheard
    assert router.state is MASTER, "the alarm changes nothing by itself"


def test_r_l11_a_rival_that_goes_while_our_adverts_do_not_leave_proves_nothing() -> None:
    router = Router()
    start = router.become_master()
    router.instance.lease.error = "No buffer space available"
    assert [each.phase for each in fight(router, start, 6)] == [BEGAN]


def test_r_l11_by_a_setting_it_yields_for_a_hold_time() -> None:
    router = Router(one_way_yield_us=20_000_000)
    start = router.become_master()
    told = fight(router, start, 4)
    assert [each.phase for each in told] == [BEGAN, UNHEARD, ENDED]
    assert router.state is BACKUP
    assert router.instance.cause == (
        f"{HIGHER} does not hear this router and is master too; it has 20.000 s (one_way_yield)"
    )
    yielded_at = start + 3.5
    # The worse master is followed, not preempted, until the time is over.
    for second in range(1, 20):
        router.at(yielded_at + second, advert(90, at=yielded_at + second))
        assert router.state is BACKUP
    router.at(yielded_at + 20, advert(90, at=yielded_at + 20))
    scene = router.at(yielded_at + 20 + 3.609375)
    assert router.state is MASTER
    assert priorities(scene)[-1] == 100


def test_r_l11_while_it_yields_the_death_of_the_other_still_moves_the_addresses() -> None:
    router = Router(one_way_yield_us=3600_000_000)
    start = router.become_master()
    fight(router, start, 4)
    router.at(start + 4.5, advert(90, at=start + 4.5))
    router.at(start + 4.5 + 3.609375)
    assert router.state is MASTER


def test_who_yields_to_a_better_master_closes_its_accounts() -> None:
    router = Router()
    start = router.become_master()
    router.at(start + 0.2, advert(90, LOWER, at=start + 0.2))
    scene = router.at(start + 0.4, advert(150, at=start + 0.4))
    assert [each.phase for each in conflicts(scene)] == [ENDED]
    assert router.state is BACKUP


def test_a_forger_of_many_rivals_is_bounded() -> None:
    router = Router()
    start = router.become_master()
    scene = router.at(start + 0.2, *(advert(90, f"192.0.2.{n}", at=start + 0.2) for n in range(2, 100)))
    assert len(conflicts(scene)) == 8
    assert router.state is MASTER
    assert "advert" in on_wire(scene)
    assert all(isinstance(e, Advertise) for e in scene.of(Advertise))
