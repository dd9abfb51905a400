"""Interfaces that are made for virtual routers: those with a virtual MAC address (features 6.5; conformance
S4, S11, K1 to K3, G3), and ipvlans (ipvlan.py).

Law of this file: one with a virtual MAC address is up only while its virtual router is master. Down, it can
send nothing, so that no switch ever learns the address of a standby, and takes no frame that is sent to it.
keepalived leaves it up and filters what the kernel would say. What bears this node's mark and is not wanted
goes; what another program made is used if it is what is needed, and never removed.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from keepbus.config.model.vrrp import AddressFamily, Ipvlan, VirtualMac, VrrpInstance, VrrpSection
from keepbus.contracts.vrrp import VrrpState
from keepbus.runtime.machine import Log
from keepbus_vrrp import family, ipvlan, link_codec
from keepbus_vrrp.effects import Ask, Endpoint, Install, ReadKernel, Request
from keepbus_vrrp.link_codec import IPVLAN, MACVLAN, MODE_PRIVATE, VRF
from keepbus_vrrp.links import Link, Links
from keepbus_vrrp.turn import Turn

if TYPE_CHECKING:
    from keepbus_vrrp.instance import Instance

HOLDER = "interfaces"
"""Who asks for interfaces: they are there before instances are."""

_GONE = (errno.ENODEV,)
Made = VirtualMac | Ipvlan


def interfaces(config: VrrpInstance) -> tuple[VirtualMac, ...]:
    """Those with a virtual MAC that the instance needs."""
    return (*(() if config.vmac is None else (config.vmac,)), *config.address_vmacs)


def names(config: VrrpInstance) -> frozenset[str]:
    """Of those with a virtual MAC that the instance needs."""
    return frozenset(each.name for each in interfaces(config))


def made(config: VrrpInstance) -> tuple[Made, ...]:
    """All interfaces that are made for the instance."""
    own = () if config.ipvlan is None else (config.ipvlan,)
    return (*own, *interfaces(config))


class Ear:
    """Where an instance speaks and hears.

    While a virtual MAC is up, the kernel hands what comes from another router with the same one to no other
    interface, and a copy of everybody else's adverts; while it is down, it hears nothing. So a master listens
    there and a backup on the interface below, and never to both.
    """

    __slots__ = ("deaf_index", "vmac_index", "way_out")

    def __init__(self, endpoint: Endpoint) -> None:
        self.way_out = endpoint
        """Through which adverts leave."""
        self.vmac_index = 0
        """Of the interface with the virtual MAC; 0: there is none."""
        self.deaf_index = -1
        """Adverts that come there are heard on the other interface."""

    def take(self, instance: Instance, link: Link | None) -> None:
        """The interface with the virtual MAC as it is now, and the instance's own."""
        config = instance.config
        self.vmac_index = 0 if link is None else link.index
        speaks = bool(self.vmac_index) and not config.vmac_xmit_base
        self.way_out = Endpoint(self.vmac_index, config.family) if speaks else instance.endpoint
        self.listen(instance, master=instance.state is VrrpState.MASTER)

    def listen(self, instance: Instance, *, master: bool) -> None:
        """The virtual MAC goes up or down."""
        self.deaf_index = (instance.interface_index if master else self.vmac_index) if self.vmac_index else -1


class VirtualInterfaces:
    """The node's: makes interfaces and removes them."""

    def __init__(self, turn: Turn, instances: Mapping[str, Instance], node: str) -> None:
        self._turn = turn
        self._instances = instances
        self._mark = f"keepbus {node}".strip()
        self._asked: set[tuple[Made, int]] = set()
        """With the index of the interface below: not to be asked for again while nothing changes."""
        self._refused: dict[str, str] = {}

    def make(self, section: VrrpSection | None) -> bool:
        """Ask for what is missing; True when that was done, KernelRead will tell the outcome."""
        requests: list[Request] = []
        for wanted in () if section is None else _of(section):
            lower = self._turn.links.by_name(wanted.interface)
            there = self._turn.links.by_name(wanted.name)
            key = wanted, lower.index if lower is not None else 0
            if lower is None or (there is not None and not self._fault(wanted, there)):
                self._asked.discard(key)
            elif key not in self._asked and (there is None or self._is_ours(there)):
                self._asked.add(key)
                self._refused.pop(wanted.name, None)
                requests += self._requests(wanted, lower)
        if requests:
            self._turn.effects += (Ask(HOLDER, tuple(requests)), ReadKernel())
        return bool(requests)

    def sweep(self, section: VrrpSection | None = None) -> None:
        """Remove those with our mark that are not wanted."""
        wanted = {each.name for each in _of(section)} if section is not None else set()
        for link in [each for each in self._turn.links.all() if self._is_ours(each)]:
            if link.name not in wanted:
                request = Request(link.name, link_codec.delete(link.index), _GONE)
                self._turn.effects.append(Ask(HOLDER, (request,)))
                self._turn.links.drop(link.index)

    def refuse(self, name: str, error: str) -> None:
        """The kernel said no."""
        self._refused[name] = error

    def faults(self, config: VrrpInstance) -> Iterator[str]:
        """What the instance lacks, a sentence each."""
        for wanted in made(config):
            link = self._turn.links.by_name(wanted.name)
            if link is not None:
                why = self._fault(wanted, link)
                if why:
                    keyword = "use_ipvlan" if isinstance(wanted, Ipvlan) else "use_vmac"
                    yield f"interface {wanted.name} {why}; delete it, or give `{keyword}` another name"
            elif wanted.name in self._refused:
                error = self._refused[wanted.name]
                if isinstance(wanted, Ipvlan):
                    error = ipvlan.refusal(wanted, error)
                yield f"interface {wanted.name} could not be made: {error}"
            else:
                yield f"interface {wanted.name} does not exist"

    def look(self) -> None:
        """Put right what another program switched."""
        for instance in self._instances.values():
            ipvlan.look(self._turn, instance.config, HOLDER)
            if instance.config.vmac is None and not instance.config.address_vmacs:
                continue
            wanted = instance.state is VrrpState.MASTER
            for name in names(instance.config):
                link = self._turn.links.by_name(name)
                if link is None or link.admin_up is wanted or instance.state is VrrpState.INIT:
                    continue
                word = "up" if link.admin_up else "down"
                text = f"{instance.config.name}: another program set {name} {word}; it is put right"
                self._turn.telling.say(Log("warning", text))
                switch(instance, up=wanted)
                if wanted:
                    # IPv6 addresses and routes went with it.
                    addresses = instance.installable(instance.all_addresses)
                    octets = tuple(each.address for each in addresses)
                    self._turn.effects.append(
                        Install(instance.key, addresses, instance.terms.valid_s, octets)
                    )
                    instance.held.again()

    def _requests(self, wanted: Made, lower: Link) -> Iterator[Request]:
        """Whatever of ours is in the way goes first: one of this name, or one with this MAC address."""
        mac = b"" if isinstance(wanted, Ipvlan) else octets(wanted)
        for link in self._turn.links.all():
            if self._is_ours(link) and (
                link.name == wanted.name or (link.mac, link.make.lower) == (mac, lower.index)
            ):
                yield Request(link.name, link_codec.delete(link.index), _GONE)
        group = lower.make.group if wanted.group is None else wanted.group
        if isinstance(wanted, Ipvlan):
            create = ipvlan.create(wanted, lower.index, group)
        else:
            create = link_codec.create(wanted.name, lower.index, mac, group)
        yield Request(wanted.name, create, (errno.EEXIST,))
        adorn = link_codec.adorn(wanted.name, self._mark, lives=isinstance(wanted, Ipvlan))
        yield Request(wanted.name, adorn, _GONE)
        master = self._turn.links.by_index(lower.make.master)
        if master is not None and master.make.kind == VRF:
            yield Request(wanted.name, link_codec.enslave(wanted.name, master.index), _GONE)

    def _fault(self, wanted: Made, link: Link) -> str:
        """Why the interface of that name is not the one; empty when it is."""
        lower = self._turn.links.by_name(wanted.interface)
        if isinstance(wanted, Ipvlan):
            why = ipvlan.fault(wanted, link)
        else:
            is_private = link.make.kind == MACVLAN and link.make.mode == MODE_PRIVATE
            why = "" if is_private else "is there and no macvlan in private mode"
        if not why and lower is not None and link.make.lower != lower.index:
            why = f"is not on {wanted.interface}"
        if not why and isinstance(wanted, VirtualMac) and link.mac != octets(wanted):
            why = f"has not the MAC address {wanted.mac}"
        return why

    def _is_ours(self, link: Link) -> bool:
        return link.make.kind in (MACVLAN, IPVLAN) and link.make.alias == self._mark


def switch(instance: Instance, *, up: bool) -> None:
    """Set the instance's interfaces up or down; those that are not there are left out."""
    turn = instance.turn
    instance.ear.listen(instance, master=up)
    requests = []
    for vmac in interfaces(instance.config):
        link = turn.links.by_name(vmac.name)
        if link is not None:
            link.admin_up = up  # own doings are not told by the kernel
            request = link_codec.switch(link.index, up=up)
            requests.append(Request(f"{vmac.name} {'up' if up else 'down'}", request, _GONE))
    if requests:
        turn.effects.append(Ask(instance.key, tuple(requests)))


def octets(vmac: VirtualMac) -> bytes:
    """Its MAC address."""
    return bytes.fromhex(vmac.mac.replace(":", ""))


def sysctls(section: VrrpSection, links: Links) -> dict[str, str]:
    """The kernel settings that interfaces and those below need, path below /proc/sys to value.

    The card must neither answer for addresses of the interface on it nor ask in their name, which would teach
    others its own MAC address (K2; keepalived leaves out arp_announce), and IPv6 makes no address of its own
    from a virtual MAC (S11); that is turned off where nothing of IPv6 is installed.
    """
    wanted = ipvlan.sysctls(section)
    for config in section.instances:
        every = config.virtual_addresses + config.virtual_addresses_excluded
        for vmac in interfaces(config):
            lower = links.by_name(vmac.interface)
            if lower is None:
                continue
            has6 = any(family.of(family.pack(each.address)) is family.IPV6 for each in every)
            own, below = f"net/ipv4/conf/{vmac.name}", f"net/ipv4/conf/{vmac.interface}"
            wanted |= {
                f"{own}/arp_ignore": "1",
                f"{own}/accept_local": "1",
                f"{own}/rp_filter": "0",
                f"{own}/promote_secondaries": "1",
                f"{below}/arp_ignore": "1",
                f"{below}/arp_filter": "1",
                f"{below}/arp_announce": "2",
            }
            own6 = f"net/ipv6/conf/{vmac.name}"
            if config.family is AddressFamily.IPV6 or has6:
                wanted |= {f"{own6}/accept_ra": "0", f"{own6}/autoconf": "0"}
            else:
                wanted[f"{own6}/disable_ipv6"] = "1"
    if wanted:
        wanted["net/ipv4/conf/all/rp_filter"] = "0"
    return wanted


def _of(section: VrrpSection) -> Iterable[Made]:
    return (wanted for config in section.instances for wanted in made(config))
