"""What the file expects of this host and the host has not: told before the node starts, never refused.

A missing interface may still come; its instances wait in FAULT until then. A mistyped one never comes.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from keepbus.config.model.configuration import Configuration


def interfaces() -> frozenset[str]:
    """Names of the interfaces of this network namespace, loopback left out."""
    from pyroute2 import IPRoute  # takes longer to import than everything else here

    with IPRoute() as route:
        names = (str(link.get("ifname")) for link in route.get_links())
        return frozenset(name for name in names if name != "lo")


def absent(configuration: Configuration, present: frozenset[str]) -> list[str]:
    """A sentence for each interface that the configuration names and the host has not."""
    return [
        f"there is no interface {name} here, which {', '.join(sorted(users))} needs; {_advice(name, present)}"
        for name, users in sorted(_named(configuration).items())
        if name not in present
    ]


def _named(configuration: Configuration) -> Mapping[str, set[str]]:
    """Interfaces by name, each with the instances that need it."""
    named: dict[str, set[str]] = {}
    for instance in configuration.vrrp.instances:
        addresses = (*instance.virtual_addresses, *instance.virtual_addresses_excluded)
        own = [each for each in (instance.ipvlan, instance.vmac, *instance.address_vmacs) if each]
        made = {each.name for each in own}
        below = (each.interface for each in own)
        for interface in (instance.interface, *below, *(address.interface for address in addresses)):
            if interface in made:
                continue
            named.setdefault(interface, set()).add(instance.name)
    return named


def _advice(name: str, present: frozenset[str]) -> str:
    close = difflib.get_close_matches(name, present, n=1)
    if close:
        return f"did you mean {close[0]}?"
    if not present:
        return "this network namespace has only lo"
    return f"there are {', '.join(sorted(present))}; it waits in FAULT until {name} comes"
