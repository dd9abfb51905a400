"""Policy rules as rtnetlink messages: to octets, and what the kernel tells of those that went. No socket.

Numbers are those of linux/fib_rules.h.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from keepbus.config.model.routes import Range, Rule
from keepbus_vrrp.attributes import attribute, attributes, message, packed
from keepbus_vrrp.route_codec import FAMILIES

RTM_NEWRULE, RTM_DELRULE, RTM_GETRULE = 32, 33, 34
_NLM_F_REQUEST, _NLM_F_DUMP, _NLM_F_EXCL, _NLM_F_CREATE = 0x1, 0x300, 0x200, 0x400
_HEADER = struct.Struct("=8BI")
_INVERT = 2
_ACTIONS = {"table": 1, "goto": 2, "nop": 3, "blackhole": 6, "unreachable": 7, "prohibit": 8}
_FRA_DST, _FRA_SRC, _FRA_IIFNAME, _FRA_GOTO, _FRA_PRIORITY = 1, 2, 3, 4, 6
_FRA_FWMARK, _FRA_FLOW, _FRA_TUN_ID, _FRA_SUPPRESS_IFGROUP, _FRA_SUPPRESS_PREFIXLEN = 10, 11, 12, 13, 14
_FRA_TABLE, _FRA_FWMASK, _FRA_OIFNAME, _FRA_L3MDEV, _FRA_UID_RANGE = 15, 16, 17, 19, 20
_FRA_PROTOCOL, _FRA_IP_PROTO, _FRA_SPORT_RANGE, _FRA_DPORT_RANGE = 21, 22, 23, 24


class RuleMessage(NamedTuple):
    """A rule that went, or that is there, as far as it takes to know it again."""

    gone: bool
    identity: frozenset[tuple[int, bytes]]
    """Its attributes of the kinds that `identity` gives."""


def install(rule: Rule) -> bytes:
    """Create the rule; the kernel refuses an equal one that is there with EEXIST."""
    return message(RTM_NEWRULE, _NLM_F_REQUEST | _NLM_F_CREATE | _NLM_F_EXCL, _body(rule))


def remove(rule: Rule) -> bytes:
    """Delete the rule."""
    return message(RTM_DELRULE, _NLM_F_REQUEST, _body(rule))


def dump(sequence: int, family: int) -> bytes:
    """Ask for all rules of a family (4 or 6)."""
    body = _HEADER.pack(FAMILIES[family], 0, 0, 0, 0, 0, 0, 0, 0)
    return message(RTM_GETRULE, _NLM_F_REQUEST | _NLM_F_DUMP, body, sequence)


def identity(rule: Rule) -> frozenset[tuple[int, bytes]]:
    """What the kernel will tell of the rule, to compare with a RuleMessage."""
    found = parse(RTM_NEWRULE, _body(rule))
    assert found is not None
    return found.identity


def parse(kind: int, body: bytes) -> RuleMessage | None:
    """The body of a message about a rule; None when it is none."""
    if len(body) < _HEADER.size:
        return None
    family, destination, source, tos, table, _, _, action, flags = _HEADER.unpack_from(body)
    if family not in FAMILIES.values():
        return None
    # What the kernel adds of its own accord (suppressors of -1, a full mask) does not tell rules apart.
    found = {
        number: value
        for number, value in attributes(body[_HEADER.size :])
        if number in _TELLING and any(value)
    }
    found[0] = bytes((family, destination, source, tos, action, flags & _INVERT))
    if not found.get(_FRA_TABLE) and table:
        found[_FRA_TABLE] = struct.pack("=I", table)
    return RuleMessage(kind == RTM_DELRULE, frozenset(found.items()))


_TELLING = (
    _FRA_DST, _FRA_SRC, _FRA_IIFNAME, _FRA_OIFNAME, _FRA_PRIORITY, _FRA_FWMARK, _FRA_TUN_ID, _FRA_TABLE,
    _FRA_GOTO, _FRA_L3MDEV, _FRA_UID_RANGE, _FRA_PROTOCOL, _FRA_IP_PROTO, _FRA_SPORT_RANGE, _FRA_DPORT_RANGE,
)  # fmt: skip


def _body(rule: Rule) -> bytes:
    source, source_prefix = packed(rule.source) if rule.source else (b"", 0)
    destination, prefix = packed(rule.destination) if rule.destination else (b"", 0)
    head = _HEADER.pack(
        FAMILIES[rule.family],
        prefix,
        source_prefix,
        rule.tos,
        rule.table if rule.table < 256 else 0,
        0,
        0,
        _ACTIONS[rule.action],
        _INVERT if rule.invert else 0,
    )
    parts = [_u32(_FRA_PRIORITY, rule.preference), attribute(_FRA_PROTOCOL, bytes((rule.protocol,)))]
    parts += [
        attribute(kind, octets) for kind, octets in ((_FRA_SRC, source), (_FRA_DST, destination)) if octets
    ]
    names = ((_FRA_IIFNAME, rule.input_interface), (_FRA_OIFNAME, rule.output_interface))
    parts += [attribute(kind, name.encode() + b"\0") for kind, name in names if name]
    numbers = (
        (_FRA_TABLE, rule.table or None),
        (_FRA_GOTO, rule.goto or None),
        (_FRA_FWMARK, rule.mark),
        (_FRA_FWMASK, rule.mask),
        (_FRA_FLOW, rule.realms or None),
        (_FRA_SUPPRESS_PREFIXLEN, rule.suppress_prefix_length),
        (_FRA_SUPPRESS_IFGROUP, rule.suppress_group),
    )
    parts += [_u32(kind, value) for kind, value in numbers if value is not None]
    if rule.tunnel_id:
        parts.append(attribute(_FRA_TUN_ID, struct.pack("!Q", rule.tunnel_id)))
    if rule.l3mdev:
        parts.append(attribute(_FRA_L3MDEV, b"\1"))
    if rule.ip_protocol:
        parts.append(attribute(_FRA_IP_PROTO, bytes((rule.ip_protocol,))))
    if rule.uid_range:
        parts.append(_range(_FRA_UID_RANGE, "=II", rule.uid_range))
    if rule.source_ports:
        parts.append(_range(_FRA_SPORT_RANGE, "=HH", rule.source_ports))
    if rule.destination_ports:
        parts.append(_range(_FRA_DPORT_RANGE, "=HH", rule.destination_ports))
    return head + b"".join(parts)


def _range(kind: int, form: str, span: Range) -> bytes:
    return attribute(kind, struct.pack(form, span.low, span.high))


def _u32(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("=I", value))
