"""Kinds of argument: words to values.

Each function takes the words after the keyword and the row's parameters, and returns the value or raises
`Invalid`. They are pure; the number of words is checked before (keepbus.config.kinds).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cache

from keepbus.config.model.checker import StatusRange
from keepbus.config.model.scripts import Script
from keepbus.config.model.vrrp import FOREVER_S


class Invalid(ValueError):
    """The words don't make a value. The text completes "`keyword`: …"; index is the word at fault."""

    def __init__(self, text: str, index: int = 0) -> None:
        super().__init__(text)
        self.index = index


_TRUE = ("yes", "true", "on")
_FALSE = ("no", "false", "off")
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
_DECIMAL = re.compile(r"[0-9]{1,12}(?:\.[0-9]{0,12})?|\.[0-9]{1,12}", re.ASCII)
_SCOPES = {"global": 0, "universe": 0, "site": 200, "link": 253, "host": 254, "nowhere": 255}
_LONGEST_NAME = 15
"""Of an interface and of an address label: IFNAMSIZ less the final NUL."""
_CODE_RANGE = re.compile(r"([0-9]{3})(?:-([0-9]{3}))?", re.ASCII)
_DIGEST = re.compile(r"[0-9A-Fa-f]{32}", re.ASCII)
_PIECE = re.compile(
    r"""\\(?:x([0-9A-Fa-f]{1,2})|([0-7]{1,3})|c(.)|(.))|(['"])|([ \t]+)|([^\\'" \t]+)""", re.DOTALL
)
_ESCAPES = {"a": "\a", "b": "\b", "E": "\x1b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def flag(words: Sequence[str], parameters: str) -> bool:
    """Presence is enough."""
    return True


def yes_no(words: Sequence[str], parameters: str) -> bool:
    """yes, true, on, no, false, off in lower case; nothing is yes."""
    if not words or words[0] in _TRUE:
        return True
    if words[0] in _FALSE:
        return False
    raise Invalid(f"`yes` or `no` expected, not `{words[0]}`")


def integer(words: Sequence[str], parameters: str) -> int:
    """A decimal number within LOW..HIGH; `optional N`: N when there is no word."""
    low, high, default = _limits(parameters)
    if not words and default is not None:
        return int(default)
    if not words or not _INTEGER.fullmatch(words[0]):
        raise Invalid(f"a number expected, not `{words[0]}`" if words else "a number expected")
    value = int(words[0])
    _within(Fraction(value), low, high)
    return value


def seconds(words: Sequence[str], parameters: str) -> int:
    """Decimal seconds within LOW..HIGH, as microseconds."""
    low, high, _ = _limits(parameters)
    if not _DECIMAL.fullmatch(words[0]):
        raise Invalid(f"a number of seconds expected, not `{words[0]}`")
    value = Fraction(words[0] + "0" if words[0].endswith(".") else words[0])
    _within(value, low, high)
    return round(value * 1_000_000)


def text(words: Sequence[str], parameters: str) -> str:
    """One word; with `1..2` up to two, joined by a blank."""
    return " ".join(word.replace('\\"', '"') for word in words)


def mail_server(words: Sequence[str], parameters: str) -> str:
    """A name or an address, and a port from 1 on; joined by a blank."""
    host = text(words[:1], "")
    if not host or any(character.isspace() for character in host):
        raise Invalid(f"a host name or an address expected, not `{host}`")
    if len(words) > 1 and not port(words[1:]):
        raise Invalid("a port from 1 to 65535 expected, not `0`", 1)
    return " ".join((host, *words[1:]))


def hmac_key(words: Sequence[str], parameters: str) -> tuple[int, str]:
    """ID from 1 to 255, and a key as it stands in the file."""
    return integer(words[:1], "1..255"), text(words[1:], "")


def one_of(words: Sequence[str], parameters: str) -> str:
    """One of the words in the parameters."""
    allowed = parameters.split()
    if words[0] not in allowed:
        raise Invalid(f"one of {', '.join(allowed)} expected, not `{words[0]}`")
    return words[0]


def interface(words: Sequence[str], parameters: str) -> str:
    """The name of a network interface."""
    name = words[0]
    if len(name.encode()) > _LONGEST_NAME or "/" in name or name in (".", ".."):
        raise Invalid(f"`{name}` can't be the name of an interface (at most {_LONGEST_NAME} octets, no `/`)")
    return name


def label(words: Sequence[str], parameters: str) -> str:
    """An address label."""
    if len(words[0].encode()) > _LONGEST_NAME:
        raise Invalid(f"`{words[0]}` is too long for an address label (at most {_LONGEST_NAME} octets)")
    return words[0]


def address4(words: Sequence[str], parameters: str) -> str:
    """An IPv4 address."""
    return str(ipv4(words[0]))


def multicast4(words: Sequence[str], parameters: str) -> str:
    """An IPv4 multicast group."""
    group = ipv4(words[0])
    if not group.is_multicast:
        raise Invalid(f"{group} is no multicast group (224.0.0.0 to 239.255.255.255)")
    return str(group)


def address(words: Sequence[str], parameters: str) -> str:
    """An address of either family."""
    return str(ip(words[0]))


def multicast(words: Sequence[str], parameters: str) -> str:
    """A multicast group of either family."""
    group = ip(words[0])
    if not group.is_multicast:
        raise Invalid(f"{group} is no multicast group (224.0.0.0 to 239.255.255.255, ff00::/8)")
    return str(group)


def multicast6(words: Sequence[str], parameters: str) -> str:
    """An IPv6 multicast group."""
    group = multicast(words, "")
    if ":" not in group:
        raise Invalid(f"{group} is no IPv6 multicast group")
    return group


def peer(words: Sequence[str], parameters: str) -> tuple[str, int | None]:
    """IP[/LEN]: an address and the prefix length, None when there is none."""
    host, slash, length = words[0].partition("/")
    found = ip(host)
    if not slash:
        return str(found), None
    if not (length.isascii() and length.isdecimal() and int(length) <= found.max_prefixlen):
        raise Invalid(f"the prefix length in `{words[0]}` must be a number from 0 to {found.max_prefixlen}")
    return str(found), int(length)


def lifetime(words: Sequence[str], parameters: str) -> int:
    """Whole seconds, or `forever`."""
    if words[0] == "forever":
        return FOREVER_S
    return integer(words, f"0..{FOREVER_S - 1}")


def optional_table(words: Sequence[str], parameters: str) -> str:
    """The name of a table of nftables; `keepalived` when there is none."""
    name = words[0] if words else "keepalived"
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_/\\.]{0,62}", name):
        raise Invalid(f"`{name}` can't be the name of a table of nftables")
    return name


def optional_one_of(words: Sequence[str], parameters: str) -> str:
    """One of the words in the parameters, or none."""
    return one_of(words, parameters) if words else ""


def port(words: Sequence[str]) -> int:
    """A port, 0 included."""
    if not _INTEGER.fullmatch(words[0]) or not 0 <= int(words[0]) <= 65535:
        raise Invalid(f"a port from 0 to 65535 expected, not `{words[0]}`", 1)
    return int(words[0])


def scope(words: Sequence[str], parameters: str) -> int:
    """An address scope by name or number."""
    if words[0] in _SCOPES:
        return _SCOPES[words[0]]
    if words[0].isdecimal() and words[0].isascii() and int(words[0]) <= 255:
        return int(words[0])
    raise Invalid(f"one of {', '.join(_SCOPES)} or a number from 0 to 255 expected, not `{words[0]}`")


def broadcast(words: Sequence[str], parameters: str) -> str:
    """An IPv4 address, `+` or `-`."""
    return words[0] if words[0] in ("+", "-") else address4(words, "")


def user(words: Sequence[str], parameters: str) -> str:
    """USER [[:]GROUP] as USER[:[:]GROUP]."""
    return ":".join(words)


def with_supplementary_groups(who: Script | str) -> Script | str:
    """A script, or USER[:[:]GROUP], with the user's supplementary groups added."""
    if isinstance(who, Script):
        return replace(who, group=":" + who.group.removeprefix(":"))
    owner, _, group = who.partition(":")
    return f"{owner}::{group.removeprefix(':')}"


def digest(words: Sequence[str], parameters: str) -> str:
    """An MD5 digest."""
    if not _DIGEST.fullmatch(words[0]):
        raise Invalid(f"32 hexadecimal digits expected, not `{words[0]}`")
    return words[0].lower()


def codes(words: Sequence[str], parameters: str) -> tuple[StatusRange, ...]:
    """HTTP status codes and ranges of them."""
    ranges = []
    for index, word in enumerate(words):
        match = _CODE_RANGE.fullmatch(word)
        low, high = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 100 <= low <= high <= 599:
            raise Invalid(f"a status code or range from 100 to 599 expected, not `{word}`", index)
        ranges.append(StatusRange(low=low, high=high))
    return tuple(ranges)


def script(words: Sequence[str], parameters: str) -> Script:
    """A command with its arguments in one quoted word, then USER and GROUP (features 3.2, 11)."""
    if not words and parameters == "optional":
        return Script(argv=())
    argv = split_command(words[0])
    if not argv:
        raise Invalid("a command expected")
    owner = words[1] if len(words) > 1 else ""
    return Script(argv=argv, user=owner, group=words[2] if len(words) > 2 else "")


def unescaped(text: str) -> str:
    """The text with its escapes processed; quotes and blanks belong to it."""
    return "".join(_piece(match) for match in _PIECE.finditer(text))


def split_command(command: str) -> tuple[str, ...]:
    """Blanks separate arguments, single or escaped double quotes group them, escapes are processed."""
    argv: list[str] = []
    current: list[str] | None = None
    quote = ""
    for match in _PIECE.finditer(command):
        _, _, _, escaped, mark, blank, _ = match.groups()
        mark = mark or (escaped if escaped == '"' else None)
        if mark and quote in ("", mark):
            quote = "" if quote else mark
            current = current or []
            continue
        if blank and not quote:
            if current is not None:
                argv.append("".join(current))
            current = None
            continue
        current = current or []
        current.append(_piece(match))
    if quote:
        raise Invalid(f"the quote {quote} has no partner in the command")
    if current is not None:
        argv.append("".join(current))
    return tuple(argv)


def _piece(match: re.Match[str]) -> str:
    hexadecimal, octal, control, escaped, *_ = match.groups()
    if hexadecimal or octal:
        code = int(hexadecimal, 16) if hexadecimal else int(octal, 8)
        if not 0 < code < 128:
            raise Invalid(f"`{match[0]}` is no ASCII character; write the character itself")
        return chr(code)
    if control:
        return chr(ord(control) & 0x1F)
    if escaped:
        return _ESCAPES.get(escaped, escaped)
    return match[0]


def ipv4(word: str) -> ipaddress.IPv4Address:
    """An IPv4 address; raises Invalid."""
    try:
        return ipaddress.IPv4Address(word)
    except ValueError:
        raise Invalid(f"`{word}` is no IPv4 address") from None


def ip(word: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An address of either family, without a zone; raises Invalid."""
    try:
        found = ipaddress.ip_address(word)
    except ValueError:
        raise Invalid(f"`{word}` is no IP address") from None
    if isinstance(found, ipaddress.IPv6Address):
        if found.scope_id:
            raise Invalid(f"`{word}`: write the address without `%{found.scope_id}`")
        if found.ipv4_mapped:
            raise Invalid(f"`{word}`: write the IPv4 address itself")
    return found


def words_as_they_are(words: Sequence[str], parameters: str) -> tuple[str, ...]:
    """All the words."""
    return tuple(words)


@cache
def _limits(parameters: str) -> tuple[Fraction | None, Fraction | None, str | None]:
    range_, _, rest = parameters.partition(" ")
    low, _, high = range_.partition("..")
    default = rest.removeprefix("optional ") if rest else None
    return Fraction(low) if low else None, Fraction(high) if high else None, default


def _within(value: Fraction, low: Fraction | None, high: Fraction | None) -> None:
    if (low is None or value >= low) and (high is None or value <= high):
        return
    if high is None:
        raise Invalid(f"at least {_shown(low)} expected")
    raise Invalid(f"{_shown(value)} is not within {_shown(low)} to {_shown(high)}")


def _shown(value: Fraction | None) -> str:
    return f"{float(value or 0):.15g}"
