"""`use_vmac [[name] IFNAME] [MAC] [netlink_notify_msg] [group GROUP]`: its words to a value. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from keepbus.config.iproute_names import number
from keepbus.config.values import Invalid, interface

_MAC = re.compile(r"[0-9A-Fa-f]{1,2}(:[0-9A-Fa-f]{1,2}){4,5}")
_MULTICAST = 0x01
_RFC = bytes.fromhex("00005e")
_WHOLE = 6


class VmacWords(NamedTuple):
    """What stands after `use_vmac`."""

    name: str = ""
    mac: bytes = b""
    """Five octets get the virtual router id as their sixth; empty: the RFC's."""
    group: int | None = None
    notifies: bool = False
    """`netlink_notify_msg`."""


def vmac(words: Sequence[str], parameters: str) -> VmacWords:
    """Raises Invalid."""
    found = VmacWords()
    index = 0
    while index < len(words):
        word = words[index]
        if word == "netlink_notify_msg":
            found = found._replace(notifies=True)
        elif word in ("name", "group"):
            index += 1
            if index == len(words):
                raise Invalid(f"`{word}` needs a value")
            if word == "name":
                found = found._replace(name=interface(words[index : index + 1], ""))
            else:
                found = found._replace(group=number("group", words[index]))
        elif _MAC.fullmatch(word):
            found = found._replace(mac=_mac(word))
        elif found.name:
            raise Invalid(f"`{word}` is neither a MAC address nor a word of `use_vmac`")
        else:
            found = found._replace(name=interface(words[index : index + 1], ""))
        index += 1
    return found


def _mac(word: str) -> bytes:
    octets = bytes(int(part, 16) for part in word.split(":"))
    if octets[0] & _MULTICAST:
        raise Invalid(f"{word} is a multicast address")
    if octets.startswith(_RFC) and len(octets) == _WHOLE:
        raise Invalid(
            f"{word} belongs to a virtual router by RFC 9568 7.3; leave it out to have the right one"
        )
    return octets
