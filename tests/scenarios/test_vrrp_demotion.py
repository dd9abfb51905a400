"""`keepbus demote`: mastership leaves by command and does not come back by itself."""

from __future__ import annotations

from typing import Any

import pytest
from keepbus_vrrp import publication, record
from vrrp_router import LOCAL, VIP, Router, advert, on_wire, priorities

from keepbus.contracts.message import Header, Message
from keepbus.contracts.vrrp import Demote, Demoted, VrrpState
from keepbus.runtime.machine import BusMessage, Publish
from keepbus.testing.playbook import Scene

MASTER, BACKUP = VrrpState.MASTER, VrrpState.BACKUP
COMMAND = "n/keepbus/b/7"


def command(instance: str = "VI_1", *, undo: bool = False) -> BusMessage:
    header = Header(1, "n", "keepbus", "b", 7, 1, 1, 1, "")
    body = Demote(instance=instance, undo=undo)
    return BusMessage(Message(f"command/vrrp/demote/{instance}", header, body), 0)


def answers(scene: Scene) -> list[Demoted]:
    found: list[Any] = [e for e in scene if isinstance(e, Publish) and isinstance(e.body, Demoted)]
    assert all(each.cause == COMMAND for each in found), "the command is the answer's cause"
    return [each.body for each in found]


def test_a_master_releases_and_stays_backup() -> None:
    router = Router()
    start = router.become_master()
    scene = router.at(start + 0.3, command())
    assert on_wire(scene) == ["advert", "remove"]
    assert priorities(scene) == [0]
    (answer,) = answers(scene)
    assert (answer.known, answer.demoted) == (True, True)
    assert answer.detail == "demoted: it was MASTER and has released (priority 0)"
    assert router.state is BACKUP
    assert router.instance.cause == "demoted by command"
    # The other one is worse, and is followed all the same.
    for second in range(1, 20):
        router.at(start + second, advert(50, at=start + second))
        assert router.state is BACKUP


def test_with_nobody_else_the_addresses_keep_a_home() -> None:
    router = Router()
    start = router.become_master()
    router.at(start + 0.3, command())
    # Master down interval with priority 1: 3 s and a skew of 255/256 s.
    router.at(start + 0.3 + 3.99)
    assert router.state is BACKUP
    scene = router.at(start + 0.3 + 3.99609375)
    assert router.state is MASTER
    assert priorities(scene) == [1]


def test_an_address_owner_can_be_demoted() -> None:
    router = Router(priority=255)
    start = router.become_master()
    router.at(start + 0.3, command())
    router.at(start + 0.6, advert(100, at=start + 0.6))
    router.at(start + 3)
    assert router.state is BACKUP


def test_undone_it_preempts_by_the_rules() -> None:
    router = Router()
    start = router.become_master()
    router.at(start + 0.3, command())
    router.at(start + 1, advert(50, at=start + 1))
    scene = router.at(start + 1.5, command(undo=True))
    (answer,) = answers(scene)
    assert (answer.known, answer.demoted) == (True, False)
    assert router.instance.effective_priority == 100
    router.at(start + 2, advert(50, at=start + 2))
    router.at(start + 1 + 3.609375)
    assert router.state is MASTER


def test_a_backup_is_demoted_without_a_transition() -> None:
    router = Router()
    router.at(0.5, advert(150, at=0.5))
    transitions = router.instance.transitions
    scene = router.at(0.7, command())
    assert on_wire(scene) == []
    assert router.instance.transitions == transitions
    # T6: its timer is that of the new priority.
    assert router.instance.timer.due_at_ns - router.instance.last_advert_at_ns == 3_996_094_000


@pytest.mark.parametrize(
    ("undo", "detail"), [(False, "it was demoted already"), (True, "it was not demoted")]
)
def test_asked_twice_it_says_so(undo: bool, detail: str) -> None:
    router = Router()
    router.at(0.5, command())
    if undo:
        router.at(0.6, command(undo=True))
    (answer,) = answers(router.at(0.7, command(undo=undo)))
    assert (answer.demoted, answer.detail) == (not undo, detail)


def test_an_unknown_instance_is_answered_too() -> None:
    (answer,) = answers(Router().at(0.5, command("VI_9")))
    assert not answer.known
    assert answer.detail == "there is no vrrp_instance VI_9 on this node"


def test_a_demotion_outlives_a_crash_a_restart_and_a_reload() -> None:
    router = Router()
    start = router.become_master()
    router.at(start + 0.3, command())
    left = record.dump(publication.record_of(router.instance))
    after = Router(addresses=(LOCAL, VIP), memories=((left, 0, 0, router.instance.counters.kept()),))
    assert after.instance.demoted
    assert after.instance.effective_priority == 1
    after.reload(0.5, after.instance.config)
    assert after.instance.demoted
