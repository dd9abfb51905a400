"""Kinds of argument that only virtual servers have: words to values (see `keepbus.config.values`)."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any, NamedTuple

from keepbus.config.model.ipvs import (
    Forwarding,
    GroupMember,
    Protocol,
    SyncDaemon,
    Timeouts,
    Tunnel,
    TunnelChecksum,
    TunnelType,
)
from keepbus.config.values import Invalid, integer, interface, ip, port

_MOST_FWMARK = 0xFFFF_FFFF
_MOST_MEMBERS = 1 << 16
_FAMILIES = {"inet": "IPv4", "inet6": "IPv6"}
_LONGEST_ENGINE = 15
_DAEMON_NUMBERS = {"id": "0..255", "maxlen": "1..65507", "port": "1..65535", "ttl": "1..255"}


class Method(NamedTuple):
    """`lvs_method` with what stands after it."""

    forwarding: Forwarding
    tunnel: Tunnel


def address_port(words: Sequence[str], parameters: str) -> tuple[str, int]:
    """An address and a port; 0 where there is none."""
    return str(ip(words[0])), port(words[1:]) if len(words) > 1 else 0


def method(words: Sequence[str], parameters: str) -> Method:
    """NAT, DR or TUN [type ipip|gue|gre] [port PORT] [nocsum|csum|remcsum]."""
    try:
        forwarding = Forwarding(words[0].upper())
    except ValueError:
        raise Invalid(f"one of NAT, DR, TUN expected, not `{words[0]}`") from None
    if len(words) > 1 and forwarding is not Forwarding.TUN:
        raise Invalid(f"{forwarding} takes no options", 1)
    return Method(forwarding, _tunnel(words))


def protocol(words: Sequence[str], parameters: str) -> Protocol:
    """TCP, UDP or SCTP, in any case."""
    try:
        return Protocol(words[0].upper())
    except ValueError:
        raise Invalid(f"one of {', '.join(Protocol)} expected, not `{words[0]}`") from None


def family(words: Sequence[str], parameters: str) -> str:
    """inet or inet6, as IPv4 or IPv6."""
    if words[0] not in _FAMILIES:
        raise Invalid(f"`inet` or `inet6` expected, not `{words[0]}`")
    return _FAMILIES[words[0]]


def granularity(words: Sequence[str], parameters: str) -> str:
    """An IPv4 mask, any bits (W14), or the length of an IPv6 prefix."""
    word = words[0]
    if "." in word:
        return str(ip(word))
    if not (word.isascii() and word.isdecimal() and 1 <= int(word) <= 128):
        raise Invalid(f"an IPv4 mask, or for IPv6 a prefix length from 1 to 128 expected, not `{word}`")
    return str(int(word))


def engine(words: Sequence[str], parameters: str) -> str:
    """The name of a persistence engine."""
    if len(words[0].encode()) > _LONGEST_ENGINE:
        raise Invalid(f"the name of an engine has at most {_LONGEST_ENGINE} octets")
    return words[0]


def group_member(words: Sequence[str]) -> GroupMember:
    """A line of a group: ADDRESS[-LAST] or NETWORK/PREFIX with [PORT], or `fwmark` MARK [inet|inet6]."""
    if words[0] == "fwmark":
        if len(words) < 2:
            raise Invalid("`fwmark` needs a number")
        try:
            return GroupMember(
                fwmark=fwmark(words[1]), family=family(words[2:3], "") if len(words) > 2 else ""
            )
        except Invalid as error:
            raise Invalid(str(error), 2 if len(words) > 2 and error.index == 0 else 1) from None
    first, last = _range(words[0])
    number = port(words[1:]) if len(words) > 1 else 0
    return GroupMember(address=first, last_address=last, port=number)


def fwmark(word: str) -> int:
    """A mark from 1; the kernel would take 0 for none (V18)."""
    return integer((word,), f"1..{_MOST_FWMARK}")


def _range(word: str) -> tuple[str, str]:
    """First and last address; the last is empty when there is but one."""
    head, dash, tail = word.partition("-")
    if dash:
        return _last_part(ip(head), tail)
    if "/" not in word:
        return str(ip(word)), ""
    head, _, prefix = word.partition("/")
    start = ip(head)
    if not (prefix.isascii() and prefix.isdecimal() and int(prefix) <= start.max_prefixlen):
        raise Invalid(f"the prefix length in `{word}` must be a number up to {start.max_prefixlen}")
    count = 1 << (start.max_prefixlen - int(prefix))
    if int(start) % count:
        raise Invalid(f"`{word}` has bits beyond its prefix length; write the first address of the network")
    return _bounded(start, int(start) + count - 1)


def _last_part(start: ipaddress.IPv4Address | ipaddress.IPv6Address, tail: str) -> tuple[str, str]:
    """`-LAST`: the last octet, or the last 16 bits of IPv6 in hexadecimal digits."""
    bits, base = (8, 10) if start.version == 4 else (16, 16)
    try:
        end = int(tail, base)
    except ValueError:
        end = -1
    if not tail.isascii() or not tail.isalnum() or not 0 <= end < 1 << bits:
        raise Invalid(f"`-{tail}` must be the last {'octet' if bits == 8 else '16 bits, hexadecimal,'} alone")
    if end <= int(start) % (1 << bits):
        raise Invalid(f"the end of the range {start}-{tail} is not above its start")
    return _bounded(start, (int(start) >> bits << bits) + end)


def _bounded(start: ipaddress.IPv4Address | ipaddress.IPv6Address, end: int) -> tuple[str, str]:
    if end - int(start) >= _MOST_MEMBERS:
        raise Invalid(f"more than {_MOST_MEMBERS:,} addresses in one line; a firewall mark carries them")
    return str(start), str(type(start)(end)) if end > int(start) else ""


def _tunnel(words: Sequence[str]) -> Tunnel:
    given: dict[str, str] = {}
    index = 1
    while index < len(words):
        word = words[index]
        if word in ("type", "port"):
            if index + 1 >= len(words):
                raise Invalid(f"`{word}` needs a value", index)
            given[word] = words[index + 1]
            index += 2
        elif word in list(TunnelChecksum):
            given["checksum"] = word
            index += 1
        else:
            raise Invalid(f"`type`, `port`, `nocsum`, `csum` or `remcsum` expected, not `{word}`", index)
    return _checked_tunnel(given)


def _checked_tunnel(given: dict[str, str]) -> Tunnel:
    try:
        kind = TunnelType(given.get("type", "ipip"))
    except ValueError:
        raise Invalid(f"a tunnel is one of {', '.join(TunnelType)}, not `{given['type']}`") from None
    if kind is TunnelType.GUE and "port" not in given:
        raise Invalid("a gue tunnel needs `port`")
    if kind is not TunnelType.GUE and "port" in given:
        raise Invalid(f"a tunnel of type {kind} has no port")
    checksum = TunnelChecksum(given.get("checksum", "nocsum"))
    if kind is TunnelType.IPIP and "checksum" in given:
        raise Invalid("a tunnel of type ipip has no checksum")
    if kind is TunnelType.GRE and checksum is TunnelChecksum.REMCSUM:
        raise Invalid("a tunnel of type gre has no remcsum")
    return Tunnel(
        type=kind, port=integer((given["port"],), "1..65535") if "port" in given else 0, checksum=checksum
    )


def sync_daemon(words: Sequence[str], parameters: str) -> SyncDaemon:
    """IF [[inst] INSTANCE] [id N] [maxlen N] [port N] [ttl N] [group ADDRESS]; id -1: not given.

    The old form IF INSTANCE ID is read, too.
    """
    given: dict[str, Any] = {"id": -1}
    index = 1
    while index < len(words):
        word = words[index]
        if word in (*_DAEMON_NUMBERS, "inst", "group"):
            if index + 1 >= len(words):
                raise Invalid(f"`{word}` needs a value", index)
            try:
                given["instance" if word == "inst" else word] = _daemon_value(word, words[index + 1])
            except Invalid as error:
                raise Invalid(str(error), index + 1) from None
            index += 2
        elif index == 1:
            given["instance"] = word
            index += 1
        elif index == 2 and word.isdecimal():
            given["id"] = integer((word,), "0..255")
            index += 1
        else:
            raise Invalid(f"`inst`, `id`, `maxlen`, `port`, `ttl` or `group` expected, not `{word}`", index)
    return SyncDaemon(interface=interface(words[:1], ""), **given)


def timeouts(words: Sequence[str], parameters: str) -> Timeouts:
    """[tcp N] [tcpfin N] [udp N] in seconds."""
    given: dict[str, int] = {}
    for index in range(0, len(words), 2):
        if words[index] not in ("tcp", "tcpfin", "udp"):
            raise Invalid(f"`tcp`, `tcpfin` or `udp` expected, not `{words[index]}`", index)
        if index + 1 >= len(words):
            raise Invalid(f"`{words[index]}` needs a number of seconds", index)
        try:
            given[f"{words[index]}_s"] = integer(words[index + 1 : index + 2], "0..2678400")
        except Invalid as error:
            raise Invalid(str(error), index + 1) from None
    return Timeouts(**given)


def flush_on_stop(words: Sequence[str], parameters: str) -> bool:
    """True for the whole table; `VS` is what happens in any case."""
    if words and words[0] != "VS":
        raise Invalid(f"`VS` or nothing expected, not `{words[0]}`")
    return not words


def _daemon_value(word: str, value: str) -> str | int:
    if word == "inst":
        return value
    if word == "group":
        group = ip(value)
        if not group.is_multicast:
            raise Invalid(f"{group} is no multicast group")
        return str(group)
    return integer((value,), _DAEMON_NUMBERS[word])
