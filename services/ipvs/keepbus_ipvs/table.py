"""The IPVS table as values: services, their destinations, and what is found in a kernel.

Families, protocols, forwarding methods and flags are the kernel's numbers (linux/ip_vs.h, conformance V4,
V5, V16), because that is what wanted and found are compared in.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import NamedTuple

AF_INET = 2
AF_INET6 = 10
TCP = 6
UDP = 17
SCTP = 132

MASQUERADE = 0
LOCAL = 1
TUNNEL = 2
DIRECT = 3

PERSISTENT = 0x1
HASHED = 0x2
"""Set by the kernel on every service; never compared (V15)."""
ONE_PACKET = 0x4
SCHEDULER_FLAGS = {"flag-1": 0x8, "flag-2": 0x10, "flag-3": 0x20}

IPIP = 0
GUE = 1
GRE = 2
NO_CHECKSUM = 0x0
CHECKSUM = 0x1
REMOTE_CHECKSUM = 0x2

WHOLE_ADDRESS = {AF_INET: "255.255.255.255", AF_INET6: "128"}
"""Netmask of a service that is not persistent, or persistent per client address."""


class ServiceKey(NamedTuple):
    """What names a service (V7): family, protocol, address and port, or family and fwmark."""

    family: int
    protocol: int
    address: str
    port: int
    fwmark: int = 0


class Service(NamedTuple):
    """A service and its settings."""

    key: ServiceKey
    scheduler: str
    flags: int = 0
    """Without HASHED."""
    timeout_s: int = 0
    netmask: str = "255.255.255.255"
    """IPv4: dotted mask; IPv6: prefix length."""
    engine: str = ""
    """Persistence engine; empty: none."""


class DestinationKey(NamedTuple):
    """What names a destination within its service."""

    address: str
    port: int


class Destination(NamedTuple):
    """A destination and its settings."""

    key: DestinationKey
    forwarding: int
    weight: int = 1
    upper: int = 0
    """Connections at which it gets no new ones; 0: no limit (W15)."""
    lower: int = 0
    """Connections below which it gets new ones again; 0: three quarters of upper."""
    tunnel: int = IPIP
    tunnel_port: int = 0
    tunnel_flags: int = NO_CHECKSUM


class Entry(NamedTuple):
    """A service with its destinations, in the order in which they are written."""

    service: Service
    destinations: dict[DestinationKey, Destination]


Table = dict[ServiceKey, Entry]


class FoundDestination(NamedTuple):
    """A destination as read back, with its connections."""

    destination: Destination
    active: int = 0
    inactive: int = 0
    total: int = 0
    """Connections since it was written."""


class FoundService(NamedTuple):
    """A service as read back."""

    service: Service
    destinations: tuple[FoundDestination, ...] = ()

    def entry(self) -> Entry:
        """The same without counters."""
        return Entry(self.service, {found.destination.key: found.destination for found in self.destinations})


_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_is_canonical_ipv4 = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}", re.ASCII).fullmatch
"""Most addresses are, and it is seen in a fifth of the time."""


@lru_cache(maxsize=1024)
def family_of(address: str) -> int:
    """AF_INET or AF_INET6; raises ValueError for what is no address."""
    return AF_INET if ipaddress.ip_address(address).version == 4 else AF_INET6


@lru_cache(maxsize=1024)
def canonical(address: str) -> str:
    """The address in the one form in which addresses are compared; raises ValueError."""
    if _is_canonical_ipv4(address):
        return address
    text = str(ipaddress.ip_address(address))
    return address if text == address else text


def is_loopback(address: str) -> bool:
    """True for an address that only this host reaches."""
    address = canonical(address)
    return address.startswith("127.") or address == "::1"


def endpoint(address: str, port: int) -> str:
    """address:port, IPv6 in brackets."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
