"""Telling the neighbours who has an address: gratuitous ARP frames and when they are sent.

Law of this file: nothing is announced that the kernel has not confirmed (G3), rate limits delay and lose
nothing (G5), and leaving master empties everything that waits.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from keepbus_vrrp.effects import Announce
from keepbus_vrrp.netlink import Address
from keepbus_vrrp.timers import NS_PER_US, Timer
from keepbus_vrrp.turn import Turn

Frame = tuple[str, bytes]
"""Interface name and whole Ethernet frame."""

_BROADCAST = b"\xff" * 6
_ARP = struct.Struct("!6s6sHHHBBH6s4s6s4s")
_ETHERTYPE_ARP = 0x0806
_ETHERTYPE_IPV4 = 0x0800
_REQUEST = 1


def gratuitous_arp(mac: bytes, address: bytes) -> bytes:
    """A broadcast ARP request with sender and target `address` (G1); the target hardware address is
    broadcast as keepalived sends it, RFC 9568's errata would have the sender's, receivers take both."""
    return _ARP.pack(
        _BROADCAST, mac, _ETHERTYPE_ARP, 1, _ETHERTYPE_IPV4, 6, 4, _REQUEST, mac, address, _BROADCAST, address
    )


class _Burst(NamedTuple):
    at_ns: int
    rounds: int
    addresses: tuple[Address, ...] | None
    """None: all that the instance holds then."""
    repeat_us: int
    """Interval of a periodic refresh; 0: once."""


class Announcer:
    """What one instance still has to announce."""

    __slots__ = ("_bursts", "_frames_of", "_interval_us", "_queue", "_timer", "_turn")

    def __init__(self, turn: Turn, frames_of: Callable[[tuple[Address, ...] | None], list[Frame]]) -> None:
        """frames_of gives one round of frames for addresses, or for all held ones."""
        self._turn = turn
        self._frames_of = frames_of
        self._bursts: list[_Burst] = []
        self._queue: deque[Frame] = deque()
        self._interval_us = 0
        self._timer = Timer(self._run)

    def space(self, interval_us: int) -> None:
        """Least spacing between two frames on an interface."""
        self._interval_us = interval_us

    def burst(
        self,
        rounds: int,
        *,
        addresses: tuple[Address, ...] | None = None,
        delay_us: int = 0,
        repeat_us: int = 0,
    ) -> None:
        """Announce `rounds` times, after delay_us, and again every repeat_us if that is not 0."""
        if rounds > 0:
            at_ns = self._turn.now_ns + delay_us * NS_PER_US
            self._bursts.append(_Burst(at_ns, rounds, addresses, repeat_us))
            self._run(at_ns)

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
            self._queue.extend(self._frames_of(burst.addresses) * burst.rounds)
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
        if not self._interval_us:
            self._turn.effects.append(Announce(tuple(self._queue)))
            self._queue.clear()
            return []
        free_at_ns = self._turn.announce_free_at_ns
        sent: list[Frame] = []
        while self._queue:
            frame = self._queue[0]
            at_ns = free_at_ns.get(frame[0], 0)
            if at_ns > now_ns:
                break
            free_at_ns[frame[0]] = now_ns + self._interval_us * NS_PER_US
            sent.append(self._queue.popleft())
        if sent:
            self._turn.effects.append(Announce(tuple(sent)))
        return [free_at_ns[self._queue[0][0]]] if self._queue else []
