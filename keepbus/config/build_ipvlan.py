"""`use_ipvlan` to the model (features 6.5).

An instance with an ipvlan is one whose interface is the ipvlan: there are its adverts, its own address and
the virtual ones. Names are given as those of interfaces with a virtual MAC.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from keepbus.config.build_transport import family_of
from keepbus.config.build_vmac import free_name
from keepbus.config.diagnostics import Findings
from keepbus.config.model.vrrp import AddressFamily, Ipvlan, IpvlanFlag, VirtualAddress
from keepbus.config.vmac_values import IpvlanWords

if TYPE_CHECKING:
    from keepbus.config.build_vrrp import Draft

_NODAD = 0x2


def place_on_ipvlans(
    findings: Findings, drafts: Iterable[Draft], defaults: Mapping[str, Any], taken: set[str]
) -> None:
    """Give the instances their ipvlans. taken: names of interfaces, to which those given are added."""
    flags: dict[str, IpvlanFlag] = {}
    for draft in drafts:
        if "ipvlan" in draft.fields.values and _is_alone(findings, draft):
            _place(findings, draft, defaults, taken, flags)


def _is_alone(findings: Findings, draft: Draft) -> bool:
    if "vmac" not in draft.fields.values:
        return True
    text = "an instance has either `use_vmac` or `use_ipvlan`; `use_ipvlan` is ignored"
    advice = "take one of them out"
    findings.error("two-interfaces", text, draft.fields.where("ipvlan"), advice=advice, lenient=True)
    return False


def _place(
    findings: Findings,
    draft: Draft,
    defaults: Mapping[str, Any],
    taken: set[str],
    flags: dict[str, IpvlanFlag],
) -> None:
    instance, where = draft.instance, draft.fields.where("ipvlan")
    words: IpvlanWords = draft.fields.get("ipvlan")
    first = flags.setdefault(instance.interface, words.flag)
    if first is not words.flag:
        text = f"all ipvlans on {instance.interface} are of one mode, and an earlier one is `{first}`"
        findings.error("two-modes", text, where, advice=f"write `{first}`")
    own = words.address
    if own and family_of(own) is not instance.family:
        text = f"{own} can't be the source of {instance.family} adverts; it is ignored"
        findings.error("other-family", text, where, lenient=True)
        own = ""
    if not own and instance.family is AddressFamily.IPV4:
        text = f"`use_ipvlan` of an IPv4 instance needs an address; {instance.name} would stay in FAULT"
        advice = "write `use_ipvlan ADDRESS/LENGTH`, with an address of this node's own"
        findings.error("missing-address", text, where, advice=advice, lenient=True)
    name = words.name or free_name(findings, instance, defaults, taken, where)
    flag = 0 if instance.family is AddressFamily.IPV4 else _NODAD
    ipvlan = Ipvlan(
        name=name,
        interface=instance.interface,
        address=VirtualAddress(address=own, prefix=words.prefix, interface=name, flags=flag) if own else None,
        flag=words.flag,
        group=words.group,
    )

    def moved(address: VirtualAddress) -> VirtualAddress:
        here = address.interface == ipvlan.interface
        return dataclasses.replace(address, interface=ipvlan.name) if here else address

    draft.addresses[:] = [(moved(address), line) for address, line in draft.addresses]
    draft.instance = dataclasses.replace(
        instance,
        interface=ipvlan.name,
        ipvlan=ipvlan,
        mcast_src_ip=instance.mcast_src_ip or own,
        virtual_addresses=tuple(map(moved, instance.virtual_addresses)),
        virtual_addresses_excluded=tuple(map(moved, instance.virtual_addresses_excluded)),
    )
