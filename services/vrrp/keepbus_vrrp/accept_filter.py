"""The nftables rules of accept mode off, in tables `ip NAME` and `ip6 NAME` as keepalived's.

Law of this file: every change is one transaction that puts whole tables in the place of whole tables. The
name is in a file before the tables are in the kernel, so that the next process removes them, and no table
that this node did not make.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from keepbus_vrrp import nftables as nft
from keepbus_vrrp.effects import Deny
from keepbus_vrrp.nfnetlink import Nfnetlink
from keepbus_vrrp.nftables import NETWORK_HEADER, NFPROTO_IPV4, NFPROTO_IPV6

_SET = "vips"
_IPV6_OCTETS = 16
_NEIGHBOUR_DISCOVERY = (135, 136)
# Chain, hook, where source or destination stand in the headers of both families.
_CHAINS = (("in", nft.NF_INET_LOCAL_IN, 16, 24), ("out", nft.NF_INET_LOCAL_OUT, 12, 8))


class AcceptFilter:
    """One node's. Nothing exists in the kernel before `want` is called with an address."""

    def __init__(self, path: Path) -> None:
        """path: where the name of the tables is kept."""
        self._path = path
        self._kernel: Nfnetlink | None = None

    def want(self, deny: Deny) -> None:
        """Drop exactly these. Raises OSError."""
        before = self._path.read_text(encoding="utf-8") if self._path.exists() else ""
        wanted = deny.addresses or deny.link_local
        if not wanted and not before:
            return
        if self._kernel is None:
            self._kernel = Nfnetlink()
        if wanted:
            self._path.write_text(deny.table, encoding="utf-8")
        changes: list[bytes] = []
        for name in dict.fromkeys((before or deny.table, deny.table) if wanted else (before,)):
            for family in (NFPROTO_IPV4, NFPROTO_IPV6):
                changes += (nft.add_table(family, name), nft.remove_table(family, name))
        self._kernel.commit([*changes, *_tables(deny)])
        if not wanted:
            self._path.unlink()

    def close(self) -> None:
        """Close the socket; the tables stay."""
        if self._kernel is not None:
            self._kernel.close()


def _tables(deny: Deny) -> Iterator[bytes]:
    for number, family in enumerate((NFPROTO_IPV4, NFPROTO_IPV6), 1):
        six = family == NFPROTO_IPV6
        address_kind = nft.IPV6 if six else nft.IPV4
        addresses = [each for each in deny.addresses if len(each) == address_kind[1]]
        link_local = deny.link_local if six else ()
        if not addresses and not link_local:
            continue
        yield nft.add_table(family, deny.table)
        yield nft.add_set(family, deny.table, _SET, address_kind, number)
        if addresses:
            elements = [nft.element(address) for address in addresses]
            yield nft.add_elements(family, deny.table, _SET, elements)
        counter = nft.counter() if deny.counters else b""
        for chain, hook, at4, at6 in _CHAINS:
            yield nft.add_chain(family, deny.table, chain, hook, deny.priority)
            if six:
                for kind in _NEIGHBOUR_DISCOVERY:  # never dropped (K4)
                    is_kind = nft.is_protocol(nft.IPPROTO_ICMPV6) + nft.octet_is(
                        nft.TRANSPORT_HEADER, 0, kind
                    )
                    yield nft.add_rule(family, deny.table, chain, is_kind, nft.accept())
            loaded = nft.load(NETWORK_HEADER, at6 if six else at4, address_kind[1])
            for address, interface in link_local:
                there = nft.comes_by(interface) if chain == "in" else nft.leaves_by(interface)
                is_it = loaded + nft.equals(address) + there
                yield nft.add_rule(family, deny.table, chain, is_it, counter, nft.drop())
            yield nft.add_rule(family, deny.table, chain, loaded, nft.is_in(_SET), counter, nft.drop())
