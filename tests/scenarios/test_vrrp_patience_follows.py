"""How long adverts may lie unread follows what it is derived from, also without a transition (B3, T3, P4)."""

from __future__ import annotations

from keepbus_vrrp.effects import Gather
from test_vrrp_demotion import command
from test_vrrp_tracking import says, track
from vrrp_router import Router, advert

from keepbus.testing.playbook import Scene

MS = 1_000_000
FAST = {"version": 3, "advert_interval_us": 100_000}


def patience_ms(scene: Scene) -> list[int]:
    """What the sockets are told, in order."""
    return [effect.gather_ns // MS for effect in scene if isinstance(effect, Gather)]


def test_p4_a_tracker_that_raises_the_priority_of_a_backup_makes_it_less_patient() -> None:
    """Skew of priority 128: 128/256 of 100 ms; of 192: 64/256."""
    router = Router(priority=128, trackers=(track(weight=64),), **FAST)
    assert patience_ms(router.scene) == [50]
    assert patience_ms(router.at(0.05, says(True))) == [25]
    assert patience_ms(router.at(0.1, says(False))) == [50]


def test_a_demoted_backup_is_patient() -> None:
    """Skew of priority 1: 255/256 of 100 ms."""
    router = Router(priority=192, **FAST)
    router.at(0.05, advert(200, version=3, interval_us=100_000, at=0.05))
    assert patience_ms(router.at(0.1, command())) == [99]
    assert patience_ms(router.at(0.15, command(undo=True))) == [25]


def test_l1_a_faster_master_is_heard_sooner() -> None:
    """Skew of priority 128 with a master of 40 ms: 20 ms."""
    router = Router(priority=128, **FAST)
    assert patience_ms(router.at(0.05, advert(200, version=3, interval_us=40_000, at=0.05))) == [20]
    assert patience_ms(router.at(0.08, advert(200, version=3, interval_us=40_000, at=0.08))) == []
