"""What the kernel hands on of ARP packets and neighbour advertisements (RFC 826, RFC 4861 4.4; R-F57)."""

from __future__ import annotations

import socket
import struct

import pytest
from keepbus_vrrp.claim_sockets import ClaimSockets, _link_layer_address, only
from test_vrrp_netlink import kept

SENDER_AT, TARGET_TAIL_AT = 14, 20


def arp(sender: str, *, operation: int = 1) -> bytes:
    """A packet as it is behind the Ethernet header."""
    addresses = bytes.fromhex("0200000000aa") + socket.inet_aton(sender) + bytes(6) + bytes((10, 9, 0, 7))
    return struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation) + addresses


def advertisement(target: str) -> bytes:
    return struct.pack("!BBHI", 136, 0, 0, 1 << 29) + socket.inet_pton(socket.AF_INET6, target)


@pytest.mark.parametrize(
    ("sender", "passes"),
    [("10.9.0.100", True), ("10.9.0.101", True), ("10.9.0.102", False), ("0.0.0.0", False)],
)
@pytest.mark.parametrize("operation", [1, 2])
def test_arp_of_watched_senders_only(sender: str, passes: bool, operation: int) -> None:
    program = only(SENDER_AT, [socket.inet_aton("10.9.0.101"), socket.inet_aton("10.9.0.100")])
    assert kept(program, arp(sender, operation=operation)) is passes
    assert not kept(program, arp(sender)[:16]), "what is cut off is dropped"


@pytest.mark.parametrize(
    ("target", "passes"),
    [("2001:db8::51", True), ("fe80::51", True), ("2001:db8::52", False), ("2001:db9::51", True)],
)
def test_advertisements_go_by_the_last_word_of_the_target(target: str, passes: bool) -> None:
    """The rest is compared by who reads it."""
    watched = [socket.inet_pton(socket.AF_INET6, text) for text in ("2001:db8::51", "fe80::51")]
    assert kept(only(TARGET_TAIL_AT, watched), advertisement(target)) is passes


def test_the_filter_has_room_for_a_thousand_and_keeps_all_of_more() -> None:
    addresses = [struct.pack("!I", 0x0A090000 + number) for number in range(1001)]
    program = only(SENDER_AT, addresses[:1000])
    assert len(program) // 8 <= 4096
    assert kept(program, arp("10.9.3.231"))
    assert not kept(program, arp("10.9.3.232"))
    assert kept(only(SENDER_AT, addresses), arp("192.0.2.1"))


@pytest.mark.parametrize(
    ("options", "mac"),
    [
        ("0201020000000077", "020000000077"),
        ("0101ffffffffffff0201020000000077", "020000000077"),
        ("0101ffffffffffff", ""),
        ("", ""),
        ("02", ""),
        ("0200020000000077", ""),  # a length of 0 ends it: the packet is to be discarded
        ("020102", ""),
    ],
)
def test_the_link_layer_address_of_an_advertisement(options: str, mac: str) -> None:
    assert _link_layer_address(bytes.fromhex(options)).hex() == mac


def test_without_addresses_no_socket_is_opened() -> None:
    sockets = ClaimSockets(())
    assert (sockets.arp, sockets.neighbours) == (None, None)
    sockets.close()
