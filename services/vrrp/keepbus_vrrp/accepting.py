"""Accept mode off: packets to and from the addresses are dropped (features 6.4; conformance K4 to K7).

Law of this file: the rules stand as long as a configuration wants them, whoever is master. So they are there
before an address is installed and after it is gone, and no transition waits for them.
"""

from __future__ import annotations

from keepbus.config.model.vrrp import VrrpInstance, VrrpSection
from keepbus.runtime.machine import Log
from keepbus_vrrp.effects import Deny
from keepbus_vrrp.family import pack
from keepbus_vrrp.ipv6 import is_link_local
from keepbus_vrrp.turn import Turn

_IPV6_OCTETS = 16


class Accepting:
    """The node's."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._section = VrrpSection()
        self._asked: Deny | None = None
        """None: what an earlier process left is not known."""

    def prepare(self, section: VrrpSection) -> None:
        """Before instances change: what is dropped now, and what will be."""
        self._ask(section, (*self._section.instances, *section.instances))

    def settle(self, section: VrrpSection) -> None:
        """Instances are those of the section."""
        self._section = section
        self._ask(section, section.instances)

    def changed(self, error: str) -> None:
        """The kernel made the rules, or did not."""
        if error:
            text = f"packets to addresses with `no_accept` or `strict_mode` are not dropped: {error}"
            self._turn.effects.append(Log("error", text))

    def _ask(self, section: VrrpSection, instances: tuple[VrrpInstance, ...]) -> None:
        addresses, link_local = set(), set()
        for config in instances:
            if config.accept:
                continue
            for each in config.virtual_addresses + config.virtual_addresses_excluded:
                octets = pack(each.address)
                if len(octets) == _IPV6_OCTETS and is_link_local(octets):
                    link_local.add((octets, each.interface))
                else:
                    addresses.add(octets)
        wanted = Deny(
            section.nftables,
            section.nftables_priority,
            section.nftables_counters,
            tuple(sorted(addresses)),
            tuple(sorted(link_local)),
        )
        if wanted != self._asked:
            self._asked = wanted
            self._turn.effects.append(wanted)
