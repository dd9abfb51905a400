"""R-F88: two routers with different configuration of one virtual router id both say what differs."""

from __future__ import annotations

from typing import Any

import pytest
from keepbus_vrrp import publication
from vrrp_router import HIGHER, LOWER, VIP, Router, advert

from keepbus.config.model.vrrp import Authentication, AuthType, ChecksumForm


def said(router: Router) -> tuple[str, ...]:
    return publication.statistics(router.instance).disagreements


DIFFERENT: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, {"version": 3}, "refused: VRRP version 3, 2 expected"),
    ({}, {"interval_us": 2_000_000}, "refused: advert interval 2 s, 1 s configured here"),
    ({}, {"addresses": ("192.0.2.7",)}, "advertises other addresses than are configured here: 192.0.2.7"),
    (
        {"authentication": Authentication(auth_type=AuthType.PASS, auth_pass="secret")},
        {},
        "refused: authentication type 0, 1 configured here",
    ),
    (
        {"version": 3, "checksum": ChecksumForm.PSEUDO, "checksum_strict": True},
        {"version": 3, "message_sum": True},
        "refused: the checksum is wrong",
    ),
    (
        {"version": 3},
        {"version": 3, "interval_us": 500_000},
        "advertises every 0.500 s, 1.000 s is configured",
    ),
    (
        {"version": 3},
        {"version": 3, "addresses": (VIP, "192.0.2.7")},
        "other addresses than are configured here: 192.0.2.1 192.0.2.7",
    ),
    (
        {"version": 3, "checksum": ChecksumForm.PSEUDO},
        {"version": 3, "message_sum": True},
        "makes checksums over the message alone (RFC 9568), `v3_checksum pseudo` is configured here",
    ),
]


@pytest.mark.parametrize(("here", "there", "words"), DIFFERENT)
@pytest.mark.parametrize(("priority", "source"), [(200, HIGHER), (50, LOWER)])
@pytest.mark.parametrize("leads", [False, True])
def test_what_differs_is_said_by_master_and_backup_alike(
    here: dict[str, Any], there: dict[str, Any], words: str, priority: int, source: str, leads: bool
) -> None:
    router = Router(priority=100, **here)
    began = router.become_master() if leads else 0.0
    for second in (began + 0.5, began + 1.5, began + 2.5):
        router.at(second, advert(priority, source, at=second, **there))
    (sentence,) = said(router)
    assert sentence.startswith(f"{source} ")
    assert words in sentence
    assert "secret" not in sentence


def test_who_agrees_is_not_spoken_of() -> None:
    router = Router(version=3)
    for second in (0.5, 1.5, 2.5):
        router.at(second, advert(200, version=3, at=second))
    assert said(router) == ()


def test_one_odd_packet_is_no_configuration() -> None:
    router = Router()
    for second in (0.5, 61, 122):
        router.at(second, advert(200, version=3, at=second))
    assert said(router) == ()


def test_it_ends_with_an_advert_that_agrees() -> None:
    router = Router()
    for second in (0.5, 1.5, 2.5):
        router.at(second, advert(200, version=3, at=second))
    assert len(said(router)) == 1
    router.at(3, advert(200, at=3))
    assert said(router) == ()


def test_it_ends_a_minute_after_the_last_of_them() -> None:
    router = Router()
    for second in (0.5, 1.5, 2.5):
        router.at(second, advert(200, version=3, at=second))
    router.at(62, advert(200, "192.0.2.99", at=62))
    assert len(said(router)) == 1
    router.at(63, advert(200, "192.0.2.99", at=63))
    assert said(router) == ()


def test_an_accepted_difference_stands_while_the_master_goes_on() -> None:
    router = Router(version=3)
    for second in range(1, 130):
        router.at(second, advert(200, version=3, interval_us=500_000, at=second))
    assert len(said(router)) == 1


def test_forged_senders_are_limited() -> None:
    router = Router()
    for second in (1, 2, 3):
        for number in range(1, 100):
            router.at(second, advert(200, f"198.51.100.{number}", version=3, at=second))
    assert len(said(router)) == 16
