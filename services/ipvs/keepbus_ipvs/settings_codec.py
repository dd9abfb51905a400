"""Sync daemons and time-outs as generic netlink messages of the IPVS family (V2, V3, V20, V21). Pure."""

from __future__ import annotations

import ipaddress
import struct

from keepbus_ipvs.codec import MalformedError, attributes, nest, request
from keepbus_ipvs.settings import Act, Adjustment, Daemon, Seconds

GET_DAEMON = 11
GET_CONFIG = 13

_DAEMON = 3
_TIMEOUTS = (4, 5, 6)
"""Attributes of TCP, TCP after a FIN, UDP."""
_STATE, _INTERFACE, _SYNC_ID, _MAXLEN, _GROUP, _GROUP6, _PORT, _TTL = range(1, 9)
_GENERIC_HEADER = 4
_INT = struct.Struct("=I")
_SHORT = struct.Struct("=H")


def encode(adjustment: Adjustment) -> bytes:
    """A change as a request."""
    act, daemon, seconds = adjustment
    if daemon is None:
        timeouts = zip(_TIMEOUTS, seconds, strict=True)
        return request(act) + b"".join(_attribute(kind, _INT.pack(value)) for kind, value in timeouts)
    octets = (
        _attribute(_STATE, _INT.pack(daemon.role))
        + _attribute(_INTERFACE, daemon.interface.encode() + b"\0")
        + _attribute(_SYNC_ID, _INT.pack(daemon.sync_id))
    )
    if act is Act.START:
        octets += _given(daemon)
    return request(act) + nest(_DAEMON, octets)


def decode_daemon(payload: bytes) -> Daemon:
    """A daemon from the answer to GET_DAEMON; raises MalformedError."""
    for kind, value in attributes(payload, _GENERIC_HEADER):
        if kind != _DAEMON:
            continue
        fields = dict(attributes(value))
        group = fields.get(_GROUP6) or fields.get(_GROUP) or b""
        try:
            return Daemon(
                role=_INT.unpack_from(fields[_STATE])[0],
                interface=fields[_INTERFACE].rstrip(b"\0").decode("utf-8", "replace"),
                sync_id=_INT.unpack_from(fields[_SYNC_ID])[0],
                maxlen=_SHORT.unpack_from(fields.get(_MAXLEN, b"\0\0"))[0],
                port=_SHORT.unpack_from(fields.get(_PORT, b"\0\0"))[0],
                ttl=fields.get(_TTL, b"\0")[0],
                group=str(ipaddress.ip_address(group)) if group else "",
            )
        except (KeyError, struct.error, ValueError) as error:
            raise MalformedError(f"daemon attribute {error}") from None
    raise MalformedError("an answer without a daemon")


def decode_timeouts(payload: bytes) -> Seconds:
    """Time-outs from the answer to GET_CONFIG; raises MalformedError."""
    fields = dict(attributes(payload, _GENERIC_HEADER))
    try:
        tcp, fin, udp = (_INT.unpack_from(fields[kind])[0] for kind in _TIMEOUTS)
    except (KeyError, struct.error) as error:
        raise MalformedError(f"time-out attribute {error}") from None
    return tcp, fin, udp


def _given(daemon: Daemon) -> bytes:
    octets = b""
    if daemon.maxlen:
        octets += _attribute(_MAXLEN, _SHORT.pack(daemon.maxlen))
    if daemon.group:
        packed = ipaddress.ip_address(daemon.group).packed
        octets += _attribute(_GROUP if len(packed) == 4 else _GROUP6, packed)
    if daemon.port:
        octets += _attribute(_PORT, _SHORT.pack(daemon.port))
    if daemon.ttl:
        octets += _attribute(_TTL, bytes((daemon.ttl,)))
    return octets


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)
