"""Where instances are: on which interface, with which source address, sockets and faults."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from keepbus.config.model.vrrp import VrrpInstance
from keepbus_vrrp import family, packet, vmac
from keepbus_vrrp.effects import Endpoint, Listen, Unlisten
from keepbus_vrrp.holdings import tracked_interfaces
from keepbus_vrrp.instance import Instance
from keepbus_vrrp.links import Link
from keepbus_vrrp.turn import Turn

Datagrams = Sequence[tuple[bytes, int]]


class Placement:
    """Made anew from interfaces and instances whenever one of them changed."""

    def __init__(self, turn: Turn, vmacs: vmac.VirtualInterfaces) -> None:
        self._turn = turn
        self._vmacs = vmacs
        self.routers: dict[Endpoint, dict[int, Instance]] = {}
        """Interface and family to virtual router id to instance (S10)."""
        self.groups: dict[Endpoint, frozenset[bytes]] = {}
        """The multicast groups of the instances there."""
        self.local: dict[Endpoint, frozenset[bytes]] = {}
        """The interface's own addresses, virtual ones left out."""
        self.virtual: set[Endpoint] = set()
        """Those of interfaces with a virtual MAC."""
        self._virtual: dict[str, set[bytes]] = {}
        """Interface name to the virtual addresses of all instances there."""
        self._listening: dict[Endpoint, Listen] = {}
        self._refused: dict[Endpoint, str] = {}
        """The reason why no socket could be opened."""
        self._bare: set[Endpoint] = set()
        """Where there is no address of that family."""

    def arrange(self, instances: Iterable[Instance]) -> None:
        """Find the instances' interfaces, and have sockets where they are."""
        instances = list(instances)
        self._virtual = {}
        for instance in instances:
            for address in instance.all_addresses:
                self._virtual.setdefault(address.interface, set()).add(family.pack(address.address))
        self.routers, self.local, self.virtual = {}, {}, set()
        groups: dict[Endpoint, set[bytes]] = {}
        for instance in instances:
            link = self._turn.links.by_name(instance.config.interface)
            if link is None:
                continue
            endpoint = Endpoint(link.index, instance.config.family)
            if endpoint not in self.routers:
                self.routers[endpoint] = {}
                self.local[endpoint] = frozenset(link.addresses) - self._virtual.get(link.name, set())
            self.routers[endpoint][instance.config.virtual_router_id] = instance
            vmac_link = self._vmac_link(instance.config)
            places = [endpoint]
            if vmac_link is not None:
                places.append(Endpoint(vmac_link.index, endpoint.family))
                self.routers[places[1]] = {instance.config.virtual_router_id: instance}
                self.local[places[1]] = self.local[endpoint]
                self.virtual.add(places[1])
            for place in places:
                joined = groups.setdefault(place, set())
                if instance.terms.group:
                    joined.add(instance.terms.group)
        self.groups = {endpoint: frozenset(joined) for endpoint, joined in groups.items()}
        for endpoint in [endpoint for endpoint in self._listening if endpoint not in self.groups]:
            self._close(endpoint)
        for endpoint, wanted_groups in self.groups.items():
            link = self._turn.links.by_index(endpoint.interface_index)
            if link is None:
                continue
            sealed = any(each.terms.ah for each in self.routers[endpoint].values())
            wanted = Listen(endpoint, link.name, tuple(sorted(wanted_groups)), sealed)
            if self._listening.get(endpoint) != wanted:
                self._listening[endpoint] = wanted
                self._refused.pop(endpoint, None)
                self._turn.effects.append(wanted)

    def own(self, endpoint: Endpoint, datagrams: Datagrams) -> list[tuple[bytes, int]]:
        """Of what came to an interface with a virtual MAC: what its own router hears there. The others hear
        the same elsewhere."""
        ((router_id, instance),) = self.routers[endpoint].items()
        if instance.ear.deaf_index == endpoint.interface_index:
            return []
        spoken = family.BY_NAME[endpoint.family]
        own = bytes((router_id,))
        return [each for each in datagrams if packet.split(each[0], spoken)[1][1:2] == own]

    def link_changed(self, index: int, *, gone: bool) -> None:
        """A socket that could not be opened is tried again; those of a vanished interface are closed."""
        for endpoint in [each for each in self._listening if each.interface_index == index]:
            if gone or endpoint in self._refused:
                self._close(endpoint)

    def address_changed(self, index: int) -> None:
        """A socket that could not be opened is tried again: IPv6 may have been switched on.

        Where the kernel took every address of a family (IPv6 switched off, an MTU below 1280) the interface
        left all groups with them, which no socket is told: it is made anew when there are addresses again.
        """
        self.link_changed(index, gone=False)
        link = self._turn.links.by_index(index)
        for endpoint in [each for each in self._listening if each.interface_index == index]:
            if endpoint in self.virtual or link is None:
                continue
            octets = family.BY_NAME[endpoint.family].address_octets
            if not any(len(address) == octets for address in link.addresses):
                self._bare.add(endpoint)
            elif endpoint in self._bare:
                self._close(endpoint)

    def listen_failed(self, endpoint: Endpoint, error: str) -> None:
        """There is no socket; it is tried again when the interface changes."""
        self._refused[endpoint] = error

    def faults(self, instance: Instance) -> tuple[str, ...]:
        """Why the instance cannot take part (I6), a sentence each; gives it its source address (S1, M12)."""
        config = instance.config
        links = self._turn.links
        faults = list(self._vmacs.faults(config))
        virtual = vmac.names(config)  # down as long as the instance is not master
        made = {each.name for each in vmac.made(config)}
        for name in dict.fromkeys((config.interface, *tracked_interfaces(config))):
            link = links.by_name(name)
            if name in virtual or (link is None and name in made):
                continue
            if link is None:
                faults.append(f"interface {name} does not exist")
            elif not links.seems_up(link) and not (config.dont_track_primary and name == config.interface):
                faults.append(f"interface {name} is down")
        link = links.by_name(config.interface)
        if link is not None:
            faults.extend(self._faults_of_speech(instance, link))
        return tuple(faults)

    def _faults_of_speech(self, instance: Instance, link: Link) -> Iterator[str]:
        config = instance.config
        spoken = instance.terms.family
        endpoint = Endpoint(link.index, spoken.name)
        if endpoint in self._refused:
            yield f"no socket on {config.interface}: {self._refused[endpoint]}"
        if config.unicast_peers == ():
            yield "there is no unicast_peer"
        source = link.source_address(spoken, self._virtual.get(link.name, ()))
        if config.mcast_src_ip:
            source = family.pack(config.mcast_src_ip)
            if config.track_src_ip and source not in link.addresses:
                yield f"{config.mcast_src_ip} is not on interface {config.interface}"
            elif source in link.tentative:
                yield f"{config.mcast_src_ip} is still being checked for a duplicate, or is one"
        if source:
            instance.take_source(endpoint, source)
            instance.ear.take(instance, self._vmac_link(config))
        else:
            yield _no_source(spoken, link)
        instance.take_mtu(link.mtu)
        if instance.terms.octets > link.mtu:
            yield (
                f"an advert takes {instance.terms.octets} octets, "
                f"more than the MTU {link.mtu} of interface {link.name}"
            )

    def _vmac_link(self, config: VrrpInstance) -> Link | None:
        return None if config.vmac is None else self._turn.links.by_name(config.vmac.name)

    def _close(self, endpoint: Endpoint) -> None:
        self._refused.pop(endpoint, None)
        self._bare.discard(endpoint)
        if self._listening.pop(endpoint, None) is not None:
            self._turn.effects.append(Unlisten(endpoint))


def _no_source(spoken: family.Family, link: Link) -> str:
    if spoken is family.IPV4:
        return f"interface {link.name} has no IPv4 address to send from"
    if link.tentative:
        return (
            f"the link-local IPv6 address of interface {link.name} is still being checked for a duplicate, "
            "or is one"
        )
    return f"interface {link.name} has no link-local IPv6 address to send from"
