"""nfnetlink octets, computed by hand from linux/netfilter/nf_tables.h on a little-endian machine."""

from __future__ import annotations

import struct
import sys

import pytest
from keepbus_vrrp import nftables as nft

pytestmark = pytest.mark.skipif(sys.byteorder != "little", reason="the expected octets are little-endian")

ADDRESS = bytes((192, 0, 2, 100))


def test_an_element_with_a_timeout() -> None:
    # NFTA_LIST_ELEM { NFTA_SET_ELEM_KEY { NFTA_DATA_VALUE 4 octets } NFTA_SET_ELEM_TIMEOUT 500 ms, 64 bits }
    assert nft.element(ADDRESS, 500).hex(" ", 4) == (
        "1c000180 0c000180 08000100 c0000264 0c000400 00000000 000001f4"
    )


def test_an_element_that_stays_has_no_timeout() -> None:
    assert nft.element(ADDRESS).hex(" ", 4) == "10000180 0c000180 08000100 c0000264"


def test_a_transaction_is_framed_and_numbered() -> None:
    (begin, change, end) = messages(nft.batch([nft.remove_table(nft.NFPROTO_INET, "t")], 7))
    # NFNL_MSG_BATCH_BEGIN and _END name the subsystem in network order; in between NFT_MSG_DELTABLE.
    assert begin[:2] == (0x10, 7)
    assert begin[2].hex() == "0000000a"
    assert change[:2] == (10 << 8 | 2, 8)
    assert change[2].hex() == "01000000" + "06000100" + b"t\0".hex() + "0000"
    assert end[:2] == (0x11, 9)


def messages(octets: bytes) -> list[tuple[int, int, bytes]]:
    """Type, number and body of each."""
    found = []
    at = 0
    while at < len(octets):
        length, kind, flags, sequence, _ = struct.unpack_from("=IHHII", octets, at)
        assert flags & nft.NLM_F_REQUEST
        found.append((kind, sequence, octets[at + 16 : at + length]))
        at += (length + 3) & ~3
    return found


def test_errors_are_found_and_acknowledgements_are_not() -> None:
    def answer(sequence: int, errno: int) -> bytes:
        return struct.pack("=IHHIIi", 36, nft.NLMSG_ERROR, 0, sequence, 0, -errno) + bytes(16)

    assert list(nft.errors(answer(3, 0) + answer(4, 2))) == [(4, 2)]
    assert list(nft.errors(b"")) == []
