"""Where instances are: on which interface, with which source address, sockets and faults."""

from __future__ import annotations

from collections.abc import Iterable

from keepbus_vrrp import ipv4
from keepbus_vrrp.effects import Listen, Unlisten
from keepbus_vrrp.instance import Instance
from keepbus_vrrp.turn import Turn


class Placement:
    """Made anew from interfaces and instances whenever one of them changed."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self.routers: dict[int, dict[int, Instance]] = {}
        """Interface index to virtual router id to instance."""
        self.groups: dict[int, frozenset[bytes]] = {}
        """Interface index to the multicast groups of its instances."""
        self.local: dict[int, frozenset[bytes]] = {}
        """Interface index to its own addresses, virtual ones left out."""
        self._virtual: dict[str, set[bytes]] = {}
        """Interface name to the virtual addresses of all instances there."""
        self._listening: dict[int, frozenset[bytes]] = {}
        self._refused: dict[int, str] = {}
        """Interface index to the reason why no socket could be opened."""

    def arrange(self, instances: Iterable[Instance]) -> None:
        """Find the instances' interfaces, and have sockets where they are."""
        instances = list(instances)
        self._virtual = {}
        for instance in instances:
            for address in instance.all_addresses:
                self._virtual.setdefault(address.interface, set()).add(ipv4.pack(address.address))
        self.routers, self.local = {}, {}
        groups: dict[int, set[bytes]] = {}
        for instance in instances:
            link = self._turn.links.by_name(instance.config.interface)
            if link is None:
                continue
            if link.index not in self.routers:
                self.routers[link.index] = {}
                self.local[link.index] = frozenset(link.addresses) - self._virtual.get(link.name, set())
            self.routers[link.index][instance.config.virtual_router_id] = instance
            groups.setdefault(link.index, set()).add(instance.terms.group)
        self.groups = {index: frozenset(joined) for index, joined in groups.items()}
        for index in self._listening.keys() - self.groups.keys():
            self._close(index)
        for index, joined in self.groups.items():
            link = self._turn.links.by_index(index)
            if self._listening.get(index) != joined and link is not None:
                self._listening[index] = joined
                self._refused.pop(index, None)
                self._turn.effects.append(Listen(index, link.name, tuple(sorted(joined))))

    def link_changed(self, index: int, *, gone: bool) -> None:
        """A socket that could not be opened is tried again; that of a vanished interface is closed."""
        if gone or index in self._refused:
            self._close(index)

    def listen_failed(self, index: int, error: str) -> None:
        """There is no socket; it is tried again when the interface changes."""
        self._refused[index] = error

    def faults(self, instance: Instance) -> tuple[str, ...]:
        """Why the instance cannot take part (I6), a sentence each; gives it its source address (S1, M12)."""
        config = instance.config
        links = self._turn.links
        faults = []
        names = dict.fromkeys((config.interface, *(each.interface for each in instance.all_addresses)))
        for name in names:
            link = links.by_name(name)
            if link is None:
                faults.append(f"interface {name} does not exist")
            elif not link.up:
                faults.append(f"interface {name} is down")
        link = links.by_name(config.interface)
        if link is not None:
            if link.index in self._refused:
                faults.append(f"no socket on {config.interface}: {self._refused[link.index]}")
            source = link.primary_address(self._virtual.get(link.name, ()))
            if config.mcast_src_ip:
                source = ipv4.pack(config.mcast_src_ip)
            if source:
                instance.take_source(link.index, source)
            else:
                faults.append(f"interface {config.interface} has no IPv4 address to send from")
        return tuple(faults)

    def _close(self, index: int) -> None:
        self._refused.pop(index, None)
        if self._listening.pop(index, None) is not None:
            self._turn.effects.append(Unlisten(index))
