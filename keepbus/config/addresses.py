"""The address grammar: lines of `virtual_ipaddress` (features 6.1)."""

from __future__ import annotations

import difflib
import ipaddress
from collections.abc import Iterable
from typing import Any

from keepbus.config.keywords import Row, grammar
from keepbus.config.kinds import KINDS
from keepbus.config.model import VirtualAddress
from keepbus.config.reader import TableReader
from keepbus.config.syntax import Statement
from keepbus.config.values import Invalid, ipv4


def read_addresses(
    tables: TableReader, lines: Iterable[Statement], interface: str, *, static: bool = False
) -> list[tuple[VirtualAddress, Statement]]:
    """The addresses that the lines name, those that can't be used left out with an error. Static ones may
    name a `track_group`, which stays in the line, and have no interface but their own."""
    found = []
    for line in lines:
        address = _address(tables, line, interface)
        if address is not None and static and not address.interface:
            text = "a static address needs an interface; it is ignored"
            advice = "write `dev INTERFACE`"
            tables.findings.error("no-interface", text, line.at(), advice=advice, lenient=True)
            continue
        if not static and "track_group" in line.words[1:]:
            at = line.at(line.words.index("track_group"))
            tables.findings.warning("no-effect", "`track_group` is for static addresses only", at)
        if address is not None:
            found.append((address, line))
    return found


def _address(tables: TableReader, line: Statement, interface: str) -> VirtualAddress | None:
    try:
        network = _network(line.words[0])
    except Invalid as error:
        tables.findings.error("bad-address", f"this address is ignored: {error}", line.at(), lenient=True)
        return None
    given = _options(tables, line)
    given.pop("track_group", None)
    broadcast = given.pop("broadcast", "")
    if broadcast == "+":
        broadcast = str(network.network.broadcast_address)
    elif broadcast == "-":
        broadcast = str(network.network.network_address)
    given.setdefault("interface", interface)
    return VirtualAddress(
        address=str(network.ip), prefix=network.network.prefixlen, broadcast=broadcast, **given
    )


def _network(word: str) -> ipaddress.IPv4Interface:
    host, slash, prefix = word.partition("/")
    address = ipv4(host)
    if slash and not (prefix.isascii() and prefix.isdecimal() and int(prefix) <= 32):
        raise Invalid(f"the prefix length in `{word}` must be a number from 0 to 32")
    if address.is_multicast or address.is_unspecified or int(address) == 0xFFFF_FFFF:
        raise Invalid(f"{address} can't be given to an interface")
    return ipaddress.IPv4Interface((address, int(prefix) if slash else 32))


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
