"""Names that `ip` knows for numbers: tables, scopes, protocols, realms, dsfield values, interface groups.

They stand in files of iproute2, the administrator's before the vendor's; what the kernel itself names needs
no file.
"""

from __future__ import annotations

import re
import socket
from contextvars import ContextVar
from functools import cache
from pathlib import Path

from keepbus.config.values import Invalid

VENDOR = (Path("/usr/lib/iproute2"), Path("/usr/share/iproute2"))
OWN = Path("/etc/iproute2")
directories: ContextVar[tuple[Path, ...]] = ContextVar("directories")
"""In which names are looked up, the last one counts; if not where they always are."""
_BUILT_IN: dict[str, dict[str, int]] = {
    "rt_tables": {"default": 253, "main": 254, "local": 255},
    "rt_scopes": {"global": 0, "universe": 0, "site": 200, "link": 253, "host": 254, "nowhere": 255},
    "rt_protos": {"redirect": 1, "kernel": 2, "boot": 3, "static": 4, "ra": 9, "dhcp": 16, "keepalived": 18},
    "rt_realms": {},
    "rt_dsfield": {},
    "group": {"default": 0},
}
_MOST = {"rt_tables": 0xFFFFFFFF, "rt_realms": 0xFFFF, "group": 0x7FFFFFFF}
_WHAT = {
    "rt_tables": "routing table",
    "rt_scopes": "scope",
    "rt_protos": "routing protocol",
    "rt_realms": "realm",
    "rt_dsfield": "TOS or DS field",
    "group": "interface group",
}
_LINE = re.compile(r"\s*(0[xX][0-9A-Fa-f]+|[0-9]+)\s+(\S+)", re.ASCII)
_NUMBER = re.compile(r"0[xX][0-9A-Fa-f]{1,8}|[0-9]{1,10}", re.ASCII)
_IP_PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "ipv6-icmp": 58, "sctp": 132}


def look_in(vendor: str, own: str) -> None:
    """Look names up in these directories (`iproute_usr_dir`, `iproute_etc_dir`) until this context ends;
    empty: where they always are."""
    directories.set(((Path(vendor),) if vendor else VENDOR) + (Path(own) if own else OWN,))


def number(kind: str, word: str) -> int:
    """The number of a name in the file `kind` (`rt_tables`, …), or of a number; raises Invalid."""
    most = _MOST.get(kind, 255)
    if _NUMBER.fullmatch(word):
        # As keepalived: decimal, where ip takes `tos 10` for hexadecimal.
        value = int(word, 16) if word[:2].lower() == "0x" else int(word)
        if value <= most:
            return value
        raise Invalid(f"{word} is no {_WHAT[kind]}: at most {most}")
    folders = directories.get((*VENDOR, OWN))
    known = _names(kind, folders).get(word)
    if known is None or known > most:
        raise Invalid(
            f"no {_WHAT[kind]} is named `{word}`; write its number, or name it in {folders[-1]}/{kind}"
        )
    return known


def ip_protocol(word: str) -> int:
    """The number of an IP protocol; raises Invalid."""
    if word.isascii() and word.isdecimal() and 0 < int(word) < 256:
        return int(word)
    if word in _IP_PROTOCOLS:
        return _IP_PROTOCOLS[word]
    try:
        return socket.getprotobyname(word)
    except OSError:
        raise Invalid(f"no IP protocol is named `{word}`; write its number") from None


@cache
def _names(kind: str, folders: tuple[Path, ...]) -> dict[str, int]:
    names = dict(_BUILT_IN[kind])
    for folder in folders:
        parts = sorted((folder / f"{kind}.d").glob("*.conf"))
        for path in (folder / kind, *parts):
            try:
                text = path.read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            for line in text.splitlines():
                match = _LINE.match(line)
                if match:
                    names[match[2]] = int(match[1], 0) if "x" in match[1].lower() else int(match[1])
    return names
