"""rtnetlink octets, beside the structures of linux/rtnetlink.h packed by hand."""

from __future__ import annotations

import struct

import pytest
from keepbus_vrrp import netlink
from keepbus_vrrp.netlink import Address, AddressMessage, Answer, ForwardingMessage, LinkMessage

ADDRESS = Address(2, bytes((10, 9, 0, 100)), 24, bytes((10, 9, 0, 255)), "eth0:1", 0)


def attributes(octets: bytes) -> dict[int, bytes]:
    found = {}
    at = 16 + 8
    while at < len(octets):
        length, kind = struct.unpack_from("=HH", octets, at)
        found[kind] = octets[at + 4 : at + length]
        at += (length + 3) & ~3
    return found


def test_install() -> None:
    octets = netlink.install(ADDRESS, 2)
    length, kind, flags, _, _ = struct.unpack_from("=IHHII", octets)
    assert (length, kind) == (len(octets), 20)
    assert flags == 0x1 | 0x400 | 0x100  # REQUEST, CREATE, REPLACE
    assert struct.unpack_from("=BBBBI", octets, 16) == (2, 24, 0, 0, 2)
    assert attributes(octets) == {
        2: bytes((10, 9, 0, 100)),
        1: bytes((10, 9, 0, 100)),
        6: struct.pack("=IIII", 2, 2, 0, 0),
        4: bytes((10, 9, 0, 255)),
        3: b"eth0:1\0",
        11: b"\x12",
    }


def test_remove_names_the_address_alone() -> None:
    octets = netlink.remove(ADDRESS)
    assert struct.unpack_from("=H", octets, 4) == (21,)
    assert attributes(octets).keys() == {1, 2}


def test_a_batch_is_numbered_and_its_last_is_acknowledged() -> None:
    octets = netlink.batch([netlink.remove(ADDRESS), netlink.remove(ADDRESS)], 7)
    size = len(octets) // 2
    heads = [struct.unpack_from("=IHHI", octets, at) for at in (0, size)]
    assert [(flags & 0x4, sequence) for _, _, flags, sequence in heads] == [(0, 7), (4, 8)]


def test_what_the_kernel_tells() -> None:
    body = struct.pack("=BxHiII", 0, 1, 2, 0x11043, 0xFFFFFFFF)
    body += struct.pack("=HH", 9, 3) + b"eth0\0\0\0\0"
    body += struct.pack("=HH", 10, 1) + bytes.fromhex("0200000002530000")
    body += struct.pack("=HHI", 8, 4, 1500)
    message = struct.pack("=IHHII", 16 + len(body), 16, 0, 0, 0) + body
    address = struct.pack("=BBBBI", 2, 24, 0x80, 0, 2)
    address += (
        struct.pack("=HH", 8, 1) + bytes((10, 9, 0, 1)) + struct.pack("=HH", 8, 2) + bytes((10, 9, 0, 1))
    )
    message += struct.pack("=IHHII", 16 + len(address), 21, 0, 0, 0) + address
    message += struct.pack("=IHHIIi", 20, 3, 0x10, 5, 0, 0)
    message += struct.pack("=IHHIIi", 20, 2, 0, 6, 0, -17)
    assert list(netlink.parse(message)) == [
        LinkMessage(False, 2, "eth0", 0x11043, bytes.fromhex("020000000253"), 1500),
        AddressMessage(True, 2, bytes((10, 9, 0, 1)), 24),
        Answer(5, 0, True),
        Answer(6, 17, False),
    ]


def test_cut_off_octets_end_quietly() -> None:
    whole = netlink.install(ADDRESS, 2)
    for length in range(16):
        assert list(netlink.parse(whole[:length])) == []


def kept(program: bytes, message: bytes) -> bool:
    """Execute the program as the kernel does (linux/filter.h); a load beyond the end drops."""
    instructions = [struct.unpack_from("=HBBI", program, at) for at in range(0, len(program), 8)]
    at = loaded = 0
    while True:
        code, if_true, if_false, value = instructions[at]
        at += 1
        if code == 0x06:
            return bool(value)
        if code == 0x80:
            loaded = len(message)
        elif code in (0x20, 0x28, 0x30):
            size = {0x20: 4, 0x28: 2, 0x30: 1}[code]
            if value + size > len(message):
                return False
            loaded = int.from_bytes(message[value : value + size], "big")
        else:
            taken = loaded == value if code == 0x15 else loaded > value
            at += if_true if taken else if_false


def told(kind: int, port: int, family: int, *attributes_: bytes) -> bytes:
    """A message of the kernel about an address."""
    body = struct.pack("=BBBBI", family, 64, 0x80, 0, 2) + b"".join(attributes_)
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, port) + body


# In the order of the kernel: the address, its lifetimes, its flags, who made it.
OF_IPV6 = (
    struct.pack("=HH", 20, 1) + bytes(16),
    struct.pack("=HH", 20, 6) + bytes(16),
    struct.pack("=HHI", 8, 8, 0x82),
)
OURS, THEIRS = struct.pack("=HHB3x", 5, 11, 18), struct.pack("=HHB3x", 5, 11, 3)


@pytest.mark.parametrize(
    ("message", "passes"),
    [
        (told(20, 4242, 2), False),
        (told(21, 4242, 2), False),
        (told(20, 0, 2), True),
        (told(20, 0, 10, *OF_IPV6), True),
        (told(20, 0, 10, *OF_IPV6, THEIRS), True),
        (told(20, 0, 10, *OF_IPV6, OURS), False),
        (told(21, 0, 10, *OF_IPV6, OURS), True),
        (struct.pack("=IHHII", 16, 16, 0, 0, 0), True),
    ],
)
def test_filter_lets_everything_pass_but_own_doings(message: bytes, passes: bool) -> None:
    """Of IPv6 the kernel does not say whose doing it was: what we install is known by its mark, and that an
    address is gone must be heard in any case."""
    assert kept(netlink.ignore_own(4242), message) is passes


def test_ipv6() -> None:
    """No duplicate detection, flags in 32 bits; a preferred lifetime is never longer than the valid one."""
    address = bytes.fromhex("fe80000000000000000000000000005f")
    octets = netlink.install(Address(2, address, 128, flags=0x2, preferred_s=0), 2)
    assert struct.unpack_from("=BBBBI", octets, 16) == (10, 128, 0, 0, 2)
    found = attributes(octets)
    assert found[1] == found[2] == address
    assert found[6] == struct.pack("=IIII", 0, 2, 0, 0)
    assert found[8] == struct.pack("=I", 0x2)
    preferred = attributes(netlink.install(Address(2, address, 64, flags=0x2), 2))
    assert preferred[6] == struct.pack("=IIII", 2, 2, 0, 0)


def test_peer_of_a_point_to_point_link() -> None:
    octets = netlink.install(Address(2, bytes((10, 0, 0, 1)), 32, peer=bytes((10, 0, 0, 2))), 2)
    found = attributes(octets)
    assert (found[2], found[1]) == (bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2)))


def test_what_the_kernel_tells_of_ipv6() -> None:
    address = bytes.fromhex("fe80000000000000000000000000005f")
    body = struct.pack("=BBBBI", 10, 64, 0x40, 253, 2) + struct.pack("=HH", 20, 1) + address
    tentative = struct.pack("=IHHII", 16 + len(body), 20, 0, 0, 0) + body
    config = struct.pack("=HH", 12, 2) + struct.pack("=ii", 1, 64)
    inet6 = struct.pack("=HH", 4 + len(config), 10) + config
    spec = struct.pack("=HH", 4 + len(inet6), 26 | 0x8000) + inet6
    body = struct.pack("=BxHiII", 0, 1, 2, 0x11043, 0xFFFFFFFF) + spec
    link = struct.pack("=IHHII", 16 + len(body), 16, 0, 0, 0) + body
    body = struct.pack("=B3x", 10) + struct.pack("=HHi", 8, 1, 2) + struct.pack("=HHi", 8, 2, 0)
    forwarding = struct.pack("=IHHII", 16 + len(body), 80, 0, 0, 0) + body
    assert list(netlink.parse(tentative + link + forwarding)) == [
        AddressMessage(False, 2, address, 64, True),
        LinkMessage(False, 2, "", 0x11043, b"", 0, True),
        ForwardingMessage(2, False),
    ]
