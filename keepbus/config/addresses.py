"""The address grammar: lines of `virtual_ipaddress` (features 6.1)."""

from __future__ import annotations

import difflib
import ipaddress
from collections.abc import Iterable
from typing import Any

from keepbus.config.keywords import Row, grammar
from keepbus.config.kinds import KINDS
from keepbus.config.model.vrrp import FOREVER_S, VirtualAddress
from keepbus.config.reader import TableReader
from keepbus.config.syntax import Statement
from keepbus.config.values import Invalid, peer

_BROADCAST = ipaddress.IPv4Address("255.255.255.255")
_NODAD = 0x2
_FLAGS = {"home": 0x10, "mngtmpaddr": 0x100, "noprefixroute": 0x200, "autojoin": 0x400}
"""Flags of an address by word (linux/if_addr.h)."""


def read_addresses(
    tables: TableReader, lines: Iterable[Statement], interface: str, *, static: bool = False
) -> list[tuple[VirtualAddress, Statement]]:
    """The addresses that the lines name, those that can't be used left out with an error. Static ones may
    name a `track_group`, which stays in the line, and have no interface but their own."""
    found = []
    for line in lines:
        address = _address(tables, line, interface, static=static)
        if address is not None and static and not address.interface:
            text = "a static address needs an interface; it is ignored"
            advice = "write `dev INTERFACE`"
            tables.findings.error("no-interface", text, line.at(), advice=advice, lenient=True)
            continue
        if not static and "track_group" in line.words[1:]:
            at = line.at(line.words.index("track_group"))
            tables.findings.warning("no-effect", "`track_group` is for static addresses only", at)
        if static and "use_vmac" in line.words[1:]:
            at = line.at(line.words.index("use_vmac"))
            tables.findings.warning("no-effect", "`use_vmac` is for virtual addresses only", at)
        if address is not None:
            found.append((address, line))
    return found


def _address(tables: TableReader, line: Statement, interface: str, *, static: bool) -> VirtualAddress | None:
    try:
        host, prefix = peer(line.words[:1], "")
    except Invalid as error:
        tables.findings.error("bad-address", f"this address is ignored: {error}", line.at(), lenient=True)
        return None
    given = _options(tables, line)
    for word in ("track_group", "use_vmac"):  # those who use them look into the line
        given.pop(word, None)
    found = ipaddress.ip_address(host)
    joins = given.get("autojoin", False)
    if found.is_unspecified or (found.is_multicast and not joins) or found == _BROADCAST:
        text = f"this address is ignored: {found} can't be given to an interface"
        tables.findings.error("bad-address", text, line.at(), lenient=True)
        return None
    six = isinstance(found, ipaddress.IPv6Address)
    if six:
        for word in [word for word in ("broadcast", "label", "scope") if given.pop(word, None)]:
            tables.findings.warning(
                "other-family", f"`{word}` is for IPv4 addresses only; it is ignored", line.at()
            )
    if "peer" in given:
        given["peer"], peer_prefix = given["peer"]
        if (":" in given["peer"]) is not six:
            text = f"this address is ignored: {given['peer']} is of another family"
            tables.findings.error("bad-address", text, line.at(), lenient=True)
            return None
        prefix = found.max_prefixlen if peer_prefix is None else peer_prefix
    length = found.max_prefixlen if prefix is None else prefix
    network = ipaddress.ip_interface(f"{found}/{length}").network
    broadcast = given.pop("broadcast", "")
    if broadcast == "+":
        broadcast = str(network.broadcast_address)
    elif broadcast == "-":
        broadcast = str(network.network_address)
    flags = 0 if given.pop("dad", False) or not six else _NODAD
    for word, flag in _FLAGS.items():
        flags |= flag if given.pop(word, False) else 0
    given.setdefault("interface", interface)
    # A virtual address that stands alone is never to be chosen as a source by the kernel.
    alone = six and length == found.max_prefixlen and not static
    given.setdefault("preferred_s", 0 if alone else FOREVER_S)
    return VirtualAddress(address=str(found), prefix=length, broadcast=broadcast, flags=flags, **given)


def _options(tables: TableReader, line: Statement) -> dict[str, Any]:
    """The words after the address, as fields of VirtualAddress."""
    rows = grammar("address")
    given: dict[str, Any] = {}
    words = line.words
    index = 1
    while index < len(words):
        word = words[index]
        if word.startswith("//"):
            tables.surplus(line, words, index)
            break
        row = rows.get(word)
        if row is None:
            index += _unknown(tables, line, index)
            continue
        if not row.supported:
            tables.ignore(row, "not-supported", f"`{word}` is not supported yet", line, index, row.note)
        elif row.kind == "flag":
            given[row.field] = True
        elif index + 1 >= len(words):
            tables.ignore(row, "missing-argument", f"`{word}` needs a value", line, index)
        else:
            try:
                given[row.field] = KINDS[row.kind].convert(words[index + 1 : index + 2], row.parameters)
            except Invalid as error:
                tables.ignore(row, "bad-value", f"`{word}`: {error}", line, index + 1)
        index += _length(row)
    return given


def _unknown(tables: TableReader, line: Statement, index: int) -> int:
    """Report a word that is none of the grammar's; how many words to pass over."""
    rows = grammar("address")
    word = line.words[index]
    text = f"unknown word `{word[:40]}` after an address"
    similar = difflib.get_close_matches(word, rows, n=1, cutoff=0.7)
    if not similar:
        tables.findings.warning("unknown-keyword", text, line.at(index))
        return 1
    row = rows[similar[0]]
    tables.ignore(row, "unknown-keyword", text, line, index, f"did you mean `{row.keyword}`?")
    return _length(row)


def _length(row: Row) -> int:
    """Words that it takes, its own included."""
    return 1 if row.kind == "flag" else 2
