"""Hears ARP packets and neighbour advertisements in which somebody says that an address is his (R-F57).

The kernel hands on only those about the addresses that are watched, so that a busy network wakes nobody.
Own frames don't come here: a socket that is bound to one protocol is not given what this host sends.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Sequence

from keepbus.runtime.machine import Event
from keepbus_vrrp.events import Claimed
from keepbus_vrrp.kernel import attach_filter

_ETH_P_ARP = 0x0806
_ARP_OCTETS = 28
_ARP_SENDER_AT, _ARP_MAC_AT = 14, 8
_ICMP6_FILTER, _NEIGHBOUR_ADVERTISEMENT = 1, 136
_TARGET_AT, _OPTIONS_AT, _TARGET_LINK_LAYER_ADDRESS = 8, 24, 2
_MAC_OCTETS = 6
_IPV4_OCTETS, _IPV6_OCTETS = 4, 16
_MOST_WATCHED = 1_000
"""A filter has room for 4,096 instructions, two for each address."""
_MOST_PER_READ = 64
_PACKET_INFO = struct.Struct("=16si")


class ClaimSockets:
    """One socket per family, while there are addresses of it."""

    def __init__(self, addresses: Sequence[bytes]) -> None:
        """Raises OSError."""
        self._watched = frozenset(addresses)
        self.arp: socket.socket | None = None
        self.neighbours: socket.socket | None = None
        four = [each for each in addresses if len(each) == _IPV4_OCTETS]
        six = [each for each in addresses if len(each) == _IPV6_OCTETS]
        try:
            if four:
                self.arp = _open(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_ARP))
                attach_filter(self.arp, only(_ARP_SENDER_AT, four))
            if six:
                self.neighbours = _open(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
                blocked = bytearray(b"\xff" * 32)
                blocked[_NEIGHBOUR_ADVERTISEMENT // 8] ^= 1 << _NEIGHBOUR_ADVERTISEMENT % 8
                self.neighbours.setsockopt(socket.IPPROTO_ICMPV6, _ICMP6_FILTER, bytes(blocked))
                attach_filter(self.neighbours, only(_TARGET_AT + 12, six))
                self.neighbours.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        except OSError:
            self.close()
            raise

    def read_arp(self, _mask: int) -> list[Event]:
        """Whoever sends an ARP packet, of whatever kind, from one of the addresses."""
        assert self.arp is not None
        found: list[Event] = []
        # Nothing more, or an interface that is gone by now.
        with contextlib.suppress(OSError):
            for _ in range(_MOST_PER_READ):
                octets, where = self.arp.recvfrom(_ARP_OCTETS)
                address = octets[_ARP_SENDER_AT : _ARP_SENDER_AT + _IPV4_OCTETS]
                if len(octets) == _ARP_OCTETS and address in self._watched:
                    mac = octets[_ARP_MAC_AT : _ARP_MAC_AT + _MAC_OCTETS]
                    found.append(Claimed(socket.if_nametoindex(where[0]), address, mac))
        return found

    def read_neighbours(self, _mask: int) -> list[Event]:
        """Whoever advertises one of the addresses, with the link-layer address that he names."""
        assert self.neighbours is not None
        found: list[Event] = []
        with contextlib.suppress(OSError):
            for _ in range(_MOST_PER_READ):
                octets, ancillary, _, _ = self.neighbours.recvmsg(128, socket.CMSG_SPACE(_PACKET_INFO.size))
                address = octets[_TARGET_AT:_OPTIONS_AT]
                mac = _link_layer_address(octets[_OPTIONS_AT:])
                if address in self._watched and mac and ancillary:
                    index = _PACKET_INFO.unpack_from(ancillary[0][2])[1]
                    found.append(Claimed(index, address, mac))
        return found

    def close(self) -> None:
        """Close both."""
        for each in (self.arp, self.neighbours):
            if each is not None:
                each.close()


def only(at: int, addresses: Sequence[bytes]) -> bytes:
    """A classic BPF program that keeps what has the last word of one of the addresses at this octet; of too
    many addresses it keeps everything."""
    load_word, equal, done = 0x20, 0x15, 0x06
    words = sorted({int.from_bytes(each[-4:], "big") for each in addresses})
    program = [(load_word, 0, 0, at)]
    if len(words) <= _MOST_WATCHED:
        for word in words:
            program += [(equal, 0, 1, word), (done, 0, 0, 0xFFFFFFFF)]
        program.append((done, 0, 0, 0))
    else:
        program.append((done, 0, 0, 0xFFFFFFFF))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def _link_layer_address(options: bytes) -> bytes:
    """Of the first option that says it; empty when none does (RFC 4861 4.6.1)."""
    at = 0
    while at + 2 <= len(options) and options[at + 1]:
        length = options[at + 1] * 8
        if options[at] == _TARGET_LINK_LAYER_ADDRESS and at + length <= len(options):
            return options[at + 2 : at + 2 + _MAC_OCTETS]
        at += length
    return b""


def _open(family: int, kind: int, protocol: int) -> socket.socket:
    return socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, protocol)
