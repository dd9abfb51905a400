"""What the machine wishes. Besides these: Publish, Withdraw, Report, Log, Exit of the runtime.

instance is the identity of a virtual router, `interface/family/virtual router id`.
"""

from __future__ import annotations

from typing import NamedTuple

from keepbus.config.model.vrrp import FOREVER_S, AddressFamily
from keepbus_vrrp.netlink import Address
from keepbus_vrrp.record import GroupRecord, Record
from keepbus_vrrp.timers import NEVER

STATICS = "static"
"""The holder of what is held whoever is master."""


class Endpoint(NamedTuple):
    """Where adverts leave and arrive: one socket."""

    interface_index: int
    family: AddressFamily


class ReadKernel(NamedTuple):
    """Read all interfaces and addresses; answered by KernelRead."""


class Gather(NamedTuple):
    """When adverts keep coming, wait so long before each look into the sockets, to read many at a time.

    Adverts carry the kernel's time stamp and deadlines end the wait, so no timer loses its exactness.
    """

    gather_ns: int


class Recall(NamedTuple):
    """Read what an earlier process remembered; answered by Remembered."""


class Listen(NamedTuple):
    """Have a socket, in these multicast groups; answered by ListenFailed if not."""

    endpoint: Endpoint
    interface: str
    groups: tuple[bytes, ...]
    ah: bool = False
    """Hear IP protocol 51 too (`auth_type AH`)."""


class Unlisten(NamedTuple):
    """Close a socket."""

    endpoint: Endpoint


class Advertise(NamedTuple):
    """Send an advert, and only if it left: install or renew these addresses.

    One effect, because the lease must never be renewed without the advert that is its proof (R-L1), and an
    advert must be on the wire before its addresses are in the kernel (M14).
    """

    instance: str
    endpoint: Endpoint
    copies: tuple[tuple[str, bytes], ...]
    """Destination and whole datagram; several for unicast, of which one that leaves is enough."""
    addresses: tuple[Address, ...] = ()
    valid_s: int = FOREVER_S
    """Lifetime of the addresses."""
    lease_end_ns: int = 0
    """To be remembered with the moment of sending."""
    not_after_ns: int = NEVER
    """If the process was frozen between its decision and the sending, the advert must not leave."""
    confirm: bool = False
    """Answer with Installed, all addresses to be announced."""


class Guard(NamedTuple):
    """From now on exactly these addresses pass only while the gate is open for them; answered by GateChanged.

    None: the gate goes, with what an earlier process left of it.
    """

    addresses: tuple[tuple[bytes, int], ...]
    """Each with the length of its lease in microseconds; those of one length share what OpenGate says."""


class Deny(NamedTuple):
    """Accept mode off: from now on packets to and from exactly these addresses are dropped, but neighbour
    discovery; answered by DenyChanged. Without an address: what this node made goes."""

    table: str
    priority: int
    counters: bool
    addresses: tuple[bytes, ...]
    link_local: tuple[tuple[bytes, str], ...]
    """Each on its interface only."""


class OpenGate(NamedTuple):
    """Open the gate, in one go, for all addresses whose lease has this length."""

    leases: tuple[tuple[int, int], ...]
    """Length in microseconds, and until when: the end of the first of these leases that ends."""


class Install(NamedTuple):
    """Install or renew addresses without an advert; answered by Installed."""

    instance: str
    addresses: tuple[Address, ...]
    valid_s: int = FOREVER_S
    announce: tuple[bytes, ...] = ()
    """Handed back in Installed."""


class Remove(NamedTuple):
    """Remove addresses; one that is not there is as good as removed. Answered by Removed when one stays."""

    instance: str
    addresses: tuple[Address, ...]
    again: bool = False
    """Answered in any case."""


class Request(NamedTuple):
    """One rtnetlink request."""

    name: str
    """What it is about, for people."""
    octets: bytes
    done: tuple[int, ...]
    """With these errors it is as good as done."""


class Ask(NamedTuple):
    """Have the kernel carry out requests in this order; each one that it refuses is answered by Refused."""

    holder: str
    """An instance, or STATICS."""
    requests: tuple[Request, ...]


class Sysctls(NamedTuple):
    """Have these kernel settings and no others; what is not wanted any more becomes what it was."""

    wanted: tuple[tuple[str, str], ...]
    """Path below /proc/sys, and value."""


class Occupy(NamedTuple):
    """Be the only one in this network namespace with these virtual routers, and give up all others; answered
    by Occupied."""

    keys: tuple[str, ...]


class WatchClaims(NamedTuple):
    """Be told when somebody says that he has one of these addresses, and of no other."""

    addresses: tuple[bytes, ...]


class WatchRoutes(NamedTuple):
    """Be told of routes and rules that others remove, or not any more."""

    wanted: bool


class Announce(NamedTuple):
    """Send Ethernet frames."""

    frames: tuple[tuple[str, bytes], ...]
    """Interface name and whole frame."""


class Remember(NamedTuple):
    """Keep the record of an instance or group for the next process."""

    instance: str
    record: Record | GroupRecord
    holds_lease: bool


class Count(NamedTuple):
    """Keep an instance's counters for the next process."""

    instance: str
    counters: tuple[int, int, int, int, int, int]


class Forget(NamedTuple):
    """The instance is no more."""

    instance: str
