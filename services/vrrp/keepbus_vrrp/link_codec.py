"""Virtual interfaces as rtnetlink messages: octets to meaning and back, no socket.

Numbers are those of linux/if_link.h and linux/rtnetlink.h. Byte order is the host's.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import NamedTuple

from keepbus_vrrp.attributes import attribute, attributes, message, nested

MACVLAN = "macvlan"
IPVLAN = "ipvlan"
VRF = "vrf"
MODE_PRIVATE = 1
"""Of a macvlan: the virtual interfaces of one card do not hear each other."""
MODE_L2 = 0
"""Of an ipvlan: the neighbours of the card are its own."""

_RTM_NEWLINK, _RTM_DELLINK = 16, 17
_REQUEST, _EXCLUSIVE, _CREATE = 0x1, 0x200, 0x400
_IFF_UP = 0x1
_IFINFOMSG = struct.Struct("=BxHiII")
_ADDRESS, _IFNAME, _LINK, _MASTER, _LINKINFO, _IFALIAS, _AF_SPEC, _GROUP = 1, 3, 5, 10, 18, 20, 26, 27
_INFO_KIND, _INFO_DATA = 1, 2
_MODE, _VRF_TABLE, _IPVLAN_FLAGS = 1, 1, 2
_AF_INET6, _ADDR_GEN_MODE, _GENERATE_NONE = 10, 8, 1
_MOST_ALIAS = 255


class Make(NamedTuple):
    """What an interface is made of."""

    kind: str = ""
    """The kernel's word; empty for a card."""
    mode: int = 0
    """Of a macvlan or ipvlan."""
    lower: int = 0
    """Index of the interface below; 0: none."""
    master: int = 0
    """Index of the bridge, bond or VRF that it belongs to; 0: none."""
    group: int = 0
    alias: str = ""
    """A note that stays with the interface."""
    table: int = 0
    """Of a VRF: its routing table."""
    flags: int = 0
    """Of an ipvlan."""


def create(name: str, lower: int, mac: bytes, group: int) -> bytes:
    """A private macvlan, down. Fails with EEXIST when there is an interface of that name."""
    mode = attribute(_MODE, MODE_PRIVATE.to_bytes(4, "little"))
    return _create(name, lower, group, MACVLAN, (mode,), attribute(_ADDRESS, mac))


def create_ipvlan(name: str, lower: int, flags: int, group: int) -> bytes:
    """An ipvlan in mode L2, down. Fails with EEXIST when there is an interface of that name, EINVAL when
    those on the same card have other flags, EOPNOTSUPP when the kernel has none."""
    data = (
        attribute(_MODE, MODE_L2.to_bytes(2, "little")),
        attribute(_IPVLAN_FLAGS, flags.to_bytes(2, "little")),
    )
    return _create(name, lower, group, IPVLAN, data)


def _create(
    name: str, lower: int, group: int, kind: str, data: tuple[bytes, ...], more: bytes = b""
) -> bytes:
    details = nested(_INFO_DATA, data, flagged=False)
    info = nested(_LINKINFO, (attribute(_INFO_KIND, kind.encode()), details), flagged=False)
    body = b"".join(
        (
            _IFINFOMSG.pack(0, 0, 0, 0, 0),
            _name(name),
            attribute(_LINK, lower.to_bytes(4, "little")),
            more,
            attribute(_GROUP, group.to_bytes(4, "little")),
            info,
        )
    )
    return message(_RTM_NEWLINK, _REQUEST | _CREATE | _EXCLUSIVE, body)


def adorn(name: str, alias: str, *, lives: bool = False) -> bytes:
    """Give an interface a note, and have it make no IPv6 addresses of its own (S11). lives: set it up
    instead, with what IPv6 address it makes."""
    parts = _name(name) + attribute(_IFALIAS, alias.encode()[:_MOST_ALIAS])
    if lives:
        return message(_RTM_NEWLINK, _REQUEST, _IFINFOMSG.pack(0, 0, 0, _IFF_UP, _IFF_UP) + parts)
    mode = attribute(_ADDR_GEN_MODE, bytes((_GENERATE_NONE,)))
    spec = nested(_AF_SPEC, (nested(_AF_INET6, (mode,), flagged=False),), flagged=False)
    return message(_RTM_NEWLINK, _REQUEST, _IFINFOMSG.pack(0, 0, 0, 0, 0) + parts + spec)


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
        _number(data.get(_MODE, b"")) if kind in (MACVLAN, IPVLAN) else 0,
        _number(attributes_.get(_LINK, b"")),
        _number(attributes_.get(_MASTER, b"")),
        _number(attributes_.get(_GROUP, b"")),
        _text(attributes_.get(_IFALIAS, b"")),
        _number(data.get(_VRF_TABLE, b"")) if kind == VRF else 0,
        _number(data.get(_IPVLAN_FLAGS, b"")) if kind == IPVLAN else 0,
    )


def _name(name: str) -> bytes:
    return attribute(_IFNAME, name.encode() + b"\0")


def _text(octets: bytes) -> str:
    return octets.rstrip(b"\0").decode(errors="replace")


def _number(octets: bytes) -> int:
    return int.from_bytes(octets[:4], "little")
