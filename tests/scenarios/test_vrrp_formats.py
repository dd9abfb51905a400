"""Statements about formats and sockets that no other file is about, by their numbers."""

from __future__ import annotations

import pytest
from keepbus_vrrp import events, ipv4, packet, publication, record
from keepbus_vrrp.checksum import checksum
from keepbus_vrrp.effects import Advertise
from keepbus_vrrp.family import IPV6, pack
from keepbus_vrrp.refusal import Refused
from vrrp_router import (
    ENDPOINT,
    LOCAL,
    Router,
    advert,
    config,
    link,
    on_wire,
    priorities,
)

from keepbus.config.model.vrrp import VirtualAddress
from keepbus.contracts.vrrp import Transitioned, VrrpState
from keepbus.runtime.machine import Exit, Publish
from keepbus.testing.playbook import ns

MASTER, BACKUP, FAULT = VrrpState.MASTER, VrrpState.BACKUP, VrrpState.FAULT


def datagram_of(received: events.Received) -> bytes:
    ((octets, _),) = received.datagrams
    return octets


def heard(router: Router, octets: bytes) -> dict[str, int]:
    """What is counted after one datagram more."""
    router.at(1, events.Received(ENDPOINT, ((octets, ns(1)),)))
    return router.instance.counters.dropped


def own_advert(router: Router) -> bytes:
    """The first one of a new master."""
    router.become_master()
    (sent,) = router.scene.of(Advertise)
    assert isinstance(sent, Advertise)
    ((_, datagram),) = sent.copies
    return datagram


@pytest.mark.parametrize("vrid", [1, 255])
def test_f2_octets_1_to_3(vrid: int) -> None:
    """Virtual router id, priority, number of addresses, an octet each."""
    datagram = own_advert(Router(virtual_router_id=vrid, priority=254))
    assert datagram[21:24] == bytes((vrid, 254, 1))


def test_f2_router_id_0_is_nobodys() -> None:
    router = Router()
    assert heard(router, datagram_of(advert(200, at=1, vrid=0))) == {}
    assert router.instance.counters.adverts_received == 0


def test_f9_the_header_has_the_length_it_says() -> None:
    """Two words of IP options (no operation) before the message: the message is found behind them."""
    octets = datagram_of(advert(200, at=1))
    header = bytearray(octets[:20] + b"\x01" * 8)
    header[0] = 0x47
    header[2:4] = (len(octets) + 8).to_bytes(2, "big")
    header[10:12] = bytes(2)
    header[10:12] = checksum(bytes(header)).to_bytes(2, "big")
    router = Router()
    assert heard(router, bytes(header) + octets[20:]) == {}
    assert router.instance.counters.adverts_received == 1
    assert router.instance.master_priority == 200


def test_f11_version_3_has_no_room_for_authentication() -> None:
    octets = bytearray(datagram_of(advert(200, at=1, version=3)) + bytes(8))
    octets[2:4] = len(octets).to_bytes(2, "big")
    assert heard(Router(version=3), bytes(octets)) == {"length": 1}
    assert len(own_advert(Router(version=3))) == 20 + 8 + 4


def test_f13_addresses_are_sent_in_their_order_and_a_reload_keeps_it() -> None:
    texts = ("192.0.2.9", "192.0.2.1", "192.0.2.5")
    addresses = tuple(VirtualAddress(address=text, prefix=24, interface="eth0") for text in texts)
    router = Router(virtual_addresses=addresses)
    start = router.become_master()
    in_order = b"".join(map(ipv4.pack, texts))
    scene = router.at(start + 1.5)
    scene.extend(router.reload(start + 1.6, config(virtual_addresses=addresses, priority=101)))
    scene.extend(router.at(start + 4))
    sent = [effect.copies[0][1] for effect in scene if isinstance(effect, Advertise)]
    assert {datagram[22] for datagram in sent} == {100, 101}
    assert {datagram[28:40] for datagram in sent} == {in_order}


def test_c7_the_sum_of_ipv6_is_made_and_checked_here() -> None:
    """Not by the kernel, which would drop a wrong one unseen: it is counted."""
    source, group = pack("fe80::251"), pack("ff02::12")
    message = packet.encode(
        family=IPV6,
        version=3,
        virtual_router_id=51,
        priority=200,
        interval_us=1_000_000,
        addresses=(pack("fe80::1"),),
        source=source,
        destination=group,
    )
    expected = packet.Expected(
        version=3,
        virtual_router_id=51,
        group=group,
        source=pack("fe80::253"),
        auth_type=packet.AUTH_NONE,
        auth_data=b"",
        interval_us=1_000_000,
        addresses=frozenset({pack("fe80::1")}),
        link_local_first=True,
    )

    def judge(message: bytes) -> packet.Advert | Refused:
        octets = IPV6.datagram(source, group, 255, message)
        return packet.examine(octets, IPV6, expected, frozenset({group}), frozenset({expected.source}))

    assert isinstance(judge(message), packet.Advert)
    for at in (6, 7):
        wrong = bytearray(message)
        wrong[at] ^= 1
        refused = judge(bytes(wrong))
        assert isinstance(refused, Refused)
        assert refused.reason == "checksum"


def test_i3_a_stop_before_the_start_does_nothing() -> None:
    router = Router(section={"startup_delay_us": 10_000_000})
    assert router.state is VrrpState.INIT
    scene = router.stop(1)
    assert on_wire(scene) == []
    assert any(isinstance(effect, Exit) for effect in scene)


def test_i5_nothing_falls_due_before_the_start_or_in_fault() -> None:
    for router in (Router(section={"startup_delay_us": 10_000_000}), Router(up=False)):
        before = router.state
        assert on_wire(router.at(9)) == []
        assert router.state is before


def test_r_f1_a_backup_that_crashed_goes_on_with_its_counters_and_says_nothing() -> None:
    before = Router()
    before.at(1, advert(200, at=1))
    text = record.dump(publication.record_of(before.instance))
    after = Router(memories=((text, 0, 0, before.instance.counters.kept()),))
    scene = after.at(1, advert(200, at=1))
    assert on_wire(after.scene) == on_wire(scene) == []
    assert after.state is BACKUP
    assert after.instance.life == before.instance.life
    assert after.instance.counters.adverts_received == 2


def test_r_f52_an_interface_that_flaps_costs_one_mastership() -> None:
    """Ten times a second for 10 s: who comes back listens for a master down interval first."""
    router = Router()
    start = router.become_master()
    sent: list[int] = []
    masters = 0
    for tenth in range(100):
        moment = start + 0.5 + tenth / 10
        for seconds, up in ((moment, False), (moment + 0.05, True)):
            scene = router.at(seconds, link(up=up))
            sent += priorities(scene)
            masters += sum(
                isinstance(effect, Publish)
                and isinstance(effect.body, Transitioned)
                and effect.body.transition.to_state is MASTER
                for effect in scene
            )
    assert (sent, masters) == ([0], 0)
    # And when it is quiet: back after a master down interval, once.
    end = start + 0.5 + 99 / 10 + 0.05
    assert priorities(router.at(end + 3.6)) == []
    assert priorities(router.at(end + 3.62)) == [100]


@pytest.mark.parametrize("priority", [100, 255])
def test_r_f56_r_f58_our_own_address_as_source_is_never_an_election(priority: int) -> None:
    """A bridge that sends adverts back, or a host with our address: dropped, counted and told."""
    router = Router()
    start = router.become_master()
    for tenth in range(1, 30):
        moment = start + tenth / 10
        router.at(moment, advert(priority, LOCAL, at=moment))
    assert router.state is MASTER
    assert router.instance.counters.dropped == {"own_address": 29}
    assert router.instance.transitions == 2
