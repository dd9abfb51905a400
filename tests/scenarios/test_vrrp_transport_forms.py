"""IPv6 and unicast: virtual routers side by side, checksum forms, size of adverts, announcements."""

from __future__ import annotations

import struct

import pytest
from keepbus_vrrp import events
from keepbus_vrrp.announce import gratuitous_arp, neighbour_advertisement
from keepbus_vrrp.effects import Advertise, Announce, Endpoint, Listen
from keepbus_vrrp.family import pack
from keepbus_vrrp.netlink import ForwardingMessage
from vrrp_kinds import (
    INDEX,
    MAC,
    U3,
    U6,
    V6,
    Router,
    address,
    config,
    damaged,
    heard,
    link,
    octets,
    received,
    started,
    virtual,
)

from keepbus.config.model.vrrp import AddressFamily, ChecksumForm, VirtualAddress
from keepbus.contracts.vrrp import VrrpState
from keepbus.runtime.machine import Log


def test_s10_the_families_are_two_virtual_routers() -> None:
    four = config(U3, name="VI_4", unicast_peers=None)
    router = Router(four, config(V6), addresses=(address("192.0.2.253"), address(V6.local)))
    assert set(router.machine.instances) == {"eth0/IPv4/51", "eth0/IPv6/51"}
    listens = [effect for effect in router.scene if isinstance(effect, Listen)]
    assert {(effect.endpoint.family, effect.groups) for effect in listens} == {
        (AddressFamily.IPV4, (pack("224.0.0.18"),)),
        (AddressFamily.IPV6, (pack("ff02::12"),)),
    }
    router.at(1, heard(V6))
    by_key = router.machine.instances
    received_ = {key: each.counters.adverts_received for key, each in by_key.items()}
    assert received_ == {"eth0/IPv4/51": 0, "eth0/IPv6/51": 1}


def test_a_socket_that_was_refused_is_tried_again_when_an_address_comes() -> None:
    """IPv6 is switched on while the process runs."""
    router = Router(config(V6), addresses=())
    endpoint = Endpoint(INDEX, AddressFamily.IPV6)
    router.at(0.1, events.ListenFailed(endpoint, "No such device"))
    assert "no socket on eth0: No such device" in router.instance.faults
    scene = router.at(1, events.AddressChanged(address(V6.local)))
    assert [effect.endpoint for effect in scene if isinstance(effect, Listen)] == [endpoint]
    assert router.instance.state is VrrpState.BACKUP


# Checksum forms of version 3 over IPv4


@pytest.mark.parametrize("form", [ChecksumForm.MESSAGE, ChecksumForm.PSEUDO])
def test_c2_c6_a_strict_form_refuses_the_other(form: ChecksumForm) -> None:
    router = started(U3, checksum=form, checksum_strict=True)
    router.at(1, heard(U3, message_sum=False))
    router.at(2, heard(U3, at=2, message_sum=True))
    assert router.instance.counters.dropped == {"checksum": 1}
    assert router.instance.counters.adverts_received == 1


@pytest.mark.parametrize(
    ("form", "before", "after"),
    [
        (ChecksumForm.AUTO, False, True),
        (ChecksumForm.PSEUDO, False, False),
        (ChecksumForm.MESSAGE, True, True),
    ],
)
def test_c5_what_is_sent(form: ChecksumForm, before: bool, after: bool) -> None:
    """before and after the master was heard with the message-only form."""

    def sent(router: Router) -> bytes:
        found = [effect for effect in router.become_master() if isinstance(effect, Advertise)]
        return found[0].copies[0][1][20:]

    def wanted(message_sum: bool) -> bytes:
        mine = heard(U3, priority=100, source=U3.local, destination=U3.peer, message_sum=message_sum)
        return octets(mine)[20:]

    assert sent(started(U3, checksum=form)) == wanted(before)
    router = started(U3, checksum=form)
    scene = router.at(1, heard(U3, message_sum=True))
    told = [effect.text for effect in scene if isinstance(effect, Log)]
    assert bool(told) == (before != after)
    assert sent(router) == wanted(after)


def test_c9_message_form_still_checks() -> None:
    router = started(U3, checksum=ChecksumForm.MESSAGE)
    router.at(1, damaged(U3, 6, 0))
    assert router.instance.counters.dropped == {"checksum": 1}


def test_u6_the_groups_sum_needs_the_switch() -> None:
    """keepalived up to 1.3.6 summed the group although it sent to a peer."""
    pseudo = bytes((192, 0, 2, 254)) + bytes((224, 0, 0, 18)) + struct.pack("!BBH", 0, 112, 12)
    message = bytes.fromhex("3133640100640000c0000201")
    total = sum(struct.unpack("!12H", pseudo + message))
    check = 0xFFFF - ((total & 0xFFFF) + (total >> 16))
    old = message[:6] + check.to_bytes(2, "big") + message[8:]
    event = received(U3, U3.spoken.datagram(pack(U3.peer), pack(U3.local), 255, old), 1)
    plain = started(U3)
    plain.at(1, event)
    assert plain.instance.counters.dropped == {"checksum": 1}
    switched = started(U3, old_unicast_checksum=True)
    switched.at(1, event)
    assert switched.instance.counters.dropped == {}
    switched.at(2, heard(U3, at=2))  # a peer that was upgraded
    assert switched.instance.counters.adverts_received == 2


# Size of adverts


def test_f10_addresses_without_room_stay_out_of_adverts() -> None:
    """90 of IPv6 fit into 1500 octets; the others are held and announced all the same."""
    many = virtual("fe80::1", *(f"2001:db8::{number:x}" for number in range(1, 100)))
    router = started(V6, virtual_addresses=many)
    (told,) = [effect.text for effect in router.scene if isinstance(effect, Log) if effect.level == "error"]
    assert told.startswith("VI_1: not in adverts, because the MTU leaves no room: 2001:db8::5a ")
    assert told.count("2001:db8::") == 10
    (sent,) = [effect for effect in router.become_master() if isinstance(effect, Advertise)]
    ((_, datagram),) = sent.copies
    assert (len(datagram), datagram[43]) == (40 + 8 + 90 * 16, 90)
    assert len(sent.addresses) == 100


def test_r_f55_a_lower_mtu_is_a_fault_until_it_is_back() -> None:
    many = virtual("fe80::1", *(f"2001:db8::{number:x}" for number in range(1, 80)))
    router = started(V6, virtual_addresses=many)
    router.become_master()
    scene = router.at(5, events.LinkChanged(link(mtu=1280)))
    assert router.instance.state is VrrpState.FAULT
    assert router.instance.faults == (
        "an advert takes 1328 octets, more than the MTU 1280 of interface eth0",
    )
    assert [effect for effect in scene if isinstance(effect, Advertise)]  # priority 0: the link may carry it
    router.at(6, events.LinkChanged(link(mtu=1500)))
    assert router.instance.state is VrrpState.BACKUP


# Announcements


@pytest.mark.parametrize("forwards", [False, True])
def test_g2_neighbour_advertisements_say_whether_the_node_routes(forwards: bool) -> None:
    router = Router(config(V6), addresses=(address(V6.local),), eth0=link(forwards=not forwards))
    router.at(0.1, events.ForwardingChanged(ForwardingMessage(INDEX, forwards)))
    router.become_master()
    addresses = router.instance.installable(router.instance.all_addresses)
    scene = router.at(5, events.Installed(router.instance.key, tuple(each.address for each in addresses)))
    frames = [frame for effect in scene if isinstance(effect, Announce) for frame in effect.frames]
    made = [("eth0", neighbour_advertisement(MAC, pack(each), router=forwards)) for each in V6.virtual]
    assert frames == made * 5


def test_g7_a_unicast_router_announces_where_it_sends_from() -> None:
    """At the start and when a fault ends, so that stale caches do not cost its peers the first adverts."""
    for kind, frame in (
        (U3, gratuitous_arp(MAC, pack(U3.local))),
        (U6, neighbour_advertisement(MAC, pack(U6.local), router=False)),
    ):
        router = started(kind)
        assert Announce((("eth0", frame),)) in router.scene
        router.at(1, events.AddressChanged(address(kind.local, gone=True)))
        assert Announce((("eth0", frame),)) in router.at(2, events.AddressChanged(address(kind.local)))
    assert not [effect for effect in started(V6).scene if isinstance(effect, Announce)]


def test_no_track_leaves_an_address_to_others() -> None:
    own = VirtualAddress(address="192.0.2.1", prefix=24, interface="eth0")
    other = VirtualAddress(address="192.0.2.2", prefix=24, interface="eth1", no_track=True)
    loose = VirtualAddress(address="192.0.2.3", prefix=24, interface="eth0", no_track=True)
    router = started(U3, virtual_addresses=(own, other, loose))
    assert router.instance.faults == ()  # eth1 does not exist
    router.become_master()
    key = router.instance.key
    router.at(5, events.Installed(key, (pack("192.0.2.1"), pack("192.0.2.3"))))
    router.at(6, events.AddressChanged(address("192.0.2.3", gone=True)))
    assert router.instance.state is VrrpState.MASTER
    router.at(7, events.AddressChanged(address("192.0.2.1", gone=True)))
    assert router.instance.state is VrrpState.BACKUP
