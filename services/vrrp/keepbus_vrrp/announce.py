"""Telling the neighbours who has an address: the frames, gratuitous ARP and unsolicited neighbour
advertisements, and when they are sent.

Law of this file: nothing is announced that the kernel has not confirmed (G3), rate limits delay and lose
nothing (G5), and leaving master empties everything that waits.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from keepbus_vrrp import ipv6
from keepbus_vrrp.checksum import checksum
from keepbus_vrrp.effects import Announce
from keepbus_vrrp.links import Link
from keepbus_vrrp.netlink import Address
from keepbus_vrrp.timers import NS_PER_US, Timer
from keepbus_vrrp.turn import Turn

Frame = tuple[str, bytes]
"""Interface name and whole Ethernet frame."""

_IPV4_OCTETS = 4
_BROADCAST = b"\xff" * 6
_ARP = struct.Struct("!6s6sHHHBBH6s4s6s4s")
_ETHERTYPE_ARP = 0x0806
_ETHERTYPE_IPV4 = 0x0800
_REQUEST = 1
_ETHERNET = struct.Struct("!6s6sH")
_ETHERTYPE_IPV6 = 0x86DD
_ALL_NODES_MAC = bytes.fromhex("333300000001")
_NEIGHBOUR_ADVERTISEMENT = struct.Struct("!BBHI16sBB6s")
_TYPE_NEIGHBOUR_ADVERTISEMENT = 136
_ROUTER, _OVERRIDE = 0x8000_0000, 0x2000_0000
_TARGET_LINK_LAYER_ADDRESS = 2
_HOP_LIMIT = 255
_IPV6 = 0x6000_0000


def gratuitous_arp(mac: bytes, address: bytes) -> bytes:
    """A broadcast ARP request with sender and target `address` (G1); the target hardware address is
    broadcast as keepalived sends it, RFC 9568's errata would have the sender's, receivers take both."""
    return _ARP.pack(
        _BROADCAST, mac, _ETHERTYPE_ARP, 1, _ETHERTYPE_IPV4, 6, 4, _REQUEST, mac, address, _BROADCAST, address
    )


def neighbour_advertisement(mac: bytes, address: bytes, *, router: bool) -> bytes:
    """An unsolicited neighbour advertisement to all nodes: override, not solicited, and router when the node
    forwards (G2, RFC 4861 4.4)."""

    def message(check: int) -> bytes:
        return _NEIGHBOUR_ADVERTISEMENT.pack(
            _TYPE_NEIGHBOUR_ADVERTISEMENT,
            0,
            check,
            _OVERRIDE | (_ROUTER if router else 0),
            address,
            _TARGET_LINK_LAYER_ADDRESS,
            1,
            mac,
        )

    length = _NEIGHBOUR_ADVERTISEMENT.size
    pseudo = ipv6.pseudo_header(address, ipv6.ALL_NODES, length, ipv6.PROTOCOL_ICMP)
    return (
        _ETHERNET.pack(_ALL_NODES_MAC, mac, _ETHERTYPE_IPV6)
        + ipv6.HEADER.pack(_IPV6, length, ipv6.PROTOCOL_ICMP, _HOP_LIMIT, address, ipv6.ALL_NODES)
        + message(checksum(pseudo + message(0)))
    )


def announcement(link: Link, address: bytes) -> bytes:
    """The frame for an address of either family."""
    if len(address) == _IPV4_OCTETS:
        return gratuitous_arp(link.mac, address)
    return neighbour_advertisement(link.mac, address, router=link.forwards)


def announce_source(turn: Turn, interface_index: int, source: bytes) -> None:
    """Tell the neighbours from where a unicast router sends, once (G7): stale caches would cost its peers
    the first adverts."""
    link = turn.links.by_index(interface_index)
    if link is not None and link.arp and source:
        turn.effects.append(Announce(((link.name, announcement(link, source)),)))


def frames(turn: Turn, addresses: Iterable[Address]) -> list[Frame]:
    """One for each address, but none on interfaces without ARP (G9)."""
    made: list[Frame] = []
    for address in addresses:
        link = turn.links.by_index(address.interface_index)
        if link is not None and link.arp:
            made.append((link.name, announcement(link, address.address)))
    return made


Chosen = tuple[Address, ...] | Callable[[], tuple[Address, ...]] | None
"""Addresses, or what tells them when their turn comes; None: all that the instance holds then."""


class _Burst(NamedTuple):
    at_ns: int
    rounds: int
    addresses: Chosen
    repeat_us: int
    """Interval of a periodic refresh; 0: once."""


class Announcer:
    """What one instance still has to announce."""

    __slots__ = ("_bursts", "_frames_of", "_queue", "_timer", "_turn")

    def __init__(self, turn: Turn, frames_of: Callable[[tuple[Address, ...] | None], list[Frame]]) -> None:
        """frames_of gives one round of frames for addresses, or for all held ones."""
        self._turn = turn
        self._frames_of = frames_of
        self._bursts: list[_Burst] = []
        self._queue: deque[Frame] = deque()
        self._timer = Timer(self._run)

    def burst(
        self,
        rounds: int,
        *,
        addresses: Chosen = None,
        delay_us: int = 0,
        repeat_us: int = 0,
    ) -> None:
        """Announce `rounds` times, after delay_us, and again every repeat_us if that is not 0."""
        if rounds > 0:
            at_ns = self._turn.now_ns + delay_us * NS_PER_US
            self._bursts.append(_Burst(at_ns, rounds, addresses, repeat_us))
            self._run(at_ns)

    def stop_repeating(self) -> None:
        """Forget what comes again and again; what waits for its one time stays."""
        self._bursts = [burst for burst in self._bursts if not burst.repeat_us]

    def stop(self) -> None:
        """Forget all that waits."""
        self._bursts.clear()
        self._queue.clear()
        self._turn.timers.cancel(self._timer)

    def _run(self, _due_at_ns: int) -> None:
        now_ns = self._turn.now_ns
        waiting = []
        for burst in self._bursts:
            if burst.at_ns > now_ns:
                waiting.append(burst)
                continue
            addresses = burst.addresses() if callable(burst.addresses) else burst.addresses
            self._queue.extend(self._frames_of(addresses) * burst.rounds)
            if burst.repeat_us:
                waiting.append(burst._replace(at_ns=now_ns + burst.repeat_us * NS_PER_US))
        self._bursts = waiting
        next_at_ns = [burst.at_ns for burst in waiting]
        if self._queue:
            next_at_ns.extend(self._flush(now_ns))
        if next_at_ns:
            self._turn.timers.arm(self._timer, min(next_at_ns))

    def _flush(self, now_ns: int) -> list[int]:
        """Send what may be sent now; when to go on, if something is left."""
        pacing = self._turn.pacing
        if not pacing.limited:
            self._turn.effects.append(Announce(tuple(self._queue)))
            self._queue.clear()
            return []
        sent: list[Frame] = []
        later_at_ns = []
        while self._queue:
            at_ns = pacing.wait(*self._queue[0], now_ns)
            if at_ns:
                later_at_ns.append(at_ns)
                break
            sent.append(self._queue.popleft())
        if sent:
            self._turn.effects.append(Announce(tuple(sent)))
        return later_at_ns
