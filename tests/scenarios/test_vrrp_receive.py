"""Conformance section 5 in the machine: a refused packet moves one counter and nothing else."""

from __future__ import annotations

import random
from typing import Any

import pytest
from keepbus_vrrp.events import Received
from vrrp_router import ENDPOINT, HIGHER, LOCAL, Router, advert

from keepbus.contracts.vrrp import Dropped, VrrpState
from keepbus.runtime.machine import Publish
from keepbus.testing.playbook import Scene, ns


def protocol_state(router: Router) -> tuple[Any, ...]:
    """Everything that an accepted advert may change."""
    instance = router.instance
    return (
        instance.state,
        instance.timer.due_at_ns,
        instance.master_interval_us,
        instance.master_source,
        instance.master_priority,
        instance.last_advert_at_ns,
        instance.familiar,
        instance.adverts.message_sum,
        instance.preempt_at_ns,
        instance.counters.adverts_received,
    )


def datagram(event: Received) -> bytes:
    """Its only one."""
    ((octets, _),) = event.datagrams
    return octets


def with_datagram(event: Received, octets: bytes) -> Received:
    """Another datagram at the same moment."""
    ((_, at_ns),) = event.datagrams
    return event._replace(datagrams=((octets, at_ns),))


def damaged(event: Received, at: int, octet: int) -> Received:
    """The same datagram with one octet replaced."""
    octets = bytearray(datagram(event))
    octets[at] = octet
    return with_datagram(event, bytes(octets))


GOOD = advert(200, at=1)
BAD = {
    "destination": damaged(GOOD, 19, 99),
    "own_address": advert(200, LOCAL, at=1),
    "ttl": advert(200, at=1, ttl=254),
    "length": with_datagram(GOOD, datagram(GOOD)[:-1]),
    "version": damaged(GOOD, 20, 0x41),
    "type": damaged(GOOD, 20, 0x22),
    "checksum": damaged(GOOD, 26, datagram(GOOD)[26] ^ 1),
    "adver_int_mismatch": advert(200, at=1, interval_us=2_000_000),
    "addr_list_mismatch": advert(200, at=1, addresses=()),
}


def test_the_good_one_is_good() -> None:
    router = Router()
    router.at(1, GOOD)
    assert router.instance.counters.adverts_received == 1
    assert router.instance.counters.dropped == {}


@pytest.mark.parametrize("heard_before", [False, True], ids=["alone", "after a good one"])
@pytest.mark.parametrize("reason", BAD)
def test_d15_a_refused_packet_changes_nothing(reason: str, heard_before: bool) -> None:
    router = Router()
    if heard_before:
        router.at(0.5, advert(200, at=0.5))
    before = protocol_state(router)
    router.at(1, BAD[reason])
    assert protocol_state(router) == before
    # A wrong IP length leaves a kernel never; here it makes the payload empty.
    assert sum(router.instance.counters.dropped.values()) == (0 if reason == "length" else 1)
    if reason != "length":
        assert router.instance.counters.dropped == {reason: 1}


def test_v3_interval_and_count_of_zero() -> None:
    router = Router(version=3)
    before = protocol_state(router)
    router.at(1, advert(200, at=1, version=3, interval_us=0))
    router.at(1.1, advert(200, at=1.1, version=3, addresses=()))
    assert protocol_state(router) == before
    assert router.instance.counters.dropped == {"adver_int_zero": 1, "addr_count_zero": 1}


@pytest.mark.parametrize("version", [2, 3])
def test_d9_other_addresses_are_counted_and_used(version: int) -> None:
    """Refused, two nodes would both be master while one has the new list and the other the old one."""
    router = Router(version=version)
    router.at(1, advert(200, at=1, version=version, addresses=("192.0.2.9",)))
    assert router.instance.counters.adverts_received == 1
    assert router.instance.counters.dropped == {"addr_list_differs": 1}


def drops(scene: Scene) -> list[Dropped]:
    return [
        effect.body for effect in scene if isinstance(effect, Publish) and isinstance(effect.body, Dropped)
    ]


def test_d16_each_kind_is_told_once_a_minute_with_the_number_untold() -> None:
    router = Router()
    told = []
    for second in range(70):
        told += drops(router.at(second, advert(200, at=second, ttl=254)))
    assert [(each.reason, each.suppressed) for each in told] == [("ttl", 0), ("ttl", 59)]
    assert router.instance.counters.dropped == {"ttl": 70}


def test_d16_forged_sources_do_not_fill_the_memory() -> None:
    router = Router()
    told = 0
    for number in range(3000):
        source = f"198.51.{number >> 8}.{number & 255}"
        told += len(drops(router.at(1, advert(200, source, at=1, ttl=1))))
    assert told == 1024
    assert router.instance.counters.dropped == {"ttl": 3000}


def test_an_unknown_virtual_router_id_is_told_without_an_instance() -> None:
    router = Router()
    (dropped,) = drops(router.at(1, advert(200, at=1, vrid=9)))
    assert (dropped.instance, dropped.reason, dropped.source) == ("", "vrid_unknown", HIGHER)


def test_f15_r_f76_no_octets_raise_or_are_wrongly_accepted() -> None:
    """Mutations of a good packet: whatever is accepted differs only where no check can see it."""
    random_ = random.Random(5798)
    router = Router()
    good = datagram(GOOD)
    for _ in range(20_000):
        octets = bytearray(good)
        for _ in range(random_.randint(1, 3)):
            octets[random_.randrange(len(octets))] = random_.randrange(256)
        length = random_.choice((len(octets), random_.randrange(len(octets) + 1)))
        router.machine.turn(ns(1), [Received(ENDPOINT, ((bytes(octets[:length]), ns(1)),))])
    assert router.state is VrrpState.BACKUP


@pytest.mark.parametrize("fields", [{}, {"version": 3}, {"nopreempt": True}])
def test_the_short_way_ends_where_the_long_one_does(fields: dict[str, Any]) -> None:
    """An advert equal to the last is not examined again; state must be as if it had been."""
    version = fields.get("version", 2)
    short, long = Router(**fields), Router(**fields)
    for second in range(1, 20):
        event = advert(200, at=second - 0.001, version=version)
        short.at(second, event)
        long.instance.familiar = b""
        long.at(second, event)
        assert protocol_state(short) == protocol_state(long)
    assert short.instance.counters.adverts_received == 19


def test_t9_the_timer_counts_from_the_kernels_stamp() -> None:
    router = Router()
    router.at(2, advert(200, at=1.5))
    assert router.instance.timer.due_at_ns == ns(1.5 + 3.609375)
    router.at(3, advert(200, at=2.5))  # the short way
    assert router.instance.timer.due_at_ns == ns(2.5 + 3.609375)


def test_l1_l3_the_interval_is_learned_from_accepted_adverts_only() -> None:
    router = Router(version=3)
    router.at(1, advert(200, at=1, version=3, interval_us=250_000))
    assert router.instance.master_down_interval_us == 902_344
    router.at(1.1, advert(0, at=1.1, version=3, interval_us=990_000))
    assert router.instance.master_interval_us == 250_000


def test_l4_as_master_our_own_interval_rules() -> None:
    router = Router(version=3)
    router.at(1, advert(200, at=1, version=3, interval_us=250_000))
    router.become_master()
    assert router.instance.master_interval_us == 1_000_000


def test_c5_the_masters_checksum_form_is_taken() -> None:
    router = Router(version=3)
    router.at(1, advert(200, at=1, version=3, message_sum=True))
    assert router.instance.adverts.message_sum
    router.at(2, advert(200, at=2, version=3))
    assert not router.instance.adverts.message_sum
