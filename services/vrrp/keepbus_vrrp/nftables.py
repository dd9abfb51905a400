"""nftables messages (nfnetlink), as far as the gate of the addresses needs them: no socket.

Its own few structures instead of the program `nft`, because vrrp never starts a program and renews up to a
hundred times a second. Values are in network order. Numbers are those of linux/netfilter/nfnetlink.h and
linux/netfilter/nf_tables.h.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

NFPROTO_INET, NFPROTO_ARP = 1, 3
NFPROTO_IPV4, NFPROTO_IPV6 = 2, 10
NEWTABLE, DELTABLE, NEWCHAIN, NEWRULE, DELRULE = 0, 2, 3, 6, 8
NEWSET, NEWSETELEM, DELSETELEM = 9, 12, 14
NF_INET_PRE_ROUTING, NF_INET_LOCAL_IN, NF_INET_LOCAL_OUT, NF_ARP_OUT = 0, 1, 3, 1
NLMSG_ERROR = 2
NLM_F_REQUEST, NLM_F_ACK, NLM_F_CREATE, NLM_F_APPEND = 0x1, 0x4, 0x400, 0x800
SET_F_TIMEOUT = 0x10
NETWORK_HEADER, TRANSPORT_HEADER = 1, 2
IPPROTO_ICMPV6 = 58
_SUBSYSTEM = 10
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_NESTED = 0x8000
_META_PROTOCOL, _META_IIFNAME, _META_OIFNAME, _META_NFPROTO, _META_L4PROTO = 1, 6, 7, 15, 16
_IFNAMSIZ = 16
_FIB_ADDRTYPE, _FIB_F_DADDR = 3, 2
_RTN_LOCAL = 2
_LOOKUP_F_INV = 1
_REGISTER, _VERDICT_REGISTER = 1, 0
_NF_DROP, _NF_ACCEPT = 0, 1

IPV4, IPV6, ETHER_TYPE = (7, 4), (8, 16), (10, 2)
"""What `nft` takes a set's octets for, and how many they are."""

_HEADER = struct.Struct("=IHHII")
_NFGENMSG = struct.Struct("!BBH")
_ATTRIBUTE = struct.Struct("=HH")
_BE32 = struct.Struct("!I")
_BE64 = struct.Struct("!Q")
_ERROR = struct.Struct("=i")


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded."""
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(-length % 4)


def nested(kind: int, *attributes: bytes) -> bytes:
    """Attributes in an attribute."""
    return attribute(kind | _NESTED, b"".join(attributes))


def text(kind: int, value: str) -> bytes:
    """A name."""
    return attribute(kind, value.encode() + b"\0")


def number(kind: int, value: int) -> bytes:
    """32 bits."""
    return attribute(kind, _BE32.pack(value & 0xFFFFFFFF))


def message(command: int, family: int, flags: int, *attributes: bytes) -> bytes:
    """One message of a batch; `batch` numbers it."""
    body = _NFGENMSG.pack(family, 0, 0) + b"".join(attributes)
    kind = _SUBSYSTEM << 8 | command
    return _HEADER.pack(_HEADER.size + len(body), kind, NLM_F_REQUEST | flags, 0, 0) + body


def batch(messages: Sequence[bytes], first: int) -> bytes:
    """A transaction: all of the messages, or none. They are numbered from `first` + 1 on.

    Nothing is acknowledged; what fails is told before the kernel returns from the sending.
    """
    head = _NFGENMSG.pack(0, 0, _SUBSYSTEM)
    length = _HEADER.size + len(head)
    parts = [_HEADER.pack(length, _BATCH_BEGIN, NLM_F_REQUEST, first, 0) + head]
    for index, each in enumerate(messages, first + 1):
        size, kind, flags, _, _ = _HEADER.unpack_from(each)
        parts.append(_HEADER.pack(size, kind, flags, index, 0) + each[_HEADER.size :])
    parts.append(_HEADER.pack(length, _BATCH_END, NLM_F_REQUEST, first + len(messages) + 1, 0) + head)
    return b"".join(parts)


def errors(octets: bytes) -> Iterable[tuple[int, int]]:
    """Number of the message and errno of each error in what one recv gave."""
    at = 0
    while at + _HEADER.size <= len(octets):
        length, kind, _, sequence, _ = _HEADER.unpack_from(octets, at)
        if length < _HEADER.size:
            return
        if kind == NLMSG_ERROR:
            errno = -_ERROR.unpack_from(octets, at + _HEADER.size)[0]
            if errno:
                yield sequence, errno
        at += (length + 3) & ~3


# Tables, chains, sets


def add_table(family: int, table: str) -> bytes:
    """A table; one that is there is left as it is."""
    return message(NEWTABLE, family, NLM_F_CREATE, text(1, table))


def remove_table(family: int, table: str) -> bytes:
    """A table with all that is in it."""
    return message(DELTABLE, family, 0, text(1, table))


def add_chain(family: int, table: str, chain: str, hook: int, priority: int) -> bytes:
    """A base chain that accepts."""
    where = nested(4, number(1, hook), number(2, priority))
    return message(
        NEWCHAIN, family, NLM_F_CREATE, text(1, table), text(3, chain), where, number(5, 1), text(7, "filter")
    )


def empty_chain(family: int, table: str, chain: str) -> bytes:
    """All rules of a chain go."""
    return message(DELRULE, family, 0, text(1, table), text(2, chain))


def add_set(
    family: int, table: str, name: str, kind: tuple[int, int], set_id: int, *, flags: int = 0
) -> bytes:
    """A set; one that is there is left as it is. kind: IPV4, IPV6 or ETHER_TYPE."""
    told, octets = kind
    return message(
        NEWSET,
        family,
        NLM_F_CREATE,
        text(1, table),
        text(2, name),
        number(3, flags),
        number(4, told),
        number(5, octets),
        number(10, set_id),
    )


def empty_set(family: int, table: str, name: str) -> bytes:
    """All elements go."""
    return message(DELSETELEM, family, 0, text(1, table), text(2, name))


def element(key: bytes, timeout_ms: int = 0) -> bytes:
    """One element for `add_elements` and `remove_elements`; 0: it stays."""
    timeout = attribute(4, _BE64.pack(timeout_ms)) if timeout_ms else b""
    return nested(1, nested(1, attribute(1, key)), timeout)


def add_elements(family: int, table: str, name: str, elements: Iterable[bytes]) -> bytes:
    """Elements; one that is there stays as it is, its timeout too."""
    return message(NEWSETELEM, family, NLM_F_CREATE, text(1, table), text(2, name), nested(3, *elements))


def remove_elements(family: int, table: str, name: str, elements: Iterable[bytes]) -> bytes:
    """Elements; one that is not there makes the whole transaction fail."""
    return message(DELSETELEM, family, 0, text(1, table), text(2, name), nested(3, *elements))


# Rules


def add_rule(family: int, table: str, chain: str, *expressions: bytes) -> bytes:
    """A rule at the end of a chain."""
    return message(
        NEWRULE, family, NLM_F_CREATE | NLM_F_APPEND, text(1, table), text(2, chain), nested(4, *expressions)
    )


def load(base: int, offset: int, octets: int) -> bytes:
    """Load octets of the packet."""
    return _expression("payload", number(1, _REGISTER), number(2, base), number(3, offset), number(4, octets))


def is_in(name: str) -> bytes:
    """Go on when what was loaded is in a set."""
    return _expression("lookup", text(1, name), number(2, _REGISTER))


def is_not_in(name: str) -> bytes:
    """Go on when what was loaded is not in a set."""
    return _expression("lookup", text(1, name), number(2, _REGISTER), number(5, _LOOKUP_F_INV))


def load_ether_type() -> bytes:
    """Load the protocol of the packet: IPv4, IPv6 or ARP."""
    return _meta(_META_PROTOCOL)


def is_family(family: int) -> bytes:
    """Go on for packets of IPv4 or IPv6."""
    return _meta(_META_NFPROTO) + equals(bytes((family,)))


def is_protocol(protocol: int) -> bytes:
    """Go on for packets of a transport protocol."""
    return _meta(_META_L4PROTO) + equals(bytes((protocol,)))


def octet_is(base: int, offset: int, value: int) -> bytes:
    """Go on when an octet of the packet has this value."""
    return load(base, offset, 1) + equals(bytes((value,)))


def is_for_this_host() -> bytes:
    """Go on when the destination is an address of this host."""
    lookup = _expression("fib", number(1, _REGISTER), number(2, _FIB_ADDRTYPE), number(3, _FIB_F_DADDR))
    return lookup + equals(struct.pack("=I", _RTN_LOCAL))


def comes_by(interface: str) -> bytes:
    """Go on for packets that came by an interface."""
    return _meta(_META_IIFNAME) + equals(interface.encode().ljust(_IFNAMSIZ, b"\0"))


def leaves_by(interface: str) -> bytes:
    """Go on for packets that leave by an interface."""
    return _meta(_META_OIFNAME) + equals(interface.encode().ljust(_IFNAMSIZ, b"\0"))


def counter() -> bytes:
    """Count packets and octets."""
    return _expression("counter")


def drop() -> bytes:
    """The end of the packet."""
    return _verdict(_NF_DROP)


def accept() -> bytes:
    """The end of this chain."""
    return _verdict(_NF_ACCEPT)


def _verdict(code: int) -> bytes:
    verdict = nested(2, nested(2, number(1, code)))
    return _expression("immediate", number(1, _VERDICT_REGISTER), verdict)


def _meta(key: int) -> bytes:
    return _expression("meta", number(1, _REGISTER), number(2, key))


def equals(value: bytes) -> bytes:
    """Go on when what was loaded is this."""
    return _expression("cmp", number(1, _REGISTER), number(2, 0), nested(3, attribute(1, value)))


def _expression(name: str, *attributes: bytes) -> bytes:
    return nested(1, text(1, name), nested(2, *attributes))
