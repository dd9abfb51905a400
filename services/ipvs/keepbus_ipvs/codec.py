"""Generic netlink messages of the IPVS family, octet for octet (linux/ip_vs.h; conformance V1 to V9).

Pure: commands in, octets out, and back. The netlink header belongs to the socket (`kernel.py`); here a
request is the generic netlink header and its attributes.
"""

from __future__ import annotations

import ipaddress
import struct
import sys
from collections.abc import Iterator
from functools import lru_cache

from keepbus_ipvs.diff import Command, Verb
from keepbus_ipvs.table import (
    AF_INET,
    AF_INET6,
    HASHED,
    IPIP,
    Destination,
    DestinationKey,
    FoundDestination,
    Service,
    ServiceKey,
)

FAMILY_NAME = "IPVS"
FAMILY_VERSION = 1

GET_SERVICE = 4
GET_DESTINATION = 8
GET_INFO = 15
FLUSH = 17

_ALL_FLAGS = 0xFFFFFFFF
_NESTED = 0x8000
_TYPE_MASK = 0x3FFF

# Top attributes (V3), service attributes (V4), destination attributes (V5).
_SERVICE, _DESTINATION = 1, 2
_AF, _PROTOCOL, _ADDRESS, _PORT, _FWMARK, _SCHEDULER, _FLAGS, _TIMEOUT, _NETMASK = range(1, 10)
_D_ADDRESS, _D_PORT, _D_METHOD, _D_WEIGHT, _D_UPPER, _D_LOWER, _D_ACTIVE, _D_INACTIVE = range(1, 9)
_ENGINE = 11
_D_FAMILY, _D_STATISTICS = 11, 12
_D_TUNNEL, _D_TUNNEL_PORT, _D_TUNNEL_FLAGS = 13, 14, 15
_CONNECTIONS = 1
"""First of the 64-bit statistics."""

_ATTRIBUTE = struct.Struct("=HH")
_U8 = struct.Struct("=HHB3x")
_U16 = struct.Struct("=HHH2x")
_PORT_ATTRIBUTE = struct.Struct("=HH2s2x")
_U32 = struct.Struct("=HHI")
_S32 = struct.Struct("=HHi")
_ADDRESS_ATTRIBUTE = struct.Struct("=HH16s")
_FLAGS_ATTRIBUTE = struct.Struct("=HHII")
_NETMASK_ATTRIBUTE = struct.Struct("=HH4s")
_GENERIC = struct.Struct("=BBH")
_INT = struct.Struct("=I")
_LONG = struct.Struct("=Q")
_SIGNED = struct.Struct("=i")
_SHORT = struct.Struct("=H")
_IPV4 = struct.Struct("4B")


class MalformedError(ValueError):
    """Octets that are no message of this family."""


def encode(command: Command) -> bytes:
    """A command as a request."""
    verb, service, destination = command
    if verb in (Verb.ADD_SERVICE, Verb.EDIT_SERVICE):
        return request(verb) + nest(_SERVICE, _key(service.key) + _settings(service))
    octets = request(verb) + nest(_SERVICE, _key(service.key))
    if destination is None:
        return octets
    return octets + nest(_DESTINATION, _destination(destination))


def request(command: int) -> bytes:
    """The generic netlink header."""
    return _GENERIC.pack(command, FAMILY_VERSION, 0)


def get_service(key: ServiceKey) -> bytes:
    """The request for one service; the answer for a missing one is ESRCH (V8)."""
    return request(GET_SERVICE) + nest(_SERVICE, _key(key))


def dump_destinations(key: ServiceKey) -> bytes:
    """The request for the destinations of one service. A missing service answers with none (V11)."""
    return request(GET_DESTINATION) + nest(_SERVICE, _key(key))


def decode_service(payload: bytes) -> Service:
    """A service from the answer to GET_SERVICE; raises MalformedError."""
    fields = _nested(payload, _SERVICE)
    try:
        family = _SHORT.unpack_from(fields[_AF])[0]
        if _FWMARK in fields:
            key = ServiceKey(family, 0, "", 0, _INT.unpack_from(fields[_FWMARK])[0])
        else:
            key = ServiceKey(
                family,
                _SHORT.unpack_from(fields[_PROTOCOL])[0],
                _address(family, fields[_ADDRESS]),
                int.from_bytes(fields[_PORT][:2], "big"),
            )
        return Service(
            key=key,
            scheduler=fields[_SCHEDULER].rstrip(b"\0").decode("ascii", "replace"),
            flags=_INT.unpack_from(fields[_FLAGS])[0] & ~HASHED,
            timeout_s=_INT.unpack_from(fields[_TIMEOUT])[0],
            netmask=_netmask_text(family, fields[_NETMASK]),
            engine=fields.get(_ENGINE, b"").rstrip(b"\0").decode("ascii", "replace"),
        )
    except (KeyError, struct.error, ValueError) as error:
        raise MalformedError(f"service attribute {error}") from None


def decode_destination(payload: bytes, family: int) -> FoundDestination:
    """A destination from the answer to GET_DESTINATION; family is its service's, where none is told."""
    fields = _nested(payload, _DESTINATION)
    try:
        if _D_FAMILY in fields:
            family = _SHORT.unpack_from(fields[_D_FAMILY])[0]
        destination = Destination(
            key=DestinationKey(
                _address(family, fields[_D_ADDRESS]), int.from_bytes(fields[_D_PORT][:2], "big")
            ),
            forwarding=_INT.unpack_from(fields[_D_METHOD])[0],
            weight=_SIGNED.unpack_from(fields[_D_WEIGHT])[0],
            upper=_INT.unpack_from(fields[_D_UPPER])[0],
            lower=_INT.unpack_from(fields[_D_LOWER])[0],
            tunnel=fields.get(_D_TUNNEL, b"\0")[0],
            tunnel_port=int.from_bytes(fields.get(_D_TUNNEL_PORT, b"")[:2], "big"),
            tunnel_flags=int.from_bytes(fields.get(_D_TUNNEL_FLAGS, b"")[:2], sys.byteorder),
        )
        return FoundDestination(
            destination,
            active=_INT.unpack_from(fields[_D_ACTIVE])[0],
            inactive=_INT.unpack_from(fields[_D_INACTIVE])[0],
            total=_connections(fields.get(_D_STATISTICS, b"")),
        )
    except (KeyError, struct.error, ValueError) as error:
        raise MalformedError(f"destination attribute {error}") from None


def attributes(octets: bytes, offset: int = 0) -> Iterator[tuple[int, bytes]]:
    """Type without its flag bits, and value, of each attribute; raises MalformedError."""
    end = len(octets)
    while end - offset >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(octets, offset)
        if length < _ATTRIBUTE.size or offset + length > end:
            raise MalformedError("an attribute reaches beyond its message")
        yield kind & _TYPE_MASK, octets[offset + 4 : offset + length]
        offset += (length + 3) & ~3


def _connections(statistics: bytes) -> int:
    for kind, value in attributes(statistics):
        if kind == _CONNECTIONS:
            return _LONG.unpack_from(value)[0]  # type: ignore[no-any-return]
    return 0


def _nested(payload: bytes, kind: int) -> dict[int, bytes]:
    for found, value in attributes(payload, _GENERIC.size):
        if found == kind:
            return dict(attributes(value))
    raise MalformedError(f"attribute {kind} is missing")


def nest(kind: int, octets: bytes) -> bytes:
    """Attributes within an attribute."""
    return _ATTRIBUTE.pack(4 + len(octets), _NESTED | kind) + octets


@lru_cache(maxsize=4096)
def _key(key: ServiceKey) -> bytes:
    family = _U16.pack(6, _AF, key.family)
    if key.fwmark:
        return family + _U32.pack(8, _FWMARK, key.fwmark)
    return (
        family
        + _U16.pack(6, _PROTOCOL, key.protocol)
        + _ADDRESS_ATTRIBUTE.pack(20, _ADDRESS, _packed(key.address))
        + _PORT_ATTRIBUTE.pack(6, _PORT, key.port.to_bytes(2, "big"))
    )


def _settings(service: Service) -> bytes:
    return (
        _name(_SCHEDULER, service.scheduler)
        + _FLAGS_ATTRIBUTE.pack(12, _FLAGS, service.flags, _ALL_FLAGS)
        + _U32.pack(8, _TIMEOUT, service.timeout_s)
        + _NETMASK_ATTRIBUTE.pack(8, _NETMASK, _netmask(service.key.family, service.netmask))
        + (_name(_ENGINE, service.engine) if service.engine else b"")
    )


def _name(kind: int, text: str) -> bytes:
    octets = text.encode("ascii", "replace") + b"\0"
    return _ATTRIBUTE.pack(4 + len(octets), kind) + octets + bytes(-len(octets) % 4)


def _destination(destination: Destination) -> bytes:
    address, port = destination.key
    octets = (
        _U16.pack(6, _D_FAMILY, AF_INET6 if ":" in address else AF_INET)
        + _ADDRESS_ATTRIBUTE.pack(20, _D_ADDRESS, _packed(address))
        + _PORT_ATTRIBUTE.pack(6, _D_PORT, port.to_bytes(2, "big"))
        + _U32.pack(8, _D_METHOD, destination.forwarding)
        + _S32.pack(8, _D_WEIGHT, destination.weight)
        + _U32.pack(8, _D_UPPER, destination.upper)
        + _U32.pack(8, _D_LOWER, destination.lower)
    )
    if destination.tunnel == IPIP:
        return octets
    return (
        octets
        + _U8.pack(5, _D_TUNNEL, destination.tunnel)
        + _PORT_ATTRIBUTE.pack(6, _D_TUNNEL_PORT, destination.tunnel_port.to_bytes(2, "big"))
        + _U16.pack(6, _D_TUNNEL_FLAGS, destination.tunnel_flags)
    )


def _packed(address: str) -> bytes:
    return _packed_ipv6(address) if ":" in address else bytes(map(int, address.split(".")))


def _address(family: int, octets: bytes) -> str:
    # Of tens of thousands of addresses none is asked for twice before all others were: not worth keeping.
    if family == AF_INET:
        return ".".join(map(str, _IPV4.unpack_from(octets)))
    return _text_ipv6(octets[:16])


@lru_cache(maxsize=4096)
def _packed_ipv6(address: str) -> bytes:
    return ipaddress.IPv6Address(address).packed


@lru_cache(maxsize=4096)
def _text_ipv6(octets: bytes) -> str:
    return str(ipaddress.IPv6Address(octets))


def _netmask(family: int, text: str) -> bytes:
    if family == AF_INET:
        return _packed(text)
    return _INT.pack(int(text))


def _netmask_text(family: int, octets: bytes) -> str:
    if family == AF_INET:
        return _address(AF_INET, octets[:4])
    return str(_INT.unpack_from(octets)[0])
