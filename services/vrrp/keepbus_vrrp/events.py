"""What the machine is told. Besides these: Configured, BusMessage, StopRequested of the runtime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from keepbus_vrrp.effects import Endpoint
from keepbus_vrrp.netlink import Address, AddressMessage, ForwardingMessage, LinkMessage
from keepbus_vrrp.route_codec import RouteKey, RouteMessage
from keepbus_vrrp.rule_codec import RuleMessage

Memory = tuple[str, int, int, tuple[int, ...]]
"""Record (JSON text), last advert sent and end of the lease (CLOCK_BOOTTIME ns), counters."""


class WallClock(NamedTuple):
    """The difference of the wall clock to CLOCK_BOOTTIME, nanoseconds: told at the start and when it
    changed. Used for what people read and for the age of authenticated adverts, never for a timer (T8)."""

    offset_ns: int


class KernelRead(NamedTuple):
    """All interfaces and addresses: the answer to ReadKernel, and after a loss of kernel messages."""

    links: tuple[LinkMessage, ...]
    addresses: tuple[AddressMessage, ...]


class Remembered(NamedTuple):
    """What an earlier process of this node left: the answer to Recall."""

    boot_id: str
    """The kernel's, of now."""
    memories: tuple[Memory, ...]
    """One per instance."""


class LinkChanged(NamedTuple):
    """An interface appeared, changed or went."""

    link: LinkMessage


class AddressChanged(NamedTuple):
    """An address appeared, changed or went; own doings of IPv4 are not told."""

    address: AddressMessage


class ForwardingChanged(NamedTuple):
    """An interface began or ended to forward IPv6."""

    forwarding: ForwardingMessage


class Received(NamedTuple):
    """Datagrams of protocol 112 arrived."""

    endpoint: Endpoint
    datagrams: Sequence[tuple[bytes, int]]
    """In the order of arrival: each from the IP header on, with the moment when the kernel received it,
    CLOCK_BOOTTIME nanoseconds (T9)."""


class ListenFailed(NamedTuple):
    """No socket could be opened on an interface."""

    endpoint: Endpoint
    error: str


class TransmitFailed(NamedTuple):
    """An advert did not leave, and the lease was not renewed."""

    instance: str
    error: str


class TransmitRecovered(NamedTuple):
    """An advert left after one that did not."""

    instance: str


class Installed(NamedTuple):
    """The kernel confirmed addresses: the answer to an Advertise that asked for it, and to Install."""

    instance: str
    announce: tuple[bytes, ...]
    """Those that the neighbours do not know to be here."""


class DenyChanged(NamedTuple):
    """Whether the rules of accept mode off stand: the answer to Deny."""

    error: str
    """Empty when they do."""


class GateChanged(NamedTuple):
    """Whether the gate of the addresses works: the answer to Guard, and when it could not be opened."""

    error: str
    """Empty when it does."""


class InstallFailed(NamedTuple):
    """The kernel refused an address."""

    instance: str
    address: bytes
    error: str


class Removed(NamedTuple):
    """What became of addresses that were to be removed; the others are gone."""

    instance: str
    addresses: tuple[Address, ...]
    refused: tuple[tuple[Address, str], ...]
    """Those that are still there, with the kernel's reason."""


class Occupied(NamedTuple):
    """The answer to Occupy."""

    taken: tuple[tuple[str, int], ...]
    """Virtual routers that another process has, each with its pid; 0: not known."""


class Refused(NamedTuple):
    """The kernel refused a request of Ask."""

    holder: str
    name: str
    """Of the route or rule."""
    error: str


class Claimed(NamedTuple):
    """Somebody on the wire says that he has an address: by ARP, or by a neighbour advertisement."""

    interface_index: int
    """Where it was heard."""
    address: bytes
    mac: bytes
    """His, as he says."""


class RouteChanged(NamedTuple):
    """Another program removed or replaced a route."""

    route: RouteMessage


class RuleRemoved(NamedTuple):
    """Another program removed a rule."""

    rule: RuleMessage


class RoutesRead(NamedTuple):
    """All routes of the protocol keepalived and all rules, after a loss of kernel messages about them."""

    routes: frozenset[RouteKey]
    rules: frozenset[frozenset[tuple[int, bytes]]]
