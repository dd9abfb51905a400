"""A socket that hears of routes and rules which others remove.

Law of this file: a router with a full Internet table must not make VRRP late. So this is a socket of its own,
opened only when routes or rules are held; a filter in the kernel keeps from it what was made, what is not of
the protocol keepalived, and own doings; and a dump is filtered by the kernel too.
"""

from __future__ import annotations

import errno
import os
import socket
import struct

from keepbus.config.model.routes import PROTOCOL_KEEPALIVED
from keepbus.runtime.machine import Event
from keepbus_vrrp import route_codec, rule_codec
from keepbus_vrrp.attributes import HEADER
from keepbus_vrrp.events import RouteChanged, RoutesRead, RuleRemoved
from keepbus_vrrp.kernel import attach_filter, drain
from keepbus_vrrp.route_codec import RTM_DELROUTE, RTM_NEWROUTE, RouteKey
from keepbus_vrrp.rule_codec import RTM_DELRULE, RTM_NEWRULE

_SOL_NETLINK, _ADD_MEMBERSHIP, _GET_STRICT_CHK = 270, 1, 12
_GROUPS = (7, 8, 11, 19)
"""RTNLGRP_IPV4_ROUTE, _IPV4_RULE, _IPV6_ROUTE, _IPV6_RULE."""
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_NLM_F_REPLACE, _NLM_F_DUMP_INTR = 0x100, 0x10
_RECV_OCTETS = 1 << 16
_PATIENCE_S = 5.0
_MOST_TRIES = 5
_KIND_AT, _FLAGS_AT, _PORT_AT, _PROTOCOL_AT = 4, 6, 12, HEADER.size + 5


class RouteNews:
    """The socket."""

    def __init__(self, own_port: int) -> None:
        """own_port: the netlink port whose doings are not told. Raises OSError."""
        self._news = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
        )
        self._news.setblocking(False)
        attach_filter(self._news, _filter(own_port))
        self._news.bind((0, 0))
        for group in _GROUPS:
            self._news.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)

    def fileno(self) -> int:
        """Readable when there is news."""
        return self._news.fileno()

    def news(self, _mask: int) -> list[Event]:
        """What went; all that there is when the kernel had more to tell than the buffer holds (R-F45)."""
        events: list[Event] = []
        while True:
            try:
                octets, (port, _) = self._news.recvfrom(_RECV_OCTETS)
            except BlockingIOError:
                return events
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                drain(self._news)
                return [*events, self.read()]
            if port:
                continue  # not the kernel
            for kind, _, body in _messages(octets):
                if kind in (RTM_NEWROUTE, RTM_DELROUTE):
                    route = route_codec.parse(kind, body)
                    if route is not None:
                        events.append(RouteChanged(route))
                elif kind == RTM_DELRULE:
                    rule = rule_codec.parse(kind, body)
                    if rule is not None:
                        events.append(RuleRemoved(rule))

    def read(self) -> RoutesRead:
        """All routes of the protocol keepalived and all rules. Raises OSError."""
        routes: set[RouteKey] = set()
        rules: set[frozenset[tuple[int, bytes]]] = set()
        for family in (4, 6):
            for body in _dump(route_codec.dump(1, family, PROTOCOL_KEEPALIVED)):
                route = route_codec.parse(RTM_NEWROUTE, body)
                if route is not None and route.protocol == PROTOCOL_KEEPALIVED:
                    routes.add(route.key)
            for body in _dump(rule_codec.dump(1, family)):
                rule = rule_codec.parse(RTM_NEWRULE, body)
                if rule is not None:
                    rules.add(rule.identity)
        return RoutesRead(frozenset(routes), frozenset(rules))

    def close(self) -> None:
        """Close it."""
        self._news.close()


def _messages(octets: bytes) -> list[tuple[int, int, bytes]]:
    """Kind, flags and body of each message."""
    found = []
    at = 0
    while at + HEADER.size <= len(octets):
        length, kind, flags, _, _ = HEADER.unpack_from(octets, at)
        if length < HEADER.size:
            break
        found.append((kind, flags, octets[at + HEADER.size : at + length]))
        at += (length + 3) & ~3
    return found


def _dump(request: bytes) -> list[bytes]:
    """The bodies of a dump, made again when a change disturbed it."""
    asking = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    with asking:
        asking.settimeout(_PATIENCE_S)
        asking.setsockopt(_SOL_NETLINK, _GET_STRICT_CHK, 1)
        for _ in range(_MOST_TRIES):
            asking.send(request)
            bodies, disturbed = _answers(asking)
            if not disturbed:
                break
    return bodies


def _answers(asking: socket.socket) -> tuple[list[bytes], bool]:
    bodies: list[bytes] = []
    disturbed = False
    while True:
        for kind, flags, body in _messages(asking.recv(_RECV_OCTETS)):
            disturbed = disturbed or bool(flags & _NLM_F_DUMP_INTR)
            if kind == _NLMSG_DONE:
                return bodies, disturbed
            if kind == _NLMSG_ERROR:
                number = -struct.unpack_from("=i", body)[0]
                if number == errno.ENOENT:
                    return bodies, disturbed  # no table of that kind yet
                raise OSError(number, os.strerror(number))
            bodies.append(body)


def _filter(own_port: int) -> bytes:
    """A classic BPF program: keeps removed rules, removed routes of the protocol keepalived and routes that
    replaced another one, if they are not own doings. Loads are big-endian, the fields in the host's order."""
    load_word, load_half, load_byte = 0x20, 0x28, 0x30
    equal, has, give = 0x15, 0x45, 0x06
    keep, drop = 10, 11
    program: list[tuple[int, int, int, int]] = []

    def step(code: int, value: int, yes: int = 0, no: int = 0) -> None:
        """yes, no: instructions to go on with; 0: the next one."""
        after = len(program) + 1
        program.append((code, yes - after if yes else 0, no - after if no else 0, value))

    step(load_word, _PORT_AT)
    step(equal, _swapped("=I", own_port), yes=drop)
    step(load_half, _KIND_AT)
    step(equal, _swapped("=H", RTM_DELRULE), yes=keep)
    step(equal, _swapped("=H", RTM_DELROUTE), yes=6)
    step(equal, _swapped("=H", RTM_NEWROUTE), yes=8, no=drop)
    step(load_byte, _PROTOCOL_AT)
    step(equal, PROTOCOL_KEEPALIVED, yes=keep, no=drop)
    step(load_half, _FLAGS_AT)
    step(has, _swapped("=H", _NLM_F_REPLACE), yes=keep, no=drop)
    step(give, 0xFFFFFFFF)
    step(give, 0)
    return b"".join(struct.pack("=HBBI", *each) for each in program)


def _swapped(form: str, value: int) -> int:
    return int.from_bytes(struct.pack(form, value), "big")
