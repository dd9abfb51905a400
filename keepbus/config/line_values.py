"""Kinds of argument in the grammars of single lines: words of a line to a value.

Each function takes the words of the whole line, the index after the keyword and the row's parameters, and
returns the value and the index of the first word that it did not use; it raises `Invalid` with the index of
the word at fault. They are pure.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from keepbus.config import iproute_names, kinds
from keepbus.config.model.routes import Encapsulation, NextHop, Range, RouteMetric
from keepbus.config.values import Invalid

Words = Sequence[str]
Taken = tuple[Any, int]

TYPES = (
    "unicast", "local", "broadcast", "brd", "multicast", "throw", "unreachable", "prohibit", "blackhole",
    "nat", "anycast", "xresolve",
)  # fmt: skip
ANY = ("default", "default6", "any", "all")
_NUMBER = re.compile(r"0[xX][0-9A-Fa-f]{1,16}|[0-9]{1,19}", re.ASCII)
_TIME = re.compile(r"([0-9]{1,9}(?:\.[0-9]{0,6})?)(s|sec|secs|ms|msec|msecs)?", re.ASCII)
_TIME_SCALE = {"rtt": 8, "rttvar": 4, "rto_min": 1}
_LOCKABLE = ("mtu", "advmss", "rtt", "rttvar", "reordering", "cwnd", "ssthresh", "rto_min", "congctl")
_MOST_NUMBER = 0xFFFFFFFF
_HOP_COUNT = 255
_LONGEST_ALGORITHM = 15
_MOST_LABEL = 0xFFFFF
_MOST_PORT = 65535


def word(words: Words, at: int) -> str:
    """The word at this index; raises Invalid when the line ends before."""
    if at >= len(words):
        raise Invalid("a value is missing", at - 1)
    return words[at]


def number(words: Words, at: int, low: int, high: int) -> Taken:
    """A number, decimal or hexadecimal."""
    text = word(words, at)
    if not _NUMBER.fullmatch(text):
        raise Invalid(f"a number expected, not `{text}`", at)
    value = int(text, 16) if text[:2].lower() == "0x" else int(text)
    if not low <= value <= high:
        raise Invalid(f"{text} is not within {low} to {high}", at)
    return value, at + 1


def address(words: Words, at: int, parameters: str = "") -> Taken:
    """An IP address."""
    text = word(words, at)
    try:
        return str(ipaddress.ip_address(text)), at + 1
    except ValueError:
        raise Invalid(f"`{text}` is no IP address", at) from None


def network(text: str, at: int, *, strict: bool = True) -> str:
    """ADDRESS[/LENGTH] as ADDRESS/LENGTH. Bits beyond the length are cleared as the kernel does for IPv6;
    strict raises Invalid for them in IPv4, where a route with them is refused."""
    host, slash, length = text.partition("/")
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        raise Invalid(f"`{text}` is no IP address or prefix", at) from None
    most = found.max_prefixlen
    if not slash:
        return f"{found}/{most}"
    if not (length.isascii() and length.isdecimal() and int(length) <= most):
        raise Invalid(f"the prefix length in `{text}` must be a number from 0 to {most}", at)
    meant = ipaddress.ip_network(f"{found}/{length}", strict=False)
    if strict and found.version == 4 and meant.network_address != found:
        raise Invalid(f"`{text}` has bits beyond its prefix length; {meant} is meant", at)
    return str(meant)


def prefix(words: Words, at: int, parameters: str) -> Taken:
    """ADDRESS[/LENGTH], `all` or `any`: empty. `strict` as in `network`."""
    text = word(words, at)
    return ("" if text in ANY else network(text, at, strict=parameters == "strict")), at + 1


def destination(words: Words, at: int, parameters: str = "") -> Taken:
    """[TYPE] PREFIX as (type, prefix, `default`, `any`, `all` or `default6`)."""
    kind = "unicast"
    if word(words, at) in TYPES:
        kind = "broadcast" if words[at] == "brd" else words[at]
        at += 1
    text = word(words, at)
    return (kind, text if text in ANY else network(text, at)), at + 1


def via(words: Words, at: int, parameters: str) -> Taken:
    """[inet|inet6] ADDRESS."""
    family = word(words, at)
    if family not in ("inet", "inet6"):
        return address(words, at)
    found, end = address(words, at + 1)
    if (":" in found) is not (family == "inet6"):
        raise Invalid(f"{found} is not of the family `{family}`", at + 1)
    return found, end


def nat(words: Words, at: int, parameters: str) -> Taken:
    """[to] ADDRESS."""
    return address(words, at + (word(words, at) == "to"))


def named(words: Words, at: int, parameters: str) -> Taken:
    """A name of an iproute2 file, or its number."""
    try:
        return iproute_names.number(parameters, word(words, at)), at + 1
    except Invalid as error:
        raise Invalid(str(error), at) from None


def ip_protocol(words: Words, at: int, parameters: str) -> Taken:
    """An IP protocol."""
    try:
        return iproute_names.ip_protocol(word(words, at)), at + 1
    except Invalid as error:
        raise Invalid(str(error), at) from None


def realms(words: Words, at: int, parameters: str) -> Taken:
    """[SOURCE/]DESTINATION."""
    source, slash, target = word(words, at).rpartition("/")
    try:
        value = iproute_names.number("rt_realms", target)
        if slash:
            value |= iproute_names.number("rt_realms", source) << 16
    except Invalid as error:
        raise Invalid(str(error), at) from None
    return value, at + 1


def metric(words: Words, at: int, parameters: str) -> Taken:
    """[lock] VALUE, by the keyword before."""
    name = words[at - 1]
    locked = name in _LOCKABLE and word(words, at) == "lock"
    at += locked
    # The kernel looks at rto_min only when it is locked, so `ip` locks it always.
    lock = locked or name == "rto_min"
    text = word(words, at)
    if name == "congctl":
        if len(text.encode()) > _LONGEST_ALGORITHM:
            raise Invalid(f"`{text}` is too long for the name of a congestion control", at)
        return RouteMetric(name=name, text=text, lock=lock), at + 1
    if name == "features":
        if text != "ecn":
            raise Invalid(f"`ecn` expected, not `{text}`", at)
        return RouteMetric(name=name, value=1), at + 1
    if name in _TIME_SCALE:
        return RouteMetric(name=name, value=_milliseconds(name, text, at), lock=lock), at + 1
    most = {"hoplimit": _HOP_COUNT, "quickack": 1, "fastopen_no_cookie": 1}.get(name, _MOST_NUMBER)
    value, end = number(words, at, 0, most)
    return RouteMetric(name=name, value=value, lock=lock), end


def seconds(words: Words, at: int, parameters: str) -> Taken:
    """Whole seconds."""
    return number(words, at, 1, _MOST_NUMBER)


def whole(words: Words, at: int, parameters: str) -> Taken:
    """A number of 32 bits, or within LOW..HIGH."""
    low, _, high = parameters.partition("..")
    return number(words, at, int(low or 0), int(high or _MOST_NUMBER))


def mark(words: Words, at: int, parameters: str) -> Taken:
    """VALUE[/MASK] as (value, mask)."""
    value, slash, mask = word(words, at).partition("/")
    try:
        found = number([value], 0, 0, _MOST_NUMBER)[0]
        return (found, number([mask], 0, 0, _MOST_NUMBER)[0] if slash else None), at + 1
    except Invalid as error:
        raise Invalid(str(error), at) from None


def span(words: Words, at: int, parameters: str) -> Taken:
    """LOW-HIGH, within 0 and the parameter; one number is a range of one."""
    low, dash, high = word(words, at).partition("-")
    most = int(parameters)
    try:
        first = number([low], 0, 0, most)[0]
        last = number([high], 0, 0, most)[0] if dash else first
    except Invalid as error:
        raise Invalid(str(error), at) from None
    if first > last:
        raise Invalid(f"the range `{words[at]}` goes backwards", at)
    return Range(low=first, high=last), at + 1


def switch(words: Words, at: int, parameters: str) -> Taken:
    """The first of two words is True, the second False."""
    options = parameters.split()
    if word(words, at) not in options:
        raise Invalid(f"`{options[0]}` or `{options[1]}` expected, not `{words[at]}`", at)
    return words[at] == options[0], at + 1


def encapsulation(words: Words, at: int, parameters: str = "") -> Taken:
    """ip, ip6, mpls or ila with their own words."""
    kind = word(words, at)
    if kind == "mpls":
        return _mpls(words, at + 1)
    if kind == "ila":
        return _ila(words, at + 1)
    if kind not in ("ip", "ip6"):
        raise Invalid(f"one of ip, ip6, mpls, ila expected, not `{kind}`", at)
    given: dict[str, Any] = {}
    at += 1
    while at < len(words):
        option = words[at]
        if option == "id":
            given["id"], at = number(words, at + 1, 0, (1 << 64) - 1)
        elif option in ("dst", "src"):
            found, at = address(words, at + 1)
            if (":" in found) is not (kind == "ip6"):
                raise Invalid(f"{found} is not of the family of `encap {kind}`", at - 1)
            given["destination" if option == "dst" else "source"] = found
        elif option == ("tc" if kind == "ip6" else "tos"):
            given["tos"], at = named(words, at + 1, "rt_dsfield")
        elif option == ("hoplimit" if kind == "ip6" else "ttl"):
            given["ttl"], at = number(words, at + 1, 0, _HOP_COUNT)
        elif option == "flags":
            given["flags"], at = number(words, at + 1, 0, 0xFFFF)
        else:
            break
    if not given:
        raise Invalid(
            f"`encap {kind}` says nothing of the tunnel; write at least `dst ADDRESS`",
            min(at, len(words) - 1),
        )
    return Encapsulation(kind=kind, **given), at


def next_hop(words: Words, at: int, parameters: str) -> Taken:
    """via ADDRESS [dev IF] [weight 1-256] [onlink] [encap ...] [realms ...]"""
    given: dict[str, Any] = {}
    begin = at
    while at < len(words):
        option = words[at]
        if option == "via":
            given["gateway"], at = via(words, at + 1, "")
        elif option in ("dev", "oif"):
            given["interface"], at = simple("interface", words, at + 1, "")
        elif option == "weight":
            given["weight"], at = number(words, at + 1, 1, 256)
        elif option == "onlink":
            given["onlink"], at = True, at + 1
        elif option == "encap":
            given["encapsulation"], at = encapsulation(words, at + 1)
        elif option == "realms":
            given["realms"], at = realms(words, at + 1, "")
        else:
            break
    if "gateway" not in given and "interface" not in given:
        raise Invalid("a leg needs `via ADDRESS` or `dev INTERFACE`", min(begin, len(words) - 1))
    return NextHop(**given), at


def simple(kind: str, words: Words, at: int, parameters: str) -> Taken:
    """A kind of `keepbus.config.kinds`: a flag, or one word."""
    if kind == "flag":
        return True, at
    text = word(words, at)
    try:
        return kinds.KINDS[kind].convert((text,), parameters), at + 1
    except Invalid as error:
        raise Invalid(str(error), at) from None


def take(kind: str, words: Words, at: int, parameters: str) -> Taken:
    """The value of a kind, here or in `keepbus.config.kinds`."""
    taker = LINE_KINDS.get(kind)
    return simple(kind, words, at, parameters) if taker is None else taker(words, at, parameters)


def _milliseconds(name: str, text: str, at: int) -> int:
    """As ip reads it: with a unit in the kernel's own one, without a unit as it is."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise Invalid(f"a time like 200ms or 1.5s expected, not `{text}`", at)
    if match[2] is None:
        value = Fraction(match[1].rstrip("."))
    else:
        value = Fraction(match[1].rstrip(".")) * (1 if match[2].startswith("m") else 1000) * _TIME_SCALE[name]
    if value > _MOST_NUMBER:
        raise Invalid(f"`{text}` is too long", at)
    return -int(-value // 1)


def _mpls(words: Words, at: int) -> Taken:
    labels = tuple(
        number([text], 0, 0, _MOST_LABEL)[0] for text in word(words, at).split("/") if text.isdecimal()
    )
    if not labels or len(labels) != words[at].count("/") + 1:
        raise Invalid(f"labels like 100/200 expected, not `{words[at]}`", at)
    at += 1
    ttl = None
    if at < len(words) and words[at] == "ttl":
        ttl, at = number(words, at + 1, 0, _HOP_COUNT)
    return Encapsulation(kind="mpls", labels=labels, ttl=ttl), at


def _ila(words: Words, at: int) -> Taken:
    """A locator as four groups of hexadecimal digits: A:B:C:D."""
    groups = word(words, at).split(":")
    if len(groups) != 4 or not all(re.fullmatch(r"[0-9A-Fa-f]{1,4}", group) for group in groups):
        raise Invalid(f"a locator like 2001:db8:0:1 expected, not `{words[at]}`", at)
    locator = int("".join(group.zfill(4) for group in groups), 16)
    return Encapsulation(kind="ila", locator=locator), at + 1


LINE_KINDS: dict[str, Callable[[Words, int, str], Taken]] = {
    "ip": address,
    "prefix": prefix,
    "destination": destination,
    "via": via,
    "nat": nat,
    "named": named,
    "ip-protocol": ip_protocol,
    "realms": realms,
    "metric": metric,
    "expiry": seconds,
    "number": whole,
    "mark": mark,
    "range": span,
    "switch": switch,
    "encapsulation": encapsulation,
    "next-hop": next_hop,
}
