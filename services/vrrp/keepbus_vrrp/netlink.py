"""rtnetlink messages, as far as VRRP needs them: octets to meaning and back, no socket.

Its own few structures instead of a library, because a VRRP process must be back within its lease.
Byte order is the host's, as the kernel wants it. Numbers are those of linux/netlink.h, linux/rtnetlink.h,
linux/if_link.h and linux/if_addr.h.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 0x1, 0x4, 0x300
NLM_F_REPLACE, NLM_F_CREATE = 0x100, 0x400
NLM_F_DUMP_INTR = 0x10
RTMGRP_LINK, RTMGRP_IPV4_IFADDR = 0x1, 0x10
AF_UNSPEC, AF_INET = 0, 2
IFF_UP, IFF_RUNNING, IFF_NOARP = 0x1, 0x40, 0x80
FOREVER_S = 0xFFFFFFFF
_IFA_ADDRESS, _IFA_LOCAL, _IFA_LABEL, _IFA_BROADCAST, _IFA_CACHEINFO, _IFA_PROTO = 1, 2, 3, 4, 6, 11
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU = 1, 3, 4
_PROTO_KEEPALIVED = 18
"""Who made an address, as `ip address` shows it; kernels before 5.18 ignore it."""

_HEADER = struct.Struct("=IHHII")
_IFADDRMSG = struct.Struct("=BBBBI")
_IFINFOMSG = struct.Struct("=BxHiII")
_ATTRIBUTE = struct.Struct("=HH")
_CACHEINFO = struct.Struct("=IIII")
_ERROR = struct.Struct("=i")


class Address(NamedTuple):
    """An IPv4 address as it is to be installed."""

    interface_index: int
    address: bytes
    prefix: int
    broadcast: bytes = b""
    label: str = ""
    scope: int = 0


class LinkMessage(NamedTuple):
    """An interface as the kernel tells it."""

    gone: bool
    interface_index: int
    name: str
    flags: int
    mac: bytes
    mtu: int


class AddressMessage(NamedTuple):
    """An IPv4 address as the kernel tells it."""

    gone: bool
    interface_index: int
    address: bytes
    prefix: int


class Answer(NamedTuple):
    """End of the answer to a request; errno is 0 for success."""

    sequence: int
    errno: int
    interrupted: bool
    """A dump was disturbed by a change and has to be made again."""


def install(address: Address, valid_s: int) -> bytes:
    """Create the address, or renew its lifetime. valid_s is also the preferred lifetime. Number it before
    it is sent."""
    attributes = _address_attributes(address) + _attribute(
        _IFA_CACHEINFO, _CACHEINFO.pack(valid_s, valid_s, 0, 0)
    )
    if address.broadcast:
        attributes += _attribute(_IFA_BROADCAST, address.broadcast)
    if address.label:
        attributes += _attribute(_IFA_LABEL, address.label.encode() + b"\0")
    attributes += _attribute(_IFA_PROTO, bytes((_PROTO_KEEPALIVED,)))
    body = _IFADDRMSG.pack(AF_INET, address.prefix, 0, address.scope, address.interface_index)
    return _message(RTM_NEWADDR, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_REPLACE, 0, body + attributes)


def remove(address: Address) -> bytes:
    """Delete the address. Number it before it is sent."""
    body = _IFADDRMSG.pack(AF_INET, address.prefix, 0, address.scope, address.interface_index)
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
    """Ask for all IPv4 addresses."""
    return _message(RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, sequence, _IFADDRMSG.pack(AF_INET, 0, 0, 0, 0))


def parse(octets: bytes) -> Iterator[LinkMessage | AddressMessage | Answer]:
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
                )
        at += (length + 3) & ~3


def ignore_own(port: int) -> bytes:
    """A classic BPF program (array of struct sock_filter) that keeps from a listening socket what the socket
    with this netlink port did itself, so that the renewal of a lease wakes nobody.

    The load is big-endian, the field is the host's order.
    """
    value = int.from_bytes(struct.pack("=I", port), "big")
    load_port = struct.pack("=HBBI", 0x20, 0, 0, 12)
    if_equal = struct.pack("=HBBI", 0x15, 0, 1, value)
    drop = struct.pack("=HBBI", 0x06, 0, 0, 0)
    keep = struct.pack("=HBBI", 0x06, 0, 0, 0xFFFFFFFF)
    return load_port + if_equal + drop + keep


def _address(gone: bool, body: bytes) -> AddressMessage | None:
    family, prefix, _, _, index = _IFADDRMSG.unpack_from(body)
    if family != AF_INET:
        return None
    attributes = dict(_attributes(body[_IFADDRMSG.size :]))
    local = attributes.get(_IFA_LOCAL) or attributes.get(_IFA_ADDRESS)
    return None if local is None else AddressMessage(gone, index, local, prefix)


def _address_attributes(address: Address) -> bytes:
    return _attribute(_IFA_LOCAL, address.address) + _attribute(_IFA_ADDRESS, address.address)


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
