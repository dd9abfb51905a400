"""More adverts than anybody can mean (conformance D20; reliability R-F75)."""

from __future__ import annotations

import random
from typing import Any

import pytest
from keepbus_vrrp import packet
from keepbus_vrrp.events import Received
from vrrp_router import ENDPOINT, HIGHER, Router, advert

from keepbus.contracts.vrrp import Dropped, VrrpState
from keepbus.runtime.machine import Publish
from keepbus.testing.playbook import Scene, ns


def together(*events: Received) -> Received:
    """Read at once, in this order."""
    return Received(ENDPOINT, [datagram for event in events for datagram in event.datagrams])


def examined(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Every datagram that is looked at from now on."""
    seen: list[bytes] = []
    examine = packet.examine

    def spy(octets: bytes, *others: Any) -> Any:
        seen.append(octets)
        return examine(octets, *others)

    monkeypatch.setattr(packet, "examine", spy)
    return seen


def told(scene: Scene) -> list[Dropped]:
    return [each.body for each in scene if isinstance(each, Publish) and isinstance(each.body, Dropped)]


def test_d20_beyond_the_limit_adverts_are_dropped_unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """20 times the expected rate, and 2,000 a second at least."""
    router = Router()
    seen = examined(monkeypatch)
    scene = router.at(1, together(*(advert(200, HIGHER, at=1, ttl=1) for _ in range(5000))))
    assert len(seen) == 2000
    assert router.instance.counters.dropped == {"flood": 3000, "ttl": 2000}
    (flood,) = [each for each in told(scene) if each.reason == "flood"]
    assert (flood.instance, flood.suppressed) == ("VI_1", 0)


def test_d20_at_short_intervals_20_times_the_rate() -> None:
    router = Router(version=3, advert_interval_us=5_000_000 // 1000)
    flood = [advert(200, HIGHER, version=3, at=1, ttl=1) for _ in range(6000)]
    router.at(1, together(*flood))
    assert router.instance.counters.dropped == {"flood": 2000, "ttl": 4000}


def test_d20_the_newest_are_kept() -> None:
    """The last advert of three thousand is the one that counts."""
    router = Router()
    old = [advert(0, HIGHER, at=1) for _ in range(3000)]
    router.at(1, together(*old, advert(200, HIGHER, at=1)))
    assert router.instance.master_priority == 200
    assert router.instance.wait_us == 3_609_375


def test_d20_what_a_busy_network_sends_is_not_a_flood() -> None:
    router = Router(version=3, advert_interval_us=100_000)
    for number in range(300):
        at = 1 + number / 20  # twice the rate of one master
        router.at(at, advert(200, HIGHER, version=3, interval_us=100_000, at=at))
    assert router.instance.counters.adverts_received == 300
    assert router.instance.counters.dropped == {}


def test_d20_the_next_second_is_another_one() -> None:
    router = Router()
    router.at(1, together(*(advert(200, HIGHER, at=1, ttl=1) for _ in range(5000))))
    router.at(2.5, advert(200, HIGHER, at=2.5))
    assert router.instance.last_advert_at_ns == ns(2.5)


def test_r_f75_random_virtual_routers_do_not_drown_a_valid_advert(monkeypatch: pytest.MonkeyPatch) -> None:
    """20,000 a second, read 500 at a time, one valid advert among them; most of them are never looked at."""
    router = Router()
    seen = examined(monkeypatch)
    dice = random.Random(75)
    strangers = [advert(200, HIGHER, at=1, vrid=vrid).datagrams[0] for vrid in range(1, 256) if vrid != 51]
    for second in range(1, 11):
        for part in range(40):
            batch = dice.choices(strangers, k=500)
            at = second + part / 40
            if part == 10:
                batch.insert(dice.randrange(500), advert(200, HIGHER, at=at).datagrams[0])
            router.at(at, Received(ENDPOINT, batch))
    assert router.state is VrrpState.BACKUP
    assert router.instance.counters.adverts_received == 10
    assert len(seen) <= 10 * (2000 + 2 + 500)
