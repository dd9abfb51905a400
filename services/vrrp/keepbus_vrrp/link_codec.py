"""Virtual interfaces as rtnetlink messages: octets to meaning and back, no socket.

Numbers are those of linux/if_link.h and linux/rtnetlink.h. Byte order is the host's.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import NamedTuple

from keepbus_vrrp.attributes import attribute, attributes, message, nested

MACVLAN = "macvlan"
MODE_PRIVATE = 1
"""Of a macvlan: the virtual interfaces of one card do not hear each other."""

_RTM_NEWLINK, _RTM_DELLINK = 16, 17
_REQUEST, _EXCLUSIVE, _CREATE = 0x1, 0x200, 0x400
_IFF_UP = 0x1
_IFINFOMSG = struct.Struct("=BxHiII")
_ADDRESS, _IFNAME, _LINK, _MASTER, _LINKINFO, _IFALIAS, _AF_SPEC, _GROUP = 1, 3, 5, 10, 18, 20, 26, 27
_INFO_KIND, _INFO_DATA = 1, 2
_MACVLAN_MODE = 1
_AF_INET6, _ADDR_GEN_MODE, _GENERATE_NONE = 10, 8, 1
_MOST_ALIAS = 255


class Make(NamedTuple):
    """What an interface is made of."""

    kind: str = ""
    """The kernel's word; empty for a card."""
    mode: int = 0
    """Of a macvlan."""
    lower: int = 0
    """Index of the interface below; 0: none."""
    master: int = 0
    """Index of the bridge, bond or VRF that it belongs to; 0: none."""
    group: int = 0
    alias: str = ""
    """A note that stays with the interface."""


def create(name: str, lower: int, mac: bytes, group: int) -> bytes:
    """A private macvlan, down. Fails with EEXIST when there is an interface of that name."""
    mode = nested(_INFO_DATA, (attribute(_MACVLAN_MODE, MODE_PRIVATE.to_bytes(4, "little")),), flagged=False)
    info = nested(_LINKINFO, (attribute(_INFO_KIND, MACVLAN.encode()), mode), flagged=False)
    body = b"".join(
        (
            _IFINFOMSG.pack(0, 0, 0, 0, 0),
            _name(name),
            attribute(_LINK, lower.to_bytes(4, "little")),
            attribute(_ADDRESS, mac),
            attribute(_GROUP, group.to_bytes(4, "little")),
            info,
        )
    )
    return message(_RTM_NEWLINK, _REQUEST | _CREATE | _EXCLUSIVE, body)


def adorn(name: str, alias: str) -> bytes:
    """Give an interface a note, and have it make no IPv6 addresses of its own (S11)."""
    mode = attribute(_ADDR_GEN_MODE, bytes((_GENERATE_NONE,)))
    spec = nested(_AF_SPEC, (nested(_AF_INET6, (mode,), flagged=False),), flagged=False)
    note = attribute(_IFALIAS, alias.encode()[:_MOST_ALIAS])
    return message(_RTM_NEWLINK, _REQUEST, _IFINFOMSG.pack(0, 0, 0, 0, 0) + _name(name) + note + spec)


def enslave(name: str, master: int) -> bytes:
    """Put an interface into a VRF."""
    body = _IFINFOMSG.pack(0, 0, 0, 0, 0) + _name(name) + attribute(_MASTER, master.to_bytes(4, "little"))
    return message(_RTM_NEWLINK, _REQUEST, body)


def switch(index: int, *, up: bool) -> bytes:
    """Set an interface up or down."""
    return message(_RTM_NEWLINK, _REQUEST, _IFINFOMSG.pack(0, 0, index, _IFF_UP if up else 0, _IFF_UP))


def delete(index: int) -> bytes:
    """Remove a virtual interface."""
    return message(_RTM_DELLINK, _REQUEST, _IFINFOMSG.pack(0, 0, index, 0, 0))


def make_of(attributes_: Mapping[int, bytes]) -> Make:
    """From the attributes of a message about an interface."""
    info = dict(attributes(attributes_.get(_LINKINFO, b"")))
    data = dict(attributes(info.get(_INFO_DATA, b"")))
    kind = _text(info.get(_INFO_KIND, b""))
    return Make(
        kind,
        _number(data.get(_MACVLAN_MODE, b"")) if kind == MACVLAN else 0,
        _number(attributes_.get(_LINK, b"")),
        _number(attributes_.get(_MASTER, b"")),
        _number(attributes_.get(_GROUP, b"")),
        _text(attributes_.get(_IFALIAS, b"")),
    )


def _name(name: str) -> bytes:
    return attribute(_IFNAME, name.encode() + b"\0")


def _text(octets: bytes) -> str:
    return octets.rstrip(b"\0").decode(errors="replace")


def _number(octets: bytes) -> int:
    return int.from_bytes(octets[:4], "little")
