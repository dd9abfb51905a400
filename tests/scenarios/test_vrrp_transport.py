"""IPv6 and unicast: what the two change in what is heard, refused and sent (conformance 2, 3, 5 and 12)."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from keepbus_vrrp import events
from keepbus_vrrp.effects import Advertise
from keepbus_vrrp.family import pack
from vrrp_kinds import (
    KINDS,
    U3,
    V6,
    Kind,
    Router,
    address,
    bad,
    config,
    every_kind,
    heard,
    received,
    started,
    unicast_kinds,
)

from keepbus.config.model.vrrp import UnicastPeer
from keepbus.contracts.vrrp import VrrpState
from keepbus.runtime.machine import Log


def protocol_state(router: Router) -> tuple[Any, ...]:
    instance = router.instance
    return (
        instance.state,
        instance.timer.due_at_ns,
        instance.master_interval_us,
        instance.master_source,
        instance.last_advert_at_ns,
        instance.familiar,
        instance.familiar_ttl,
        instance.counters.adverts_received,
    )


@every_kind
def test_a_good_advert_is_good(kind: Kind) -> None:
    router = started(kind)
    router.at(1, heard(kind))
    router.at(2, heard(kind, at=2))  # the short way
    assert router.instance.counters.dropped == {}
    assert router.instance.counters.adverts_received == 2
    assert router.instance.master_source == pack(kind.peer)


@pytest.mark.parametrize("heard_before", [False, True], ids=["alone", "after a good one"])
@pytest.mark.parametrize(
    ("kind", "reason"), [(kind, reason) for kind in KINDS.values() for reason in bad(kind)],
    ids=[f"{name}-{reason}" for name, kind in KINDS.items() for reason in bad(kind)],
)  # fmt: skip
def test_d15_a_refused_packet_moves_one_counter_and_nothing_else(
    kind: Kind, reason: str, heard_before: bool
) -> None:
    router = started(kind)
    if heard_before:
        router.at(0.5, heard(kind, at=0.5))
    before = protocol_state(router)
    router.at(1, bad(kind)[reason])
    assert protocol_state(router) == before
    assert router.instance.counters.dropped == {reason: 1}


@every_kind
def test_d6_an_unknown_virtual_router_id(kind: Kind) -> None:
    router = started(kind)
    scene = router.at(1, heard(kind, virtual_router_id=52))
    assert [log.text for log in scene if isinstance(log, Log)] == [
        f"eth0: packet of {kind.peer} dropped: no instance has virtual router id 52 here (vrid_unknown)"
    ]


@unicast_kinds
def test_d1_u1_the_ttl_of_a_peer_has_limits(kind: Kind) -> None:
    peers = (UnicastPeer(address=kind.peer, min_ttl=60, max_ttl=64),)
    router = started(kind, unicast_peers=peers)
    for second, ttl in enumerate((59, 60, 64, 65, 59), 1):
        router.at(second, heard(kind, at=second, ttl=ttl))
    assert router.instance.counters.dropped == {"ttl": 3}
    assert router.instance.counters.adverts_received == 2


@unicast_kinds
def test_d1_the_short_way_minds_the_ttl(kind: Kind) -> None:
    """A forged copy of the last advert from further away."""
    router = started(kind, unicast_peers=(UnicastPeer(address=kind.peer, min_ttl=255),))
    router.at(1, heard(kind))
    router.at(2, heard(kind, at=2, ttl=254))
    assert router.instance.counters.dropped == {"ttl": 1}


@unicast_kinds
def test_u1_one_copy_for_each_peer(kind: Kind) -> None:
    """C3: each with the checksum over its own destination."""
    peers = (UnicastPeer(address=kind.peer), UnicastPeer(address=kind.stranger))
    router = started(kind, unicast_peers=peers, unicast_ttl=64)
    (sent,) = [effect for effect in router.become_master() if isinstance(effect, Advertise)]
    assert [name for name, _ in sent.copies] == [kind.peer, kind.stranger]
    for name, datagram in sent.copies:
        other = Router(
            config(kind, unicast_peers=(UnicastPeer(address=kind.local),)), addresses=(address(name),)
        )
        other.at(1, received(kind, datagram, 1))
        assert other.instance.counters.dropped == {}
        assert other.instance.counters.adverts_received == 1
        assert datagram[kind.spoken.ttl_at] == 64


def test_s1_s2_c3_what_ipv6_adverts_are() -> None:
    """The checksum by hand: pseudo-header of RFC 8200 8.1, sums of 16 bits with the carry added."""
    router = Router(config(V6), addresses=(address("2001:db8::9"), address(V6.local)))
    (sent,) = [effect for effect in router.become_master() if isinstance(effect, Advertise)]
    ((name, datagram),) = sent.copies
    assert name == "ff02::12"
    assert datagram[:8].hex() == "6c000000" + "0028" + "70" + "ff"
    assert datagram[8:40] == pack("fe80::253") + pack("ff02::12")
    summed = datagram[8:40] + struct.pack("!II", 40, 112) + datagram[40:]
    total = sum(struct.unpack(f"!{len(summed) // 2}H", summed))
    assert (total & 0xFFFF) + (total >> 16) == 0xFFFF


def test_s2_a_global_source_is_taken_and_told_once() -> None:
    router = started(V6)
    logs = []
    for second in (1, 2, 3):
        scene = router.at(second, heard(V6, at=second, source="2001:db8::254"))
        logs += [effect.text for effect in scene if isinstance(effect, Log)]
    assert logs == [
        "VI_1: 2001:db8::254 sends adverts from an address that is not link-local (RFC 9568 5.1.2)"
    ]
    assert router.instance.counters.adverts_received == 3


def test_m6_ipv6_tie_is_decided_by_16_octets() -> None:
    router = started(V6)
    router.become_master()
    router.at(5, heard(V6, at=5, priority=100, source="fe80::252"))
    assert router.instance.state is VrrpState.MASTER
    router.at(5.1, heard(V6, at=5.1, priority=100, source="fe80::254"))
    assert router.instance.state is VrrpState.BACKUP


def test_i6_a_link_local_address_that_is_being_checked_is_waited_for() -> None:
    router = Router(config(V6), addresses=(address("2001:db8::9"), address(V6.local, tentative=True)))
    assert router.instance.faults == (
        "the link-local IPv6 address of interface eth0 is still being checked for a duplicate, or is one",
    )
    router.at(1, events.AddressChanged(address(V6.local)))
    assert router.instance.state is VrrpState.BACKUP
    router.at(2, events.AddressChanged(address(V6.local, gone=True)))
    assert router.instance.faults == ("interface eth0 has no link-local IPv6 address to send from",)


def test_a_virtual_link_local_address_is_no_source() -> None:
    router = Router(config(V6), addresses=(address("fe80::1"), address(V6.local)))
    assert router.instance.source == pack(V6.local)


def test_track_src_ip() -> None:
    fields = {"mcast_src_ip": "fe80::77"}
    anyway = started(V6, **fields)
    assert (anyway.instance.state, anyway.instance.source) == (VrrpState.BACKUP, pack("fe80::77"))
    tracked = started(V6, track_src_ip=True, **fields)
    assert tracked.instance.faults == ("fe80::77 is not on interface eth0",)
    tracked.at(1, events.AddressChanged(address("fe80::77")))
    assert tracked.instance.state is VrrpState.BACKUP


def test_unicast_fault_no_peer() -> None:
    assert started(U3, unicast_peers=()).instance.faults == ("there is no unicast_peer",)
