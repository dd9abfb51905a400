"""How an instance's adverts travel: family, version, group, source, unicast peers, checksum (features 5.1).

What keepalived would leave out in silence, or fall back from, is an error here where the peer could do
otherwise (conformance F7, F14, U4, D12).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from keepbus.config import values
from keepbus.config.diagnostics import Findings
from keepbus.config.model.vrrp import AddressFamily, ChecksumForm, UnicastPeer, VirtualAddress
from keepbus.config.reader import Fields, TableReader
from keepbus.config.syntax import Statement
from keepbus.config.values import Invalid

Found = list[tuple[VirtualAddress, Statement]]
"""Addresses, each with its line."""

_MOST_TTL = 255
_UNICAST_FIELDS = ("unicast_peers", "unicast_ttl", "check_unicast_src", "old_unicast_checksum")
_REVEALING = ("native_ipv6", "mcast_src_ip", "virtual_addresses")
"""Fields of which the first one settles the family."""


def family_of(address: str) -> AddressFamily:
    """The family of an address that was checked."""
    return AddressFamily.IPV6 if ":" in address else AddressFamily.IPV4


def choose_family(fields: Fields, addresses: Found) -> AddressFamily:
    """From native_ipv6, the source address, the first virtual address; else from the first peer."""
    if fields.get("native_ipv6"):
        return AddressFamily.IPV6
    if "mcast_src_ip" in fields.values:
        return family_of(fields.get("mcast_src_ip"))
    if addresses:
        return family_of(addresses[0][0].address)
    peers = fields.get("unicast_peers")
    return family_of(peers[0].words[0]) if peers else AddressFamily.IPV4


def of_family(findings: Findings, addresses: Found, family: AddressFamily) -> Found:
    """Those that adverts of the family can name; the others are dropped with an error, as keepalived does."""
    kept = []
    for address, line in addresses:
        if family_of(address.address) is family:
            kept.append((address, line))
            continue
        findings.error(
            "other-family",
            f"{address.address} can't be in the adverts of an {family} instance; it is ignored",
            line.at(),
            advice="move it to `virtual_ipaddress_excluded`, or to an instance of its own",
            lenient=True,
        )
    return kept


def check_first(findings: Findings, addresses: Found, family: AddressFamily) -> None:
    """RFC 9568 5.2.9: the first IPv6 address is the virtual router's link-local one."""
    if family is AddressFamily.IPV4 or not addresses:
        return
    first, line = addresses[0]
    if ipaddress.IPv6Address(first.address).is_link_local:
        return
    findings.error(
        "first-not-link-local",
        f"the first IPv6 address must be a link-local one (RFC 9568 5.2.9), not {first.address}",
        line.at(),
        advice="put one of fe80::/10 before it, the same on every node, for example fe80::1/64",
        lenient=True,
    )


def choose_version(
    findings: Findings, fields: Fields, family: AddressFamily, defaults: Mapping[str, Any]
) -> int:
    """`version`; without it vrrp_version for IPv4 and 3 for IPv6."""
    version = int(fields.get("version", 0))
    if family is AddressFamily.IPV4:
        return version or int(defaults.get("version", 2))
    if version != 2:
        return 3
    if any(fields.before(field, "version") for field in _REVEALING):
        findings.error(
            "version-2-ipv6",
            "an IPv6 instance can't have `version 2`; keepalived would take 3",
            fields.where("version"),
            advice="write `version 3` on every node",
            lenient=True,
        )
        return 3
    findings.warning(
        "version-2-ipv6",
        "VRRP version 2 is defined for IPv4 only; none but keepalived and keepbus speaks it over IPv6",
        fields.where("version"),
        advice="write `version 3` on every node",
    )
    return 2


def build_transport(
    tables: TableReader, fields: Fields, defaults: Mapping[str, Any], family: AddressFamily, version: int
) -> dict[str, Any]:
    """Fields of VrrpInstance."""
    findings = tables.findings
    given: dict[str, Any] = {"family": family, "version": version}
    group = fields.get("mcast_group")
    if group is not None and not _fits(findings, fields, "mcast_group", family):
        group = None
    given["mcast_group"] = group or defaults.get(
        "mcast_group6" if family is AddressFamily.IPV6 else "mcast_group4", ""
    )
    if "mcast_src_ip" in fields.values and _fits(findings, fields, "mcast_src_ip", family):
        given["mcast_src_ip"] = fields.get("mcast_src_ip")
    given["track_src_ip"] = bool(fields.get("track_src_ip"))
    if given["track_src_ip"] and "mcast_src_ip" not in given:
        findings.warning(
            "track-without-source",
            "`track_src_ip` has no effect without `mcast_src_ip` or `unicast_src_ip`",
            fields.where("track_src_ip"),
        )
    peers = _peers(tables, fields, family, given.get("mcast_src_ip", ""))
    given["unicast_peers"] = peers
    _check_reach(findings, fields, given)
    given["unicast_ttl"] = fields.get("unicast_ttl", _MOST_TTL)
    # Of version 3 over IPv4; the argument `never` and no keyword at all mean the same here (U6).
    old = fields.get("old_unicast_checksum") == ""
    given["old_unicast_checksum"] = bool(peers) and old and family is AddressFamily.IPV4
    given |= _checksum(findings, fields, defaults)
    return given


def warn_of_forgery(findings: Findings, fields: Fields, peers: Sequence[UnicastPeer] | None) -> None:
    """U5, for instances without auth_hmac."""
    open_to = [peer.address for peer in peers or () if peer.min_ttl < _MOST_TTL]
    if open_to:
        findings.warning(
            "unicast-unprotected",
            f"whoever can forge the address of {open_to[0]}, from however far, can take the master role",
            fields.where("unicast_peers"),
            advice="use `auth_hmac`; for peers on the same link write `min_ttl 255` after the address",
        )


def _check_reach(findings: Findings, fields: Fields, given: Mapping[str, Any]) -> None:
    """The source of an IPv6 instance is link-local, if no other is named, and stays on the link."""
    if given["family"] is AddressFamily.IPV4 or given.get("mcast_src_ip"):
        return
    for peer in given["unicast_peers"] or ():
        if not ipaddress.IPv6Address(peer.address).is_link_local:
            findings.warning(
                "unicast-source",
                f"no router forwards adverts to {peer.address}: their source is a link-local address",
                fields.where("unicast_peers"),
                advice="write `unicast_src_ip` with a global address of this node",
            )
            return


def _checksum(findings: Findings, fields: Fields, defaults: Mapping[str, Any]) -> dict[str, Any]:
    as_v2 = fields.get("v3_checksum_as_v2", defaults.get("v3_checksum_as_v2", False))
    form = ChecksumForm(fields.get("checksum", ChecksumForm.MESSAGE if as_v2 else ChecksumForm.AUTO))
    strict = bool(fields.get("checksum_strict"))
    if strict and form is ChecksumForm.AUTO:
        findings.error(
            "checksum-form-missing",
            "`v3_checksum_strict` needs to know which form is the right one",
            fields.where("checksum_strict"),
            advice="write `v3_checksum pseudo` or `v3_checksum message`",
            lenient=True,
        )
        strict = False
    return {"checksum": form, "checksum_strict": strict}


def _fits(findings: Findings, fields: Fields, field: str, family: AddressFamily) -> bool:
    address = str(fields.get(field))
    if family_of(address) is family:
        return True
    findings.error(
        "other-family",
        f"this is an {family} instance; {address} is ignored",
        fields.where(field),
        advice="the family is that of `native_ipv6`, of the source address or of the first virtual address",
        lenient=True,
    )
    return False


def _peers(
    tables: TableReader, fields: Fields, family: AddressFamily, source: str
) -> tuple[UnicastPeer, ...] | None:
    """None for multicast."""
    findings = tables.findings
    peers: dict[str, UnicastPeer] = {}
    for line in fields.get("unicast_peers", ()):
        try:
            peer = _peer(tables, line)
            if family_of(peer.address) is not family:
                raise Invalid(f"{peer.address} can't be a peer of an {family} instance")
            if peer.address == source:
                raise Invalid(f"{source} is this node's own address")
        except Invalid as error:
            findings.error(
                "bad-peer", f"this peer is ignored: {error}", line.at(min(error.index, len(line.words) - 1)),
                lenient=True,
            )  # fmt: skip
            continue
        if peer.address in peers:
            findings.warning("given-twice", f"{peer.address} is named twice; the last line counts", line.at())
        peers[peer.address] = peer
    if peers:
        return tuple(peers.values())
    given = next((field for field in _UNICAST_FIELDS if field in fields.values), "")
    source_keyword = fields.at["mcast_src_ip"].words[0] if "mcast_src_ip" in fields.at else ""
    if fields.get("unicast_fault_no_peer"):
        findings.warning(
            "no-unicast-peer",
            "there is no `unicast_peer`: the instance stays in FAULT, as `unicast_fault_no_peer` says",
            fields.where(given or "unicast_fault_no_peer"),
        )
        return ()
    if given or source_keyword == "unicast_src_ip":
        findings.error(
            "no-unicast-peer",
            "the instance is meant for unicast and has no `unicast_peer`; keepalived would use multicast",
            fields.where(given or "mcast_src_ip"),
            advice="add the other nodes to `unicast_peer`, or write `mcast_src_ip` for a multicast source",
            lenient=True,
        )
    return None


def _peer(tables: TableReader, line: Statement) -> UnicastPeer:
    """IP [min_ttl N] [max_ttl N]; raises Invalid."""
    address = values.address(line.words[:1], "")
    if ipaddress.ip_address(address).is_multicast:
        raise Invalid(f"{address} is a multicast group")
    limits = {"min_ttl": 0, "max_ttl": _MOST_TTL}
    words = line.words
    index = 1
    while index < len(words):
        word = words[index]
        if word.startswith("//"):
            tables.surplus(line, words, index)
            break
        if word not in limits:
            raise Invalid(f"`min_ttl` or `max_ttl` expected, not `{word}`", index)
        if index + 1 == len(words):
            raise Invalid(f"`{word}` needs a number", index)
        try:
            limits[word] = values.integer(words[index + 1 : index + 2], f"0..{_MOST_TTL}")
        except Invalid as error:
            raise Invalid(f"`{word}`: {error}", index + 1) from None
        index += 2
    if limits["min_ttl"] > limits["max_ttl"]:
        raise Invalid(f"min_ttl {limits['min_ttl']} is above max_ttl {limits['max_ttl']}", 1)
    return UnicastPeer(address=address, **limits)
