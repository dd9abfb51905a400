"""What vrrp tells: of a handover, by which `keepbus explain` finds the other clock; of its lease."""

from __future__ import annotations

import pytest
from keepbus_vrrp import publication
from vrrp_router import HIGHER, Router, advert

from keepbus.cli.journal import Entry
from keepbus.cli.together import Account, join
from keepbus.contracts import vrrp
from keepbus.contracts.message import Body, topic_of
from keepbus.contracts.vrrp import VrrpState
from keepbus.runtime.machine import Publish
from keepbus.testing.playbook import Scene

S = 1_000_000_000


def transitions(scene: Scene) -> list[vrrp.Transitioned]:
    bodies = [effect.body for effect in scene if isinstance(effect, Publish)]
    return [body for body in bodies if isinstance(body, vrrp.Transitioned)]


def account(node: str, *bodies: tuple[int, Body]) -> Account:
    entries = [
        Entry(topic_of(body, "vrrp"), f"{node}/vrrp/b/{number}", "", at_ns, body)
        for number, (at_ns, body) in enumerate(bodies)
    ]
    return Account(node, entries)


def peer(at_ns: int, *steps: tuple[float, VrrpState]) -> Account:
    """The other node's journal: what it did so many seconds after at_ns, by its clock."""
    bodies: list[tuple[int, Body]] = []
    before = VrrpState.INIT
    for number, (seconds, after) in enumerate(steps, 1):
        when_ns = at_ns + round(seconds * S)
        step = vrrp.Transition(number=number, from_state=before, to_state=after, at_ns=when_ns, cause="test")
        before = after
        bodies.append((when_ns, vrrp.Transitioned(instance="VI_1", life="l", transition=step)))
        bodies.append(
            (
                when_ns,
                vrrp.Instance(
                    name="VI_1", interface="eth0", family="IPv4", virtual_router_id=51, version=2, life="l",
                    state=after, transitions=number, since_ns=when_ns, cause="test", base_priority=200,
                    effective_priority=200, advert_interval_us=1, master_down_interval_us=3,
                    master_address=HIGHER, master_priority=200, virtual_addresses=(), holds_addresses=False,
                    lease_us=0,
                ),
            )
        )  # fmt: skip
    return account("peer", *bodies)


def skew(router_told: list[vrrp.Transitioned], other: Account) -> int:
    own = account("here", *[(each.transition.at_ns, each) for each in router_told])
    return join("VI_1", [other, own], 0).skews["here"].ahead_ns


def test_a_resignation_and_the_takeover_after_it() -> None:
    router = Router(priority=100)
    began_ns = transitions(router.scene)[0].transition.at_ns  # second 0, by the clock here
    router.at(1, advert(200, at=1))
    router.at(2, advert(0, at=2))
    told = transitions(router.at(4))
    assert [each.transition.to_state for each in told] == [VrrpState.MASTER]
    # The peer's clock is 5 s behind.
    other = peer(began_ns - 5 * S, (1, VrrpState.MASTER), (2, VrrpState.STOP))
    assert abs(skew(told, other) - 5 * S) < S // 1000


def test_a_master_that_yields() -> None:
    router = Router(priority=100)
    began_ns = transitions(router.scene)[0].transition.at_ns
    router.become_master()
    told = transitions(router.at(10, advert(200, at=10)))
    assert [each.transition.to_state for each in told] == [VrrpState.BACKUP]
    other = peer(began_ns + 3 * S, (10, VrrpState.MASTER))
    assert abs(skew(told, other) + 3 * S) < S // 1000


@pytest.mark.parametrize(
    ("interval_us", "lease", "kind"),
    [(1_000_000, True, "lifetime"), (100_000, True, "gate"), (1_000_000, False, ""), (100_000, False, "")],
)
def test_the_kind_of_the_lease_is_told(interval_us: int, lease: bool, kind: str) -> None:
    router = Router(version=3, advert_interval_us=interval_us, lease=lease)
    told = publication.state(router.instance).body
    assert told.lease_kind == kind
    assert bool(told.lease_us) is bool(kind)
