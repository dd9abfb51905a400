"""ipvlans of instances (features 6.5): interfaces with addresses of their own and the card's MAC address.

Law of this file: an ipvlan is up whoever is master. What it says bears the card's MAC address, so that no
switch learns anything from it, and adverts are sent and heard there.
"""

from __future__ import annotations

import dataclasses

from keepbus.config.model.vrrp import Ipvlan, IpvlanFlag, Statics, VrrpInstance, VrrpSection
from keepbus.runtime.machine import Log
from keepbus_vrrp import link_codec
from keepbus_vrrp.effects import Ask, Request
from keepbus_vrrp.link_codec import IPVLAN, MODE_L2
from keepbus_vrrp.links import Link
from keepbus_vrrp.turn import Turn

_FLAGS = {IpvlanFlag.BRIDGE: 0, IpvlanFlag.PRIVATE: 1, IpvlanFlag.VEPA: 2}
_UNKNOWN_KIND = "Operation not supported"


def create(ipvlan: Ipvlan, lower: int, group: int) -> bytes:
    """The octets that make it on the interface with the index `lower`."""
    return link_codec.create_ipvlan(ipvlan.name, lower, _FLAGS[ipvlan.flag], group)


def fault(ipvlan: Ipvlan, link: Link) -> str:
    """Why the interface of that name is not the one; empty when it is."""
    if link.make.kind != IPVLAN or link.make.mode != MODE_L2:
        return "is there and no ipvlan in mode l2"
    if link.make.flags != _FLAGS[ipvlan.flag]:
        return f"is not of mode {ipvlan.flag}"
    return ""


def refusal(ipvlan: Ipvlan, error: str) -> str:
    """What it means that the kernel refuses to make one."""
    if error == _UNKNOWN_KIND:
        return "this kernel has no ipvlan; load its module, or write `use_vmac` instead of `use_ipvlan`"
    return error


def look(turn: Turn, config: VrrpInstance, holder: str) -> None:
    """Put up again what another program set down."""
    link = None if config.ipvlan is None else turn.links.by_name(config.ipvlan.name)
    if link is None or link.admin_up:
        return
    link.admin_up = True  # own doings are not told by the kernel
    turn.telling.say(Log("warning", f"{config.name}: another program set {link.name} down; it is put right"))
    request = Request(f"{link.name} up", link_codec.switch(link.index, up=True), ())
    turn.effects.append(Ask(holder, (request,)))


def sysctls(section: VrrpSection) -> dict[str, str]:
    """The kernel settings that they need, path below /proc/sys to value: the route to who speaks to an ipvlan
    goes through the card."""
    return {
        f"net/ipv4/conf/{each.ipvlan.name}/{name}": value
        for each in section.instances
        if each.ipvlan is not None
        for name, value in (("rp_filter", "0"), ("promote_secondaries", "1"))
    }


def statics(section: VrrpSection) -> Statics:
    """The static objects, and the ipvlans' own addresses with them."""
    own = (each.ipvlan.address for each in section.instances if each.ipvlan is not None)
    addresses = (*section.statics.addresses, *(address for address in own if address is not None))
    return dataclasses.replace(section.statics, addresses=addresses)
