"""RFC 9568 8.4: one instance speaks one version. The migration mode (J1) is optional, and not offered.

So it is off (J2): what speaks the other version is counted, told as a standing disagreement, and nothing of
it is believed, however good its priority is (J3).
"""

from __future__ import annotations

import pytest
from keepbus_vrrp import publication
from vrrp_router import HIGHER, Router, advert, priorities

from keepbus.contracts.vrrp import VrrpState

MIXED = pytest.mark.parametrize(("ours", "theirs"), [(2, 3), (3, 2)])


@MIXED
@pytest.mark.parametrize("priority", [0, 50, 254, 255])
def test_j2_a_backup_believes_nothing_of_the_other_version(ours: int, theirs: int, priority: int) -> None:
    router = Router(version=ours)
    due_at_ns = router.instance.timer.due_at_ns
    for second in (0.5, 1.5, 2.5):
        router.at(second, advert(priority, version=theirs, at=second))
    assert router.instance.timer.due_at_ns == due_at_ns
    assert router.instance.counters.dropped == {"version": 3}
    assert router.instance.counters.adverts_received == 0
    (sentence,) = publication.statistics(router.instance).disagreements
    assert sentence == (f"{HIGHER} sends adverts that are refused: VRRP version {theirs}, {ours} expected")


@MIXED
def test_j2_a_master_sends_its_own_version_only(ours: int, theirs: int) -> None:
    router = Router(version=ours)
    start = router.become_master()
    scene = router.at(start + 3.5, advert(254, version=theirs, at=start + 3.5))
    assert router.state is VrrpState.MASTER
    assert priorities(scene) == [100, 100, 100]
    first_octets = {effect.copies[0][1][20] for effect in scene if hasattr(effect, "copies")}
    assert first_octets == {ours << 4 | 1}


def test_j3_below_a_second_a_better_version_2_router_is_warned_of_and_not_accepted() -> None:
    router = Router(version=3, advert_interval_us=100_000)
    start = router.become_master()
    for number in range(3):
        router.at(start + 1 + number, advert(254, version=2, at=start + 1 + number))
    assert router.state is VrrpState.MASTER
    (sentence,) = publication.statistics(router.instance).disagreements
    assert "VRRP version 2, 3 expected" in sentence
