"""The gate of the addresses: nftables lets nothing of a guarded address pass that is not held (R-L3).

Law of this file: an address is held by an element with a timeout, which is written only after an advert has
left, so the gate closes by itself when nobody advertises any more. What is guarded and not held neither gets
packets nor sends any: it answers no ARP and no neighbour solicitation. Every change is one transaction.

Two tables `keepbus_NODE`, one for ARP and one for IP. They outlive a killed process on purpose; the next one
puts its own rules in their place without touching what is held.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable, Sequence

from keepbus_vrrp import nftables as nft
from keepbus_vrrp.nfnetlink import Nfnetlink
from keepbus_vrrp.nftables import NETWORK_HEADER, NFPROTO_ARP, NFPROTO_INET, TRANSPORT_HEADER

_BEFORE_ALL = -350
"""Before connections are tracked and addresses translated."""
_MOST_NAME = 40
_NEIGHBOUR_ADVERTISEMENT, _TARGET_AT = 136, 8
_SETS = ((NFPROTO_ARP, 4), (NFPROTO_INET, 4), (NFPROTO_INET, 16))
"""Family of the table, octets of an address."""


class Gate:
    """One node's. Nothing exists in the kernel before `guard` is called with an address."""

    def __init__(self, node: str) -> None:
        """Raises OSError when the kernel has no nfnetlink."""
        self._table = "keepbus_" + re.sub(r"[^A-Za-z0-9_]", "_", node)[:_MOST_NAME]
        self._kernel = Nfnetlink()
        self._guarded: frozenset[bytes] = frozenset()

    def guard(self, addresses: Iterable[bytes]) -> None:
        """From now on exactly these pass only while they are held. Raises OSError."""
        wanted = frozenset(addresses)
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

    def hold(self, addresses: Sequence[tuple[bytes, int]]) -> None:
        """Let addresses pass for so many milliseconds from now on. Raises OSError."""
        again: list[bytes] = []
        first: list[bytes] = []
        by_octets: dict[int, list[bytes]] = {4: [], 16: []}
        for key, ms in addresses:
            if ms > 0:
                by_octets[len(key)].append(nft.element(key, ms))
        for family, octets in _SETS:
            elements = by_octets[octets]
            if elements:
                put = nft.add_elements(family, self._table, f"held{octets}", elements)
                # A timeout is only taken when the element is made: it goes and comes in one transaction.
                again += (nft.remove_elements(family, self._table, f"held{octets}", elements), put)
                first += (put,)
        if not again:
            return
        try:
            self._kernel.commit(again)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
            # One of them had run out, or somebody flushed all tables: make all be there, then renew.
            self._kernel.commit([*self._rules(self._guarded), *first, *again])

    def remove(self) -> None:
        """Leave nothing in the kernel. Raises OSError."""
        self._guarded = frozenset()
        for family in (NFPROTO_ARP, NFPROTO_INET):
            try:
                self._kernel.commit([nft.remove_table(family, self._table)])
            except OSError as error:
                if error.errno != errno.ENOENT:
                    raise

    def close(self) -> None:
        """Close the socket; the tables stay."""
        self._kernel.close()

    def _rules(self, addresses: frozenset[bytes]) -> list[bytes]:
        table = self._table
        changes = [nft.add_table(NFPROTO_ARP, table), nft.add_table(NFPROTO_INET, table)]
        for number, (family, octets) in enumerate(_SETS, 1):
            guarded = f"guarded{octets}"
            changes += (
                nft.add_set(family, table, guarded, octets, 2 * number),
                nft.add_set(family, table, f"held{octets}", octets, 2 * number + 1, flags=nft.SET_F_TIMEOUT),
                nft.empty_set(family, table, guarded),
            )
            elements = [nft.element(address) for address in sorted(addresses) if len(address) == octets]
            if elements:
                changes.append(nft.add_elements(family, table, guarded, elements))
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
        for family, chain, before, base, offset, octets, after in (
            (NFPROTO_ARP, "output", b"", NETWORK_HEADER, 14, 4, b""),
            (NFPROTO_INET, "output", ipv4, NETWORK_HEADER, 12, 4, b""),
            (NFPROTO_INET, "output", ipv6, NETWORK_HEADER, 8, 16, b""),
            (NFPROTO_INET, "output", ipv6 + advertisement, TRANSPORT_HEADER, _TARGET_AT, 16, b""),
            (NFPROTO_INET, "input", ipv4, NETWORK_HEADER, 16, 4, local),
            (NFPROTO_INET, "input", ipv6, NETWORK_HEADER, 24, 16, local),
        ):
            closed = nft.is_in(f"guarded{octets}") + nft.is_not_in(f"held{octets}")
            changes.append(
                nft.add_rule(
                    family, table, chain, before, nft.load(base, offset, octets), closed, after, nft.drop()
                )
            )
        return changes
