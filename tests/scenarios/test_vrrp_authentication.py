"""AH and auth_hmac in the machine: what is sealed, what is believed, and what a refusal leaves untouched
(conformance A4, A5, D13, D15, X1 to X8; reliability R-F39, R-F71, R-F73)."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from keepbus_vrrp import ah, hmac_trailer, ipv4, packet
from keepbus_vrrp.effects import Advertise, Listen
from keepbus_vrrp.events import Received, WallClock
from vrrp_router import ENDPOINT, GROUP, HIGHER, LOCAL, LOWER, VIP, Router, advert, config

from keepbus.config.model.vrrp import Authentication, AuthHmac, AuthType, HmacKey, HmacMode
from keepbus.contracts.vrrp import VrrpState
from keepbus.runtime.machine import Log
from keepbus.testing.playbook import Scene, ns

PASSWORD = b"secret12"
AH = Authentication(auth_type=AuthType.AH, auth_pass="secret12")
KEY = bytes(range(32))
HMAC = AuthHmac(keys=(HmacKey(key_id=1, octets=KEY.hex()),), active_key=1, time_window_us=5_000_000)
S = 1_000_000_000


def message(priority: int, source: str, **fields: Any) -> bytes:
    return packet.encode(
        **(
            {
                "version": 2,
                "virtual_router_id": 51,
                "priority": priority,
                "interval_us": 1_000_000,
                "addresses": (ipv4.pack(VIP),),
                "source": ipv4.pack(source),
                "destination": ipv4.pack(GROUP),
            }
            | fields
        )
    )


def received(datagram: bytes, at: float) -> Received:
    return Received(ENDPOINT, ((datagram, ns(at)),))


def with_ah(
    priority: int, sequence: int, *, at: float, source: str = HIGHER, password: bytes = PASSWORD
) -> Received:
    octets = message(priority, source, auth_type=packet.AUTH_AH)
    datagram = ah.Guard(password).datagram(ipv4.pack(source), ipv4.pack(GROUP), 255, sequence, octets)
    return received(datagram, at)


def with_hmac(
    priority: int,
    wall_ns: int,
    *,
    at: float,
    source: str = HIGHER,
    key: bytes = KEY,
    key_id: int = 1,
    **fields: Any,
) -> Received:
    policy = hmac_trailer.Policy(
        keys={key_id: key}, active_key=key_id, window_us=5_000_000, signs=True, enforces=True
    )
    guard, number = hmac_trailer.Guard(policy), hmac_trailer.clock(wall_ns)
    packed = ipv4.pack(source)
    octets = message(priority, source, sign=lambda text: guard.trailer(4, packed, number, text), **fields)
    return received(ipv4.datagram(packed, ipv4.pack(GROUP), 255, octets), at)


def sent(scene: Scene) -> list[bytes]:
    return [effect.copies[0][1] for effect in scene.of(Advertise)]  # type: ignore[attr-defined]


def ah_sequence(datagram: bytes) -> int:
    assert datagram[9] == 51
    return int.from_bytes(datagram[28:32], "big")


def dropped(router: Router) -> dict[str, int]:
    return router.instance.counters.dropped


# AH


def test_a5_adverts_leave_as_protocol_51_and_verify() -> None:
    router = Router(authentication=AH)
    (listen,) = router.scene.of(Listen)
    assert isinstance(listen, Listen)
    assert listen.ah
    start = router.become_master()
    datagrams = sent(router.scene) + sent(router.at(start + 1)) + sent(router.stop(start + 1.5))
    guard = ah.Guard(PASSWORD)
    numbers = [guard.check(each, each[20:44], each[44:]) for each in datagrams]
    assert numbers == sorted(set(numbers))  # type: ignore[type-var]
    assert [each[44 + 2] for each in datagrams] == [100, 100, 0]
    assert all(each[4:6] != b"\0\0" for each in datagrams)


def test_a5_a_good_one_is_followed_and_its_replay_is_not() -> None:
    router = Router(authentication=AH)
    router.at(1, with_ah(200, 7, at=1))
    assert router.instance.master_source == ipv4.pack(HIGHER)
    router.at(2, with_ah(200, 7, at=2))
    router.at(2.1, with_ah(200, 6, at=2.1))
    assert dropped(router) == {"auth_failure": 2}
    assert router.instance.last_advert_at_ns == ns(1)
    router.at(2.2, with_ah(200, 8, at=2.2))
    assert router.instance.last_advert_at_ns == ns(2.2)


def test_a4_a5_wrong_password_no_header_and_no_authentication() -> None:
    router = Router(authentication=AH)
    router.at(1, with_ah(200, 7, at=1, password=b"\0" * 8))
    bare = message(200, HIGHER, auth_type=packet.AUTH_AH)
    source, group = ipv4.pack(HIGHER), ipv4.pack(GROUP)
    router.at(1.1, received(ipv4.datagram(source, group, 255, bare), 1.1))
    router.at(1.2, advert(200, at=1.2))
    assert dropped(router) == {"auth_failure": 2, "auth_type_mismatch": 1}
    assert router.instance.counters.adverts_received == 0


def test_a5_a_master_goes_above_the_number_of_a_worse_one() -> None:
    """Its peer would take a smaller one for a replay, and both would stay master."""
    router = Router(authentication=AH)
    start = router.become_master()
    far = ah_sequence(sent(router.scene)[0]) + 1_000_000
    (answer,) = sent(router.at(start + 0.5, with_ah(90, far, at=start + 0.5)))
    assert ah_sequence(answer) == far + 1


def test_a5_numbers_begin_at_the_clock_so_that_a_new_process_is_believed() -> None:
    first = Router(authentication=AH)
    first.become_master()
    assert ah_sequence(sent(first.scene)[0]) == ns(3.609375) // S


def test_d15_a_later_refusal_moves_no_number() -> None:
    """An AH advert that verifies, with another interval: its number is not used up."""
    router = Router(authentication=AH)
    octets = message(200, HIGHER, auth_type=packet.AUTH_AH, interval_us=2_000_000)
    source, group = ipv4.pack(HIGHER), ipv4.pack(GROUP)
    router.at(1, received(ah.Guard(PASSWORD).datagram(source, group, 255, 9, octets), 1))
    router.at(1.1, with_ah(200, 9, at=1.1))
    assert dropped(router) == {"adver_int_mismatch": 1}
    assert router.instance.master_source == source


def test_a5_a_reload_keeps_the_number() -> None:
    router = Router(authentication=AH)
    router.at(1, with_ah(200, 9, at=1))
    router.reload(1.5, config(authentication=AH, priority=50))
    router.at(2, with_ah(200, 9, at=2))
    assert dropped(router) == {"auth_failure": 1}


# auth_hmac


def test_x1_adverts_carry_a_trailer_that_verifies() -> None:
    for version in (2, 3):
        router = Router(auth_hmac=HMAC, version=version)
        start = router.become_master()
        guard = hmac_trailer.Guard(hmac_trailer.Policy(
            keys={1: KEY}, active_key=1, window_us=5_000_000, signs=True, enforces=True
        ))  # fmt: skip
        for datagram, second in [
            *((each, start) for each in sent(router.scene)),
            *((each, start + 1) for each in sent(router.at(start + 1))),
        ]:
            octets, source = datagram[20:], ipv4.pack(LOCAL)
            number = guard.check(4, source, octets[:-28], octets[-28:], ns(second))
            assert isinstance(number, int)
            guard.accept(source, number, ns(second))


def test_x1_a_good_one_is_followed() -> None:
    router = Router(auth_hmac=HMAC)
    router.at(1, with_hmac(200, ns(1), at=1))
    assert router.instance.master_source == ipv4.pack(HIGHER)
    assert dropped(router) == {}


BAD: dict[str, Received] = {
    "hmac_missing": advert(200, at=2),
    "hmac_stale": with_hmac(200, ns(8), at=2),
    "hmac_key": with_hmac(200, ns(2), at=2, key_id=2),
    "hmac": with_hmac(200, ns(2), at=2, key=bytes(32)),
    "hmac_replay": with_hmac(200, ns(1), at=1),
    "adver_int_mismatch": with_hmac(200, ns(2), at=2, interval_us=2_000_000),
}


@pytest.mark.parametrize("reason", BAD)
def test_d13_d15_r_f71_a_refused_one_changes_nothing(reason: str) -> None:
    router = Router(auth_hmac=HMAC)
    router.at(1, with_hmac(200, ns(1), at=1))
    due_at_ns = router.instance.timer.due_at_ns
    router.at(2, BAD[reason])
    assert dropped(router) == {reason: 1}
    assert router.instance.timer.due_at_ns == due_at_ns
    router.at(2.5, with_hmac(200, ns(1) + 1_000_000, at=2.5))  # newer than the accepted one only
    assert dropped(router) == {reason: 1}


def test_x3_malformed() -> None:
    router = Router(auth_hmac=HMAC)
    ((datagram, at_ns),) = with_hmac(200, ns(1), at=1).datagrams
    octets = bytearray(datagram)
    octets[-28] = 2
    router.at(1, Received(ENDPOINT, ((bytes(octets), at_ns),)))
    assert dropped(router) == {"hmac_malformed": 1}


def test_x6_r_f71_replay_from_another_source() -> None:
    router = Router(auth_hmac=HMAC)
    ((datagram, _),) = with_hmac(200, ns(1), at=1, source=HIGHER).datagrams
    octets = bytearray(datagram)
    octets[12:16] = ipv4.pack(LOWER)
    router.at(1, received(bytes(octets), 1))
    assert dropped(router) == {"hmac": 1}


def test_x4_permissive_hears_both_and_receive_only_sends_none() -> None:
    for mode, trailer_octets in ((HmacMode.PERMISSIVE, 28), (HmacMode.RECEIVE_ONLY, 0)):
        router = Router(auth_hmac=dataclasses.replace(HMAC, mode=mode))
        router.at(1, advert(200, at=1))
        router.at(2, with_hmac(200, ns(2), at=2))
        assert dropped(router) == {}
        router.become_master()
        (first,) = sent(router.scene)
        assert len(first) == 20 + 8 + 4 + 8 + trailer_octets


def test_a_node_without_keys_refuses_the_trailer_as_a_wrong_length() -> None:
    router = Router()
    router.at(1, with_hmac(200, ns(1), at=1))
    assert dropped(router) == {"length": 1}


def test_x8_skew_over_half_the_window_is_told_once() -> None:
    router = Router(auth_hmac=HMAC)
    told = 0
    for second in range(1, 5):
        scene = router.at(second, with_hmac(200, ns(second) + 3 * S, at=second))
        told += sum(isinstance(effect, Log) and "ahead of ours" in effect.text for effect in scene)
    assert told == 1
    assert dropped(router) == {}


def test_r_f39_our_clock_steps_and_no_timer_moves_by_it() -> None:
    """Stale adverts are counted; when the clock is right again the peer is heard at once."""
    router = Router(auth_hmac=HMAC)
    router.at(1, with_hmac(200, ns(1), at=1))
    due_at_ns = router.instance.timer.due_at_ns
    wall = WallClock(3600 * S)
    router.at(1.5, wall)
    assert router.instance.timer.due_at_ns == due_at_ns
    router.at(2, with_hmac(200, ns(2), at=2))
    assert dropped(router) == {"hmac_stale": 1}
    router.at(2.5, WallClock(0))
    router.at(3, with_hmac(200, ns(3), at=3))
    assert dropped(router) == {"hmac_stale": 1}
    assert router.instance.last_advert_at_ns == ns(3)


def test_x7_r_f39_our_clock_steps_back_as_master_and_peers_believe_us_again() -> None:
    router = Router(auth_hmac=HMAC)
    start = router.become_master()
    router.at(start + 0.2, WallClock(400 * S))
    router.at(start + 1)
    router.at(start + 1.2, WallClock(0))
    (datagram,) = sent(router.at(start + 2))
    number = int.from_bytes(datagram[-24:-16], "big")
    assert number == hmac_trailer.clock(ns(start + 2))


def test_r_f73_forged_priority_0_does_nothing_to_a_node_with_keys() -> None:
    router = Router(auth_hmac=HMAC)
    router.at(1, with_hmac(200, ns(1), at=1))
    for number in range(100):
        router.at(1.1 + number / 1000, advert(0, at=1.1 + number / 1000))
    assert dropped(router) == {"hmac_missing": 100}
    assert router.state is VrrpState.BACKUP
    router.at(2, with_hmac(200, ns(2), at=2))
    router.at(4.9)
    assert router.state is VrrpState.BACKUP


def test_r_f73_without_authentication_priority_0_brings_a_takeover_by_the_rules() -> None:
    router = Router()
    router.at(1, advert(200, at=1))
    for number in range(1000):
        router.at(1.1 + number / 10_000, advert(0, at=1.1 + number / 10_000))
    router.at(1.2 + 0.609375)
    assert router.state is VrrpState.MASTER


def test_x5_a_key_rollover_by_reload_keeps_the_marks() -> None:
    router = Router(auth_hmac=HMAC)
    good = with_hmac(200, ns(1), at=1)
    router.at(1, good)
    two = AuthHmac(
        keys=(*HMAC.keys, HmacKey(key_id=2, octets=bytes(32).hex())), active_key=2, time_window_us=5_000_000
    )
    router.reload(1.5, config(auth_hmac=two))
    router.at(2, received(good.datagrams[0][0], 2))
    assert dropped(router) == {"hmac_replay": 1}
    router.at(2.1, with_hmac(200, ns(2.1), at=2.1, key=bytes(32), key_id=2))
    assert dropped(router) == {"hmac_replay": 1}
