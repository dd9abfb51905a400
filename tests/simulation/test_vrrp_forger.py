"""R-I12: who has no key changes nothing but counters where `auth_hmac` is enforced.

The same story is played twice, with and without a station that sends what it heard, changed, in other names,
and adverts of its own. What routers tell, to the nanosecond, must be the same.
"""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from keepbus_vrrp import hmac_trailer, ipv4, packet
from vrrp_world import MS, VIP, Router, S, configured

from keepbus.config.model.vrrp import AuthHmac, HmacKey
from keepbus.contracts.vrrp import VrrpState
from keepbus.testing.wire import World

_GROUP = ipv4.pack("224.0.0.18")
_HEADER = 20


def key(octet: int) -> HmacKey:
    return HmacKey(key_id=1, octets=bytes([octet] * 32).hex())


class Forger:
    """A station on the wire with chance and a key of its own, so that the routers' chance is what it was."""

    def __init__(self, seed: int, world: World, routers: list[Router]) -> None:
        self._chance = random.Random(seed)
        self._world, self._routers = world, routers
        self._recorded: list[tuple[int, bytes]] = []
        self.sent = 0
        broadcast = world.broadcast

        def tap(sender: Router, octets: bytes) -> None:
            self._recorded.append((world.now_ns, octets))
            broadcast(sender, octets)

        world.broadcast = tap  # type: ignore[assignment, method-assign]

    def send_until(self, end_ns: int) -> None:
        """Twenty packets a second, each to one router."""
        at_ns = self._world.now_ns
        while (at_ns := at_ns + self._chance.randrange(100 * MS)) < end_ns:
            self._world.at(at_ns, self._send)

    def _send(self) -> None:
        router = self._chance.choice(self._routers)
        octets = self._chance.choice((self._replayed, self._changed, self._renamed, self._made))(router)
        if octets:
            self.sent += 1
            router.arrive(octets)

    def _replayed(self, router: Router) -> bytes:
        """An advert of another that it had heard: a process that has just begun has no number to compare
        with, and the window of time is all there is against what is older (X8)."""
        since_ns = router.heard[0].at_ns if router.heard else 1 << 62
        foreign = [
            octets
            for sent_ns, octets in self._recorded[:-2]
            if octets[12:16] != router.address and since_ns <= sent_ns < self._world.now_ns - 10 * MS
        ]
        return self._chance.choice(foreign[-20:]) if foreign else b""

    def _changed(self, router: Router) -> bytes:
        octets = bytearray(self._replayed(router))
        for _ in range(min(len(octets), 3)):
            octets[self._chance.randrange(_HEADER, len(octets))] = self._chance.randrange(256)
        return bytes(octets)

    def _renamed(self, router: Router) -> bytes:
        octets = bytearray(self._replayed(router))
        octets[12:16] = self._chance.choice(self._routers).address
        return bytes(octets) if len(octets) > _HEADER else b""

    def _made(self, router: Router) -> bytes:
        """A release or an owner's advert in a router's name, without a trailer or with one of another key."""
        source = self._chance.choice(self._routers).address
        policy = hmac_trailer.Policy(
            keys={1: bytes.fromhex(key(7).octets)},
            active_key=1,
            window_us=5_000_000,
            signs=True,
            enforces=True,
        )
        guard, number = hmac_trailer.Guard(policy), hmac_trailer.clock(self._world.now_ns)
        message = packet.encode(
            version=router.config.version,
            virtual_router_id=51,
            priority=self._chance.choice((0, 1, 254, 255)),
            interval_us=router.config.advert_interval_us,
            addresses=(VIP,),
            source=source,
            destination=_GROUP,
            sign=self._chance.choice((None, lambda text: guard.trailer(4, source, number, text))),
        )
        return ipv4.datagram(source, _GROUP, 255, message)


def play(seed: int, *, forged: bool, octet: int = 1) -> tuple[list[object], int, list[Router]]:
    """What was told and held, how much was forged, and the routers at the end. octet: of their key; 7 is that
    of the forger."""
    world = World(seed)
    dice = random.Random(seed)
    version = dice.choice((2, 3))
    secret = AuthHmac(keys=(key(octet),), active_key=1, time_window_us=dice.choice((0, 5_000_000)))
    routers = [
        Router(
            world,
            number,
            configured(
                version=version,
                priority=priority,
                auth_hmac=secret,
            ),
        )
        for number, priority in enumerate(dice.sample((50, 100, 150, 200, 254), 3))
    ]
    held: list[list[int]] = [[]]

    def look() -> None:
        until_ns = [router.held_until_ns for router in routers]
        if until_ns != held[-1]:
            held.append(until_ns)

    world.watchers.append(look)
    for router in routers:
        world.after(dice.randrange(3 * S), router.boot)
    for _ in range(4):
        router, at_ns = dice.choice(routers), dice.randrange(5 * S, 40 * S)
        world.after(at_ns, router.crash)
        world.after(at_ns + dice.randrange(6 * S), router.boot)
    router = dice.choice(routers)
    world.after(20 * S, lambda: router.reload(replace(router.config, priority=120)))
    forger = Forger(seed, world, routers)
    if forged:
        forger.send_until(world.now_ns + 50 * S)
    world.run(world.now_ns + 60 * S)
    told = [(router.name, str(each)) for router in routers for each in router.told]
    return [told, held], forger.sent, routers


@pytest.mark.parametrize("seed", range(30))
def test_r_i12_a_forger_without_the_key_changes_nothing_but_counters(seed: int) -> None:
    quiet, _, _ = play(seed, forged=False)
    noisy, sent, routers = play(seed, forged=True)
    assert noisy == quiet
    assert sum(router.state is VrrpState.MASTER for router in routers) == 1
    refused = sum(sum(router.instance.counters.dropped.values()) for router in routers if router.instance)
    assert sent > 200
    assert refused > 50


def test_a_forger_with_the_key_is_believed() -> None:
    """So what is compared above can differ."""
    plays = ((play(seed, forged=forged, octet=7)[0] for forged in (False, True)) for seed in range(10))
    assert any(quiet != noisy for quiet, noisy in plays)
