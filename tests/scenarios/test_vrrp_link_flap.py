"""An interface that goes down and comes up before anybody looked (R-F52, B9, I6)."""

from __future__ import annotations

from vrrp_router import Router, advert, link, on_wire

from keepbus.contracts.vrrp import VrrpState
from keepbus.testing.playbook import ns

MASTER, BACKUP = VrrpState.MASTER, VrrpState.BACKUP
DOWN_S = 3.609375


def test_r_f52_a_backup_listens_anew_for_a_whole_master_down_interval() -> None:
    """It was frozen while adverts were missed: the master may well be there."""
    router = Router()
    router.at(0.5, advert(200, at=0.5))
    router.play.at(4.0, link(up=False), link(up=True))
    assert router.state is BACKUP
    assert router.instance.timer.due_at_ns == ns(4.0 + DOWN_S)


def test_r_f52_what_was_heard_after_it_counts() -> None:
    router = Router()
    router.play.at(3.0, link(up=False), link(up=True))
    router.at(3.5, advert(200, at=3.5))
    assert router.instance.timer.due_at_ns == ns(3.5 + DOWN_S)


def test_r_f52_an_owner_is_not_sooner_by_it() -> None:
    """After FAULT it waits for the skew time only; here nobody knows that there was a fault."""
    router = Router(priority=255)
    due_at_ns = router.instance.timer.due_at_ns
    router.play.at(0.5, link(up=False), link(up=True))
    assert router.instance.timer.due_at_ns == due_at_ns


def test_r_f52_a_master_goes_on() -> None:
    router = Router()
    start = router.become_master()
    scene = router.at(start + 0.5, link(up=False), link(up=True))
    assert router.state is MASTER
    assert "remove" not in on_wire(scene)


def test_another_interface_is_nobodys_business() -> None:
    router = Router()
    due_at_ns = router.instance.timer.due_at_ns
    other = {"index": 9, "name": "eth9"}
    router.play.at(1.0, link(**other), link(up=False, **other), link(**other))
    assert router.instance.timer.due_at_ns == due_at_ns
