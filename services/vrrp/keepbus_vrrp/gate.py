"""The gate of the addresses: nftables lets nothing of a guarded address pass when no advert leaves (R-L3).

Law of this file: the gate is open while an element with a timeout is there, one for all leases of a length.
It is written only after adverts have left, so the gate closes by itself when this process sends none any
more. What is closed neither gets packets nor sends any: it answers no ARP and no neighbour solicitation.
Every change is one transaction.

Two tables `keepbus_NODE`, one for ARP and one for IP. They outlive a killed process on purpose; the next one
puts its own rules in their place and leaves the timeouts alone.
"""

from __future__ import annotations

import errno
import itertools
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from keepbus_vrrp import nftables as nft
from keepbus_vrrp.nfnetlink import Nfnetlink
from keepbus_vrrp.nftables import NETWORK_HEADER, NFPROTO_ARP, NFPROTO_INET, TRANSPORT_HEADER

_BEFORE_ALL = -350
"""Before connections are tracked and addresses translated."""
_MOST_NAME = 40
_NEIGHBOUR_ADVERTISEMENT, _TARGET_AT = 136, 8
_PROTOCOLS = ((NFPROTO_ARP, (b"\x08\x06",)), (NFPROTO_INET, (b"\x08\x00", b"\x86\xdd")))
"""Family of the table, ether types that pass there."""
_KEYS = ((NFPROTO_ARP, nft.IPV4), (NFPROTO_INET, nft.IPV4), (NFPROTO_INET, nft.IPV6))
"""Family of the table, kind of an address."""


class Gate:
    """One node's. Nothing exists in the kernel before `guard` is called with an address."""

    def __init__(self, node: str) -> None:
        """Raises OSError when the kernel has no nfnetlink."""
        self._table = "keepbus_" + re.sub(r"[^A-Za-z0-9_]", "_", node)[:_MOST_NAME]
        self._kernel = Nfnetlink()
        self._guarded: dict[bytes, int] = {}

    def guard(self, addresses: Iterable[tuple[bytes, int]]) -> None:
        """From now on exactly these pass only while the lease of this length lasts. Raises OSError."""
        wanted = dict(addresses)
        if not wanted:
            self.remove()
            return
        changes = self._rules(wanted)
        try:
            self._kernel.commit(changes)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.EINVAL, errno.EBUSY):
                raise
            # What an older version left is of another shape.
            self.remove()
            self._kernel.commit(changes)
        self._guarded = wanted

    def open(self, leases: Iterable[tuple[int, int]]) -> None:
        """Leases of this length, in µs, last for so many milliseconds from now on. Raises OSError."""
        changes = [each for us, ms in leases if ms > 0 for each in _opening(self._table, us, ms)]
        if not changes:
            return
        try:
            self._kernel.commit(changes)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
            # Somebody flushed all tables.
            self._kernel.commit([*self._rules(self._guarded), *changes])

    def remove(self) -> None:
        """Leave nothing in the kernel. Raises OSError."""
        self._guarded = {}
        for family in (NFPROTO_ARP, NFPROTO_INET):
            try:
                self._kernel.commit([nft.remove_table(family, self._table)])
            except OSError as error:
                if error.errno != errno.ENOENT:
                    raise

    def close(self) -> None:
        """Close the socket; the tables stay."""
        self._kernel.close()

    def _rules(self, addresses: Mapping[bytes, int]) -> list[bytes]:
        table = self._table
        changes: list[bytes] = []
        set_ids = itertools.count(1)
        lengths_us = sorted(set(addresses.values()))
        for family, _ in _PROTOCOLS:
            changes.append(nft.add_table(family, table))
            for length_us in lengths_us:
                name = _open(length_us)
                flags = nft.SET_F_TIMEOUT
                changes.append(nft.add_set(family, table, name, nft.ETHER_TYPE, next(set_ids), flags=flags))
        for (family, kind), length_us in itertools.product(_KEYS, lengths_us):
            name, octets = _guarded(kind[1], length_us), kind[1]
            changes += (
                nft.add_set(family, table, name, kind, next(set_ids)),
                nft.empty_set(family, table, name),
            )
            elements = [
                nft.element(each) for each, us in addresses.items() if len(each) == octets and us == length_us
            ]
            if elements:
                changes.append(nft.add_elements(family, table, name, elements))
        for family, chain, hook in (
            (NFPROTO_ARP, "output", nft.NF_ARP_OUT),
            (NFPROTO_INET, "input", nft.NF_INET_PRE_ROUTING),
            (NFPROTO_INET, "output", nft.NF_INET_LOCAL_OUT),
        ):
            changes += (
                nft.add_chain(family, table, chain, hook, _BEFORE_ALL),
                nft.empty_chain(family, table, chain),
            )
        ipv4, ipv6 = nft.is_family(nft.NFPROTO_IPV4), nft.is_family(nft.NFPROTO_IPV6)
        advertisement = nft.is_protocol(nft.IPPROTO_ICMPV6) + nft.octet_is(
            TRANSPORT_HEADER, 0, _NEIGHBOUR_ADVERTISEMENT
        )
        local = nft.is_for_this_host()
        # Sender of ARP, source and destination of IPv4 and IPv6, target of a neighbour advertisement.
        rules = (
            (NFPROTO_ARP, "output", b"", NETWORK_HEADER, 14, 4, b""),
            (NFPROTO_INET, "output", ipv4, NETWORK_HEADER, 12, 4, b""),
            (NFPROTO_INET, "output", ipv6, NETWORK_HEADER, 8, 16, b""),
            (NFPROTO_INET, "output", ipv6 + advertisement, TRANSPORT_HEADER, _TARGET_AT, 16, b""),
            (NFPROTO_INET, "input", ipv4, NETWORK_HEADER, 16, 4, local),
            (NFPROTO_INET, "input", ipv6, NETWORK_HEADER, 24, 16, local),
        )
        for (family, chain, before, base, offset, octets, after), us in itertools.product(rules, lengths_us):
            guarded = before + nft.load(base, offset, octets) + nft.is_in(_guarded(octets, us))
            closed = nft.load_ether_type() + nft.is_not_in(_open(us))
            changes.append(nft.add_rule(family, table, chain, guarded, closed, after, nft.drop()))
        return changes


def _guarded(octets: int, lease_us: int) -> str:
    return f"guarded{octets}_{lease_us}us"


@lru_cache(maxsize=1024)  # written many times a second, and always the same
def _opening(table: str, lease_us: int, ms: int) -> tuple[bytes, ...]:
    name = _open(lease_us)
    changes: list[bytes] = []
    for family, protocols in _PROTOCOLS:
        put = nft.add_elements(family, table, name, [nft.element(each, ms) for each in protocols])
        # A timeout is only taken when the element is made: it is there, goes and comes in one transaction.
        changes += (put, nft.remove_elements(family, table, name, map(nft.element, protocols)), put)
    return tuple(changes)


def _open(lease_us: int) -> str:
    return f"open_{lease_us}us"
