"""Virtual routers that another node on this host runs: they are left out, or both would fight for ever.

Law of this file: two nodes in one network namespace never hear each other's adverts (no multicast comes back
to its host), and each takes the other's addresses for left-overs. So the kernel is asked who was first, and
nothing of a router that another one has is touched: no interface, no address. When it is free it begins here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping

from keepbus.config.model.vrrp import VrrpInstance, VrrpSection
from keepbus.contracts import vrrp as contracts
from keepbus.contracts.message import quote
from keepbus.runtime.machine import Log, Withdraw
from keepbus_vrrp import record
from keepbus_vrrp.effects import Occupy
from keepbus_vrrp.events import Memory, Occupied
from keepbus_vrrp.instance import key_of
from keepbus_vrrp.timers import Timer
from keepbus_vrrp.turn import Turn

_AGAIN_NS = 1_000_000_000


class Occupancy:
    """Of all virtual routers of the configuration."""

    def __init__(self, turn: Turn, changed: Callable[[], None]) -> None:
        """changed: called when other routers are left out than before."""
        self._turn = turn
        self._changed = changed
        self._configs: Mapping[str, VrrpInstance] = {}
        self._taken: dict[str, int] = {}
        self._timer = Timer(self._ask)
        self.left_out: tuple[str, ...] = ()
        """A sentence each."""

    def configure(self, section: VrrpSection) -> None:
        """Ask for the routers of a configuration."""
        self._configs = {key_of(config): config for config in section.instances}
        self._taken = {key: pid for key, pid in self._taken.items() if key in self._configs}
        self._tell()
        self._turn.effects.append(Occupy(tuple(self._configs)))

    def allowed(self, section: VrrpSection) -> VrrpSection:
        """The configuration without what another node has."""
        if not self._taken:
            return section
        free = tuple(config for config in section.instances if key_of(config) not in self._taken)
        return dataclasses.replace(section, instances=free)

    def ours(self, memories: Iterable[Memory]) -> tuple[Memory, ...]:
        """What earlier processes left, without what is another node's now."""
        if not self._taken:
            return tuple(memories)
        return tuple(
            memory
            for memory in memories
            if (found := record.load(memory[0])) is None or found.key not in self._taken
        )

    def occupied(self, event: Occupied) -> None:
        """The answer."""
        turn, before = self._turn, self._taken
        self._taken = {key: pid for key, pid in event.taken if key in self._configs}
        if self._taken:
            turn.timers.arm(self._timer, turn.now_ns + _AGAIN_NS)
        self._tell()
        for key in self._taken.keys() - before.keys():
            turn.effects.append(Log("error", _sentence(self._configs[key], self._taken[key])))
            for cls in (contracts.Instance, contracts.Statistics):
                turn.telling.say(Withdraw(f"{cls.TOPIC}/{quote(self._configs[key].name)}"))
        for key in before.keys() - self._taken.keys():
            turn.effects.append(Log("info", f"{self._configs[key].name}: no other node has it any more"))
        if before.keys() != self._taken.keys():
            self._changed()

    def _ask(self, _at_ns: int) -> None:
        self._turn.effects.append(Occupy(tuple(self._configs)))

    def _tell(self) -> None:
        self.left_out = tuple(_sentence(self._configs[key], pid) for key, pid in self._taken.items())


def _sentence(config: VrrpInstance, pid: int) -> str:
    who = f"process {pid}" if pid else "another process"
    return (
        f"{config.name} is left out: {who} of another node on this host has virtual router "
        f"{config.virtual_router_id} on {config.interface} already; stop that node, or give one of the two "
        "another virtual_router_id or interface"
    )
