"""rtnetlink messages, as far as VRRP needs them: octets to meaning and back, no socket.

Its own few structures instead of a library, because a VRRP process must be back within its lease.
Byte order is the host's, as the kernel wants it. Numbers are those of linux/netlink.h, linux/rtnetlink.h,
linux/if_link.h and linux/if_addr.h.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from keepbus.config.model.vrrp import FOREVER_S
from keepbus_vrrp.link_codec import Make, make_of

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 0x1, 0x4, 0x300
NLM_F_REPLACE, NLM_F_CREATE = 0x100, 0x400
NLM_F_DUMP_INTR = 0x10
RTM_NEWNETCONF = 80
RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR, RTMGRP_IPV6_NETCONF = 0x1, 0x10, 0x100, 0x1000000
AF_UNSPEC, AF_INET, AF_INET6 = 0, 2, 10
IFF_UP, IFF_RUNNING, IFF_NOARP = 0x1, 0x40, 0x80
IFA_F_TENTATIVE = 0x40
_IFA_ADDRESS, _IFA_LOCAL, _IFA_LABEL, _IFA_BROADCAST, _IFA_CACHEINFO = 1, 2, 3, 4, 6
_IFA_FLAGS, _IFA_PROTO = 8, 11
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_AF_SPEC = 1, 3, 4, 26
_IFLA_INET6_CONF, _NETCONFA_IFINDEX, _NETCONFA_FORWARDING = 2, 1, 2
_PROTO_KEEPALIVED = 18
"""Who made an address, as `ip address` shows it; kernels before 5.18 ignore it."""

_HEADER = struct.Struct("=IHHII")
_IFADDRMSG = struct.Struct("=BBBBI")
_IFINFOMSG = struct.Struct("=BxHiII")
_ATTRIBUTE = struct.Struct("=HH")
_CACHEINFO = struct.Struct("=IIII")
_ERROR = struct.Struct("=i")
_IPV4_OCTETS = 4
_NETCONF_HEAD_OCTETS = 4


class Address(NamedTuple):
    """An address as it is to be installed."""

    interface_index: int
    address: bytes
    prefix: int
    broadcast: bytes = b""
    label: str = ""
    scope: int = 0
    peer: bytes = b""
    flags: int = 0
    """IFA_F_..."""
    preferred_s: int = FOREVER_S
    """At most so long preferred."""


class LinkMessage(NamedTuple):
    """An interface as the kernel tells it."""

    gone: bool
    interface_index: int
    name: str
    flags: int
    mac: bytes
    mtu: int
    forwards: bool = False
    """IPv6."""
    make: Make = Make()


class AddressMessage(NamedTuple):
    """An address as the kernel tells it."""

    gone: bool
    interface_index: int
    address: bytes
    prefix: int
    tentative: bool = False
    """It cannot be used yet: IPv6's duplicate detection runs, or found a duplicate."""


class ForwardingMessage(NamedTuple):
    """An interface began or ended to forward IPv6."""

    interface_index: int
    forwards: bool


class Answer(NamedTuple):
    """End of the answer to a request; errno is 0 for success."""

    sequence: int
    errno: int
    interrupted: bool
    """A dump was disturbed by a change and has to be made again."""


Message = LinkMessage | AddressMessage | ForwardingMessage | Answer


def install(address: Address, valid_s: int) -> bytes:
    """Create the address, or renew its lifetime. Number it before it is sent."""
    attributes = _address_attributes(address) + _attribute(
        _IFA_CACHEINFO, _CACHEINFO.pack(min(address.preferred_s, valid_s), valid_s, 0, 0)
    )
    if address.flags:
        attributes += _attribute(_IFA_FLAGS, address.flags.to_bytes(4, "little"))
    if address.broadcast:
        attributes += _attribute(_IFA_BROADCAST, address.broadcast)
    if address.label:
        attributes += _attribute(_IFA_LABEL, address.label.encode() + b"\0")
    attributes += _attribute(_IFA_PROTO, bytes((_PROTO_KEEPALIVED,)))
    body = _address_head(address)
    return _message(RTM_NEWADDR, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_REPLACE, 0, body + attributes)


def remove(address: Address) -> bytes:
    """Delete the address. Number it before it is sent."""
    body = _address_head(address)
    return _message(RTM_DELADDR, NLM_F_REQUEST, 0, body + _address_attributes(address))


def batch(requests: Sequence[bytes], first: int) -> bytes:
    """Number requests from `first` on and ask for an acknowledgement of the last: errors come always, and
    the kernel answers in order."""
    last = len(requests) - 1
    numbered = []
    for index, request in enumerate(requests):
        length, kind, flags, _, port = _HEADER.unpack_from(request)
        if index == last:
            flags |= NLM_F_ACK
        numbered.append(_HEADER.pack(length, kind, flags, first + index, port) + request[_HEADER.size :])
    return b"".join(numbered)


def dump_links(sequence: int) -> bytes:
    """Ask for all interfaces."""
    return _message(RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, sequence, _IFINFOMSG.pack(0, 0, 0, 0, 0))


def dump_addresses(sequence: int) -> bytes:
    """Ask for all addresses."""
    return _message(RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, sequence, _IFADDRMSG.pack(AF_UNSPEC, 0, 0, 0, 0))


def parse(octets: bytes) -> Iterator[Message]:
    """The messages in what one recv gave; those of other kinds are left out."""
    at = 0
    while at + _HEADER.size <= len(octets):
        length, kind, flags, sequence, _ = _HEADER.unpack_from(octets, at)
        if length < _HEADER.size:
            return
        body = octets[at + _HEADER.size : at + length]
        if kind in (NLMSG_ERROR, NLMSG_DONE):
            errno = -_ERROR.unpack_from(body)[0] if len(body) >= _ERROR.size else 0
            yield Answer(sequence, errno, bool(flags & NLM_F_DUMP_INTR))
        elif kind in (RTM_NEWADDR, RTM_DELADDR):
            address = _address(kind == RTM_DELADDR, body)
            if address is not None:
                yield address
        elif kind in (RTM_NEWLINK, RTM_DELLINK):
            family, _, index, link_flags, _ = _IFINFOMSG.unpack_from(body)
            attributes = dict(_attributes(body[_IFINFOMSG.size :]))
            # Bridges tell their ports under another family; a port that leaves its bridge is not gone.
            if family == AF_UNSPEC:
                yield LinkMessage(
                    kind == RTM_DELLINK,
                    index,
                    attributes.get(_IFLA_IFNAME, b"").rstrip(b"\0").decode(errors="replace"),
                    link_flags,
                    attributes.get(_IFLA_ADDRESS, b""),
                    int.from_bytes(attributes.get(_IFLA_MTU, b""), "little"),
                    _forwards(attributes.get(_IFLA_AF_SPEC, b"")),
                    make_of(attributes),
                )
        elif kind == RTM_NEWNETCONF and body[:1] == bytes((AF_INET6,)):
            attributes = dict(_attributes(body[_NETCONF_HEAD_OCTETS:]))
            if _NETCONFA_FORWARDING in attributes:
                index = int.from_bytes(attributes.get(_NETCONFA_IFINDEX, b""), "little", signed=True)
                yield ForwardingMessage(index, any(attributes[_NETCONFA_FORWARDING]))
        at += (length + 3) & ~3


def ignore_own(port: int) -> bytes:
    """A classic BPF program (array of struct sock_filter) that keeps from a listening socket what the socket
    with this netlink port did itself, so that the renewal of a lease wakes nobody.

    Of IPv6 addresses the kernel does not say who changed them; there it goes by the mark of who made them,
    which stands last. A load is big-endian, the fields are in the host's order.
    """
    load_word, load_half, load_octet, load_length = 0x20, 0x28, 0x30, 0x80
    equal, greater, done = 0x15, 0x25, 0x06
    whole = _HEADER.size + _IFADDRMSG.size + 2 * 20 + 8
    mark = int.from_bytes(_ATTRIBUTE.pack(_ATTRIBUTE.size + 1, _IFA_PROTO), "big")
    program = (
        (load_word, 0, 0, 12),
        (equal, 11, 0, _swapped("=I", port)),
        (load_half, 0, 0, 4),
        (equal, 0, 8, _swapped("=H", RTM_NEWADDR)),
        (load_octet, 0, 0, _HEADER.size),
        (equal, 0, 6, AF_INET6),
        (load_length, 0, 0, 0),
        (greater, 0, 4, whole + _ATTRIBUTE.size),
        (load_word, 0, 0, whole),
        (equal, 0, 2, mark),
        (load_octet, 0, 0, whole + _ATTRIBUTE.size),
        (equal, 1, 0, _PROTO_KEEPALIVED),
        (done, 0, 0, 0xFFFFFFFF),
        (done, 0, 0, 0),
    )
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def _swapped(form: str, value: int) -> int:
    """What a big-endian load sees of a number in the host's order."""
    return int.from_bytes(struct.pack(form, value), "big")


def _address(gone: bool, body: bytes) -> AddressMessage | None:
    family, prefix, flags, _, index = _IFADDRMSG.unpack_from(body)
    if family not in (AF_INET, AF_INET6):
        return None
    attributes = dict(_attributes(body[_IFADDRMSG.size :]))
    local = attributes.get(_IFA_LOCAL) or attributes.get(_IFA_ADDRESS)
    tentative = family == AF_INET6 and bool(flags & IFA_F_TENTATIVE)
    return None if local is None else AddressMessage(gone, index, local, prefix, tentative)


def _forwards(af_spec: bytes) -> bool:
    """Whether the interface forwards IPv6: the first of the settings that come with an interface."""
    settings = dict(_attributes(dict(_attributes(af_spec)).get(AF_INET6, b"")))
    return any(settings.get(_IFLA_INET6_CONF, b"")[:4])


def _address_head(address: Address) -> bytes:
    family = AF_INET if len(address.address) == _IPV4_OCTETS else AF_INET6
    return _IFADDRMSG.pack(family, address.prefix, 0, address.scope, address.interface_index)


def _address_attributes(address: Address) -> bytes:
    return _attribute(_IFA_LOCAL, address.address) + _attribute(_IFA_ADDRESS, address.peer or address.address)


def _attribute(kind: int, value: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(-length % 4)


def _attributes(octets: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _ATTRIBUTE.size <= len(octets):
        length, kind = _ATTRIBUTE.unpack_from(octets, at)
        if length < _ATTRIBUTE.size:
            return
        yield kind & 0x3FFF, octets[at + _ATTRIBUTE.size : at + length]
        at += (length + 3) & ~3


def _message(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, sequence, 0) + body
