"""One pure machine that speaks IPv6 or unicast, and the adverts of its neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from keepbus_vrrp import events, family, packet
from keepbus_vrrp.effects import Endpoint
from keepbus_vrrp.family import pack
from keepbus_vrrp.instance import Instance
from keepbus_vrrp.machine import Machine
from keepbus_vrrp.netlink import IFF_RUNNING, IFF_UP, AddressMessage, LinkMessage

from keepbus.config.model.vrrp import UnicastPeer, VirtualAddress, VrrpInstance, VrrpSection
from keepbus.runtime.machine import Configured, Event
from keepbus.testing.playbook import Playbook, Scene, ns

INDEX = 2
MAC = bytes.fromhex("020000000253")
Datagrams = tuple[tuple[bytes, int], ...]


@dataclass(frozen=True)
class Kind:
    """A way to speak."""

    spoken: family.Family
    unicast: bool
    version: int
    local: str
    peer: str
    stranger: str
    virtual: tuple[str, ...]

    @property
    def destination(self) -> str:
        """Of what we hear."""
        return self.local if self.unicast else self.spoken.group


SIX = ("fe80::1", "2001:db8::1")
KINDS = {
    "IPv6": Kind(family.IPV6, False, 3, "fe80::253", "fe80::254", "fe80::99", SIX),
    "unicast IPv6": Kind(family.IPV6, True, 3, "fe80::253", "fe80::254", "fe80::99", SIX),
    "unicast v3": Kind(family.IPV4, True, 3, "192.0.2.253", "192.0.2.254", "192.0.2.99", ("192.0.2.1",)),
    "unicast v2": Kind(family.IPV4, True, 2, "192.0.2.253", "192.0.2.254", "192.0.2.99", ("192.0.2.1",)),
    "v2 over IPv6": Kind(family.IPV6, False, 2, "fe80::253", "fe80::254", "fe80::99", SIX),
}
V6, U6, U3 = KINDS["IPv6"], KINDS["unicast IPv6"], KINDS["unicast v3"]
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
unicast_kinds = pytest.mark.parametrize(
    "kind",
    [kind for kind in KINDS.values() if kind.unicast],
    ids=[name for name in KINDS if "unicast" in name],
)


def virtual(*addresses: str) -> tuple[VirtualAddress, ...]:
    return tuple(VirtualAddress(address=each, prefix=64, interface="eth0") for each in addresses)


def config(kind: Kind, **fields: Any) -> VrrpInstance:
    peers = (UnicastPeer(address=kind.peer),) if kind.unicast else None
    defaults: dict[str, Any] = {
        "name": "VI_1",
        "interface": "eth0",
        "virtual_router_id": 51,
        "family": kind.spoken.name,
        "version": kind.version,
        "virtual_addresses": virtual(*kind.virtual),
        "unicast_peers": peers,
    }
    return VrrpInstance(**(defaults | fields))


def link(*, mtu: int = 1500, forwards: bool = False) -> LinkMessage:
    return LinkMessage(False, INDEX, "eth0", IFF_UP | IFF_RUNNING, MAC, mtu, forwards)


def address(text: str, *, gone: bool = False, tentative: bool = False) -> AddressMessage:
    return AddressMessage(gone, INDEX, pack(text), 64, tentative)


class Router:
    """A machine that has started; second 0 is the start."""

    def __init__(
        self,
        *configs: VrrpInstance,
        addresses: tuple[AddressMessage, ...],
        eth0: LinkMessage | None = None,
    ) -> None:
        self.machine = Machine()
        self.play = Playbook(self.machine)
        self.play.at(0, Configured(1, VrrpSection(instances=configs), ns(0)))
        read = events.KernelRead((eth0 or link(),), addresses)
        self.scene = self.play.at(0, events.Remembered("boot", ()), read)

    @property
    def instance(self) -> Instance:
        return next(iter(self.machine.instances.values()))

    def at(self, seconds: float, *happened: Event) -> Scene:
        scene = self.play.until(seconds - 1e-6)
        scene.extend(self.play.at(seconds, *happened))
        return scene

    def become_master(self) -> Scene:
        return self.at((self.instance.timer.due_at_ns - ns(0)) / 1e9)


def started(kind: Kind, **fields: Any) -> Router:
    return Router(config(kind, **fields), addresses=(address(kind.local),))


def heard(
    kind: Kind,
    *,
    at: float = 1.0,
    priority: int = 200,
    source: str = "",
    destination: str = "",
    ttl: int = 255,
    **fields: Any,
) -> events.Received:
    """A neighbour's advert, good unless the arguments say otherwise."""
    source, destination = source or kind.peer, destination or kind.destination
    given: dict[str, Any] = {
        "family": kind.spoken,
        "version": kind.version,
        "virtual_router_id": 51,
        "priority": priority,
        "interval_us": 1_000_000,
        "addresses": tuple(map(pack, kind.virtual)),
        "source": pack(source),
        "destination": pack(destination),
    }
    message = packet.encode(**(given | fields))
    return received(kind, kind.spoken.datagram(pack(source), pack(destination), ttl, message), at)


def received(kind: Kind, datagram: bytes, at: float) -> events.Received:
    return events.Received(Endpoint(INDEX, kind.spoken.name), ((datagram, ns(at)),))


def octets(event: events.Received) -> bytes:
    ((datagram, _),) = event.datagrams
    return datagram


def damaged(kind: Kind, at: int, octet: int) -> events.Received:
    """An octet of the message replaced; the checksum is not put right."""
    datagram = bytearray(octets(heard(kind)))
    datagram[kind.spoken.header_octets + at] = octet
    return received(kind, bytes(datagram), 1)


def cut(kind: Kind) -> events.Received:
    """The last address is missing, the count says that it is there."""
    datagram = octets(heard(kind))
    size = kind.spoken.address_octets
    message = datagram[kind.spoken.header_octets : -size]
    made = kind.spoken.datagram(pack(kind.peer), pack(kind.destination), 255, message)
    return received(kind, made, 1)


def bad(kind: Kind) -> dict[str, events.Received]:
    """One packet for each reason of conformance section 5 that this way of speaking has."""
    group = kind.spoken.group
    found = {
        "destination": heard(kind, destination=group if kind.unicast else kind.local),
        "own_address": heard(kind, source=kind.local),
        "version": damaged(kind, 0, 0x31 if kind.version == 2 else 0x21),
        "type": damaged(kind, 0, kind.version << 4 | 2),
        "length": cut(kind),
        "checksum": damaged(kind, 6, octets(heard(kind))[kind.spoken.header_octets + 6] ^ 1),
    }
    if kind.unicast:
        found["unknown_peer"] = heard(kind, source=kind.stranger)
    else:
        found["ttl"] = heard(kind, ttl=254)
    if kind.version == 3:
        found["adver_int_zero"] = heard(kind, interval_us=0)
        found["addr_count_zero"] = heard(kind, addresses=())
    else:
        found["adver_int_mismatch"] = heard(kind, interval_us=2_000_000)
    if kind.spoken is family.IPV6:
        found["first_addr_not_link_local"] = heard(kind, addresses=tuple(map(pack, reversed(kind.virtual))))
    return found
