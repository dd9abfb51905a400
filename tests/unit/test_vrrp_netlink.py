"""rtnetlink octets, beside the structures of linux/rtnetlink.h packed by hand."""

from __future__ import annotations

import struct

from keepbus_vrrp import netlink
from keepbus_vrrp.netlink import Address, AddressMessage, Answer, LinkMessage

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


def test_filter_lets_everything_pass_but_own_doings() -> None:
    """The program, executed by hand: load the port, compare, drop or keep."""
    program = netlink.ignore_own(4242)
    instructions = [struct.unpack_from("=HBBI", program, at) for at in range(0, len(program), 8)]
    assert instructions[0] == (0x20, 0, 0, 12)  # ld [12]
    code, if_true, if_false, value = instructions[1]
    assert code == 0x15  # jeq
    message = struct.pack("=IHHII", 16, 20, 0, 0, 4242)
    assert int.from_bytes(message[12:16], "big") == value
    assert instructions[2 + if_true] == (0x06, 0, 0, 0)
    assert instructions[2 + if_false][3] > 0
