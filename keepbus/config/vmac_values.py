"""Words after keywords about virtual interfaces, to values. Pure.

- `use_vmac [[name] IFNAME] [MAC] [netlink_notify_msg] [group GROUP]`
- `use_ipvlan [[name] IFNAME] [ADDRESS[/LENGTH]] [bridge|private|vepa] [group GROUP]`
- `garp_extra_if [all] SECONDS`
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from keepbus.config.iproute_names import number
from keepbus.config.model.vrrp import IpvlanFlag
from keepbus.config.values import Invalid, integer, interface

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


class ExtraGarp(NamedTuple):
    """What stands after `garp_extra_if`."""

    interval_us: int
    every: bool
    """`all`: on interfaces without a virtual MAC too."""


def extra_garp(words: Sequence[str], parameters: str) -> ExtraGarp:
    """Whole seconds within LOW..HIGH. Raises Invalid."""
    every = words[0] == "all"
    if len(words) > 1 and not every:
        raise Invalid(f"`all` or a number of seconds expected, not `{words[0]}`")
    if every and len(words) == 1:
        raise Invalid("`all` needs a number of seconds")
    return ExtraGarp(integer(words[-1:], parameters) * 1_000_000, every)


def vmac(words: Sequence[str], parameters: str) -> VmacWords:
    """Raises Invalid."""
    found = VmacWords()
    for keyword, word in _pairs(words):
        if word == "netlink_notify_msg":
            found = found._replace(notifies=True)
        elif keyword == "name":
            found = found._replace(name=interface((word,), ""))
        elif keyword == "group":
            found = found._replace(group=number("group", word))
        elif _MAC.fullmatch(word):
            found = found._replace(mac=_mac(word))
        elif found.name:
            raise Invalid(f"`{word}` is neither a MAC address nor a word of `use_vmac`")
        else:
            found = found._replace(name=interface((word,), ""))
    return found


class IpvlanWords(NamedTuple):
    """What stands after `use_ipvlan`."""

    name: str = ""
    address: str = ""
    """Empty: none."""
    prefix: int = 0
    flag: IpvlanFlag = IpvlanFlag.BRIDGE
    group: int | None = None


def ipvlan(words: Sequence[str], parameters: str) -> IpvlanWords:
    """Raises Invalid."""
    found = IpvlanWords()
    for keyword, word in _pairs(words):
        address = None if keyword else _address(word)
        if keyword == "name":
            found = found._replace(name=interface((word,), ""))
        elif keyword == "group":
            found = found._replace(group=number("group", word))
        elif word in (*IpvlanFlag,):
            found = found._replace(flag=IpvlanFlag(word))
        elif address is not None:
            found = found._replace(address=str(address.ip), prefix=address.network.prefixlen)
        elif found.name:
            raise Invalid(f"`{word}` is neither an address nor a word of `use_ipvlan`")
        else:
            found = found._replace(name=interface((word,), ""))
    return found


def _pairs(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each word with `name` or `group` before it, or with nothing."""
    rest = iter(words)
    for word in rest:
        if word not in ("name", "group"):
            yield "", word
            continue
        value = next(rest, None)
        if value is None:
            raise Invalid(f"`{word}` needs a value")
        yield word, value


def _address(word: str) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface | None:
    try:
        return ipaddress.ip_interface(word)
    except ValueError:
        return None


def _mac(word: str) -> bytes:
    octets = bytes(int(part, 16) for part in word.split(":"))
    if octets[0] & _MULTICAST:
        raise Invalid(f"{word} is a multicast address")
    if octets.startswith(_RFC) and len(octets) == _WHOLE:
        raise Invalid(
            f"{word} belongs to a virtual router by RFC 9568 7.3; leave it out to have the right one"
        )
    return octets
