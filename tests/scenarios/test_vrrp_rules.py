"""Statements of conformance that need little more than a sentence each, by their numbers."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
from keepbus_vrrp import events, ipv4, packet, publication, record
from keepbus_vrrp.checksum import ALL_ONES, ones_complement_sum
from keepbus_vrrp.effects import Advertise, Announce
from keepbus_vrrp.events import WallClock
from keepbus_vrrp.family import IPV4, pack
from keepbus_vrrp.netlink import IFF_NOARP, IFF_RUNNING, IFF_UP, LinkMessage
from keepbus_vrrp.terms import Terms
from vrrp_router import (
    ENDPOINT,
    GROUP,
    HIGHER,
    INDEX,
    LOCAL,
    LOWER,
    MAC,
    VIP,
    Router,
    address,
    advert,
    announced,
    config,
    priorities,
)

from keepbus.config.model.vrrp import (
    Authentication,
    AuthType,
    ChecksumForm,
    GratuitousArp,
    UnicastPeer,
    VirtualAddress,
    VrrpInstance,
)
from keepbus.contracts.vrrp import VrrpState
from keepbus.runtime.machine import Log
from keepbus.testing.playbook import ns

MASTER, BACKUP = VrrpState.MASTER, VrrpState.BACKUP


def test_p3_t7_defaults() -> None:
    given = VrrpInstance(name="V", interface="eth0", virtual_router_id=1)
    assert (given.priority, given.advert_interval_us, given.down_timer_adverts) == (100, 1_000_000, 3)


@pytest.mark.parametrize("state", [BACKUP, MASTER])
def test_p8_priority_0_is_never_compared(state: VrrpState) -> None:
    """0 is below 1, and yet it is no lower master (B5) and no reason to correct anybody (M7)."""
    router = Router(priority=1)
    start = router.become_master() if state is MASTER else 0.0
    scene = router.at(start + 1.5, advert(0, LOWER, at=start + 1.5))
    assert router.state is state
    assert announced(scene) == 0
    if state is BACKUP:
        assert router.instance.wait_us == router.instance.skew_time_us


def test_t6_the_priority_of_the_moment_when_the_timer_starts() -> None:
    router = Router(priority=100)
    router.reload(0.5, config(priority=200))
    router.at(1, advert(250, at=1))
    assert router.instance.wait_us == 3_218_750


def test_t8_the_wall_clock_may_step_by_an_hour() -> None:
    """Nothing of the protocol moves, in backup and in master."""
    for hour_ns in (3_600_000_000_000, -3_600_000_000_000):
        router = Router()
        router.at(1, advert(200, at=1))
        due_at_ns = router.instance.timer.due_at_ns
        router.at(1.5, WallClock(hour_ns))
        assert router.instance.timer.due_at_ns == due_at_ns
        start = router.become_master()
        assert start == pytest.approx(1 + 3.609375)
        router.at(start + 0.5, WallClock(0))
        assert [priorities(router.at(start + second)) for second in (0.9, 1, 1.9, 2)] == [
            [],
            [100],
            [],
            [100],
        ]


def test_t10_adverts_in_the_socket_are_believed_before_the_expired_timer() -> None:
    router = Router()
    router.at(1, advert(200, at=1))
    scene = router.play.at(5, advert(200, at=4.2))
    assert router.state is BACKUP
    assert priorities(scene) == []


@pytest.mark.parametrize(("version", "interval_us"), [(2, 1_000_000), (3, 100_000), (3, 10_000)])
def test_t12_a_thousand_adverts_keep_their_spacing(version: int, interval_us: int) -> None:
    """Each turn comes 0.3 intervals late at most; lateness does not add up."""
    router = Router(version=version, advert_interval_us=interval_us)
    start_ns = ns(router.become_master())
    sent_at_ns = []
    lateness_ns = [0, interval_us * 300, interval_us * 100]
    now_ns = start_ns
    while len(sent_at_ns) < 1000:
        wake_at_ns = router.instance.timer.due_at_ns
        now_ns = wake_at_ns + lateness_ns[len(sent_at_ns) % 3]
        effects = router.machine.turn(now_ns, [])
        sent_at_ns.extend(now_ns for effect in effects if isinstance(effect, Advertise))
    mean_ns = (sent_at_ns[-1] - start_ns) / 1000
    assert abs(mean_ns / (interval_us * 1000) - 1) < 0.01
    gaps = [later - earlier for earlier, later in itertools.pairwise(sent_at_ns)]
    assert max(gaps) <= interval_us * 1000 * 1.3


def test_t13_a_release_restarts_the_advert_timer_and_a_correction_does_not() -> None:
    router = Router()
    start = router.become_master()
    router.at(start + 0.5, advert(0, at=start + 0.5))
    assert router.instance.timer.due_at_ns == ns(start + 1.5)
    router.at(start + 1.2, advert(50, at=start + 1.2))
    assert router.instance.timer.due_at_ns == ns(start + 1.5)


def test_d17_received_counts_what_passed_everything() -> None:
    router = Router()
    for number, event in enumerate(
        (advert(200, at=1), advert(0, at=2), advert(200, at=3, ttl=1), advert(200, at=4, vrid=9))
    ):
        router.at(number + 1, event)
    counters = router.instance.counters
    assert (counters.adverts_received, counters.priority_zero_received) == (2, 1)


def test_d18_counters_survive_the_process_and_never_go_down() -> None:
    before = Router()
    before.at(1, advert(200, at=1))
    before.at(2, advert(200, at=2, ttl=1))
    text = record.dump(publication.record_of(before.instance))
    after = Router(memories=((text, 0, 0, before.instance.counters.kept()),))
    after.at(1, advert(200, at=1))
    counters = after.instance.counters
    assert counters.adverts_received == 2
    assert counters.dropped == {"ttl": 1}


def test_d19_e6_adverts_of_an_instance_that_does_not_run_are_counted_apart() -> None:
    router = Router(up=False)
    router.at(1, advert(200, at=1))
    assert router.instance.counters.dropped == {"not_running": 1}
    assert router.instance.counters.adverts_received == 0


@pytest.mark.parametrize("version", [2, 3])
def test_c8_the_sum_is_right_for_each_priority_and_an_incremental_update_gives_the_same(version: int) -> None:
    """RFC 1624: HC' = ~(~HC + ~m + m')."""
    source, group = pack(LOCAL), pack(GROUP)

    def encoded(priority: int) -> bytes:
        return packet.encode(
            version=version,
            virtual_router_id=51,
            priority=priority,
            interval_us=1_000_000,
            addresses=(pack(VIP),),
            source=source,
            destination=group,
        )

    first = encoded(0)
    for priority in range(256):
        message = encoded(priority)
        pseudo = IPV4.pseudo_header(source, group, len(message)) if version == 3 else b""
        assert ones_complement_sum(pseudo + message) == ALL_ONES
        total = (0xFFFF ^ int.from_bytes(first[6:8], "big")) + (0xFFFF ^ first[2] << 8 ^ first[3])
        total += message[2] << 8 | message[3]
        total = (total & 0xFFFF) + (total >> 16)
        total = (total & 0xFFFF) + (total >> 16)
        assert (0xFFFF ^ total) % 0xFFFF == int.from_bytes(message[6:8], "big") % 0xFFFF


@pytest.mark.parametrize(
    ("form", "message_sum", "accepted"),
    [
        (ChecksumForm.PSEUDO, False, True),
        (ChecksumForm.PSEUDO, True, False),
        (ChecksumForm.MESSAGE, True, True),
        (ChecksumForm.MESSAGE, False, False),
        (ChecksumForm.AUTO, True, True),
        (ChecksumForm.AUTO, False, True),
    ],
)
def test_r_f68_c9_strict_checksums(form: ChecksumForm, message_sum: bool, accepted: bool) -> None:
    router = Router(version=3, checksum=form, checksum_strict=form is not ChecksumForm.AUTO)
    router.at(1, advert(200, at=1, version=3, message_sum=message_sum))
    assert router.instance.counters.dropped == ({} if accepted else {"checksum": 1})


def test_r_f72_l5_interval_0_and_interval_4095() -> None:
    router = Router(version=3)
    router.at(1, advert(254, at=1, version=3, interval_us=0))
    assert router.instance.counters.dropped == {"adver_int_zero": 1}
    scene = router.at(1.5, advert(254, at=1.5, version=3, interval_us=40_950_000))
    assert [effect.level for effect in scene if isinstance(effect, Log)] == ["warning"]
    assert router.instance.wait_us == 147_803_907
    # Not told again for an interval that is known.
    scene = router.at(2, advert(253, at=2, version=3, interval_us=40_950_000))
    assert not [effect for effect in scene if isinstance(effect, Log)]


def test_l4_the_interval_is_our_own_again_on_promotion() -> None:
    router = Router(version=3)
    router.at(1, advert(200, at=1, version=3, interval_us=2_000_000))
    router.become_master()
    assert router.instance.master_interval_us == 1_000_000


def test_m12_the_checksum_goes_with_the_new_source() -> None:
    router = Router(version=3, addresses=(LOCAL, "192.0.2.252"))
    start = router.become_master()
    router.at(start + 0.5, address(LOCAL, gone=True))
    (sent,) = router.at(start + 1).of(Advertise)
    assert isinstance(sent, Advertise)
    ((_, datagram),) = sent.copies
    pseudo = IPV4.pseudo_header(pack("192.0.2.252"), pack(GROUP), len(datagram) - 20)
    assert ones_complement_sum(pseudo + datagram[20:]) == ALL_ONES


def test_m13_own_address_is_dropped_and_told_in_every_state() -> None:
    for state in (BACKUP, MASTER):
        router = Router()
        start = router.become_master() if state is MASTER else 0.0
        scene = router.at(start + 0.5, advert(255, LOCAL, at=start + 0.5))
        assert router.state is state
        assert router.instance.counters.dropped == {"own_address": 1}
        assert any(isinstance(effect, Log) and effect.level == "warning" for effect in scene)


def frames(effects: list[Announce]) -> list[bytes]:
    return [frame for effect in effects for _, frame in effect.frames]


def test_g1_g3_g8_nothing_is_announced_before_the_kernel_confirmed_it() -> None:
    router = Router()
    scene = router.at(3.609375)
    assert router.state is MASTER
    assert announced(scene) == 0
    scene = router.at(3.62, router.confirmed())
    sent = frames(scene.of(Announce))  # type: ignore[arg-type]
    assert len(sent) == 5
    assert {frame[28:32] for frame in sent} == {frame[38:42] for frame in sent} == {ipv4.pack(VIP)}
    assert {frame[6:12] for frame in sent} == {MAC}


def test_g6_m10_a_burst_of_its_own_after_a_lower_advert() -> None:
    router = Router(garp=GratuitousArp(lower_prio_repeat=2, lower_prio_delay_us=3_000_000, master_delay_us=0))
    start = router.become_master()
    assert announced(router.at(start + 0.5, advert(50, at=start + 0.5))) == 2
    assert announced(router.at(start + 3.4)) == 0
    assert announced(router.at(start + 3.5)) == 2


def test_g9_interfaces_without_arp_are_left_alone() -> None:
    router = Router()
    flags = IFF_UP | IFF_RUNNING | IFF_NOARP
    router.at(1, events.LinkChanged(LinkMessage(False, INDEX, "eth0", flags, MAC, 1500)))
    start = router.become_master()
    assert announced(router.at(start + 10)) == 0


def test_g10_excluded_addresses_are_announced_too() -> None:
    excluded = VirtualAddress(address="192.0.2.77", prefix=24, interface="eth0")
    router = Router(virtual_addresses_excluded=(excluded,))
    router.at(3.609375)
    sent = frames(router.at(3.62, router.confirmed()).of(Announce))  # type: ignore[arg-type]
    assert {frame[28:32] for frame in sent} == {ipv4.pack(VIP), ipv4.pack("192.0.2.77")}
    # Round by round, the advertised ones first (features 5.3).
    assert [frame[31] for frame in sent[:4]] == [1, 77, 1, 77]


def test_e1_e2_preempt_decides_only_on_lower_adverts() -> None:
    for nopreempt in (False, True):
        router = Router(nopreempt=nopreempt)
        router.at(1, advert(100, at=1))
        router.at(2, advert(150, at=2))
        assert router.instance.wait_us == router.instance.master_down_interval_us
        assert router.instance.master_priority == 150


def test_a1_the_octets_of_type_0_are_zero_and_ignored() -> None:
    router = Router()
    router.become_master()
    (sent,) = router.scene.of(Advertise)
    assert isinstance(sent, Advertise)
    assert sent.copies[0][1][-8:] == bytes(8)


def test_a2_a_password_is_cut_and_padded() -> None:
    for password, octets in (("longpassword", b"longpass"), ("ab", b"ab\0\0\0\0\0\0")):
        given = Authentication(auth_type=AuthType.PASS, auth_pass=password)
        terms = Terms(dataclasses.replace(config(), authentication=given), lease=True)
        ((_, datagram),) = terms.advert(100, pack(HIGHER), message_sum=False)
        assert datagram[-8:] == octets


def test_s1_s8_header_of_an_advert() -> None:
    router = Router()
    router.become_master()
    (sent,) = router.scene.of(Advertise)
    assert isinstance(sent, Advertise)
    ((destination, datagram),) = sent.copies
    assert destination == GROUP
    tos, ttl, protocol = datagram[1], datagram[8], datagram[9]
    assert (tos, ttl, protocol) == (0xC0, 255, 112)
    assert (datagram[12:16], datagram[16:20]) == (pack(LOCAL), pack(GROUP))


def test_f7_d2_the_size_of_addresses_follows_the_datagram() -> None:
    """16 octets of addresses in an IPv4 datagram are four addresses or a wrong length, never one of IPv6."""
    router = Router(version=3)
    ((datagram, at_ns),) = advert(200, at=1, version=3).datagrams
    octets = bytearray(datagram + bytes(12))
    octets[2:4] = len(octets).to_bytes(2, "big")
    router.at(1, events.Received(ENDPOINT, ((bytes(octets), at_ns),)))
    assert router.instance.counters.dropped == {"length": 1}


def test_d22_u2_a_unicast_source_must_be_a_peer_before_anything_else_is_looked_at() -> None:
    router = Router(unicast_peers=(UnicastPeer(address=HIGHER, min_ttl=200),))
    for source, ttl, reason in ((LOWER, 1, "unknown_peer"), (HIGHER, 199, "ttl")):
        message = packet.encode(
            version=2,
            virtual_router_id=51,
            priority=200,
            interval_us=1_000_000,
            addresses=(pack(VIP),),
            source=pack(source),
            destination=pack(LOCAL),
        )
        datagram = ipv4.datagram(pack(source), pack(LOCAL), ttl, message)
        before = dict(router.instance.counters.dropped)
        router.at(1, events.Received(ENDPOINT, ((datagram, ns(1)),)))
        assert router.instance.counters.dropped == before | {reason: 1}
