"""What the bus hears of how an instance speaks: peers, checksum form, clocks of senders (C2, C5, X8, U1)."""

from __future__ import annotations

import dataclasses

import pytest
from keepbus_vrrp.events import WallClock
from test_vrrp_authentication import HMAC, S, with_hmac
from test_vrrp_tracking import states
from vrrp_kinds import U3, V6
from vrrp_kinds import started as started_as
from vrrp_router import HIGHER, Router, advert

from keepbus.contracts.vrrp import Statistics
from keepbus.runtime.machine import Publish
from keepbus.testing.playbook import Scene, ns


def skews_us(scene: Scene) -> list[dict[str, int]]:
    """As told, in order."""
    return [
        effect.body.clock_skews_us
        for effect in scene.of(Publish)
        if isinstance(effect, Publish) and isinstance(effect.body, Statistics)
    ]


def test_c2_the_form_in_use_is_told_when_it_changes() -> None:
    router = Router(version=3)
    assert states(router.scene)[-1].checksum_form == "pseudo"
    router.at(1, advert(200, at=1, version=3))
    scene = router.at(2, advert(200, at=2, version=3, message_sum=True))
    assert [state.checksum_form for state in states(scene)] == ["message"]


@pytest.mark.parametrize("version", [2, 3])
def test_c2_version_2_has_one_form(version: int) -> None:
    (told,) = states(Router(version=version).scene)
    assert told.checksum_form == ("" if version == 2 else "pseudo")
    assert told.unicast_peers == ()


def test_c3_ipv6_has_one_form() -> None:
    assert states(started_as(V6).scene)[-1].checksum_form == ""


def test_u1_unicast_peers_are_told() -> None:
    assert states(started_as(U3).scene)[-1].unicast_peers == (U3.peer,)


def test_x8_skew_is_in_the_statistics() -> None:
    """Of the last accepted advert: in whole 1/65536 s, as the trailer has it."""
    router = Router(auth_hmac=HMAC)
    router.at(1, with_hmac(200, ns(1) + 2 * S, at=1))
    assert skews_us(router.at(5.1))[-1] == {HIGHER: 2_000_000}
    router.at(5.5, WallClock(2 * S))
    router.at(6, with_hmac(200, ns(6), at=6))
    assert skews_us(router.at(10.2))[-1] == {HIGHER: -2_000_000}


def test_x8_without_a_common_clock_there_is_no_skew() -> None:
    monotonic = Router(auth_hmac=dataclasses.replace(HMAC, time_window_us=0))
    monotonic.at(1, with_hmac(200, ns(1) + 2 * S, at=1))
    assert skews_us(monotonic.at(5.1))[-1] == {}
    assert skews_us(Router().at(5.1)) in ([], [{}])
