"""Other people's routers on the simulated wire: three models, written from what they are known to do.

They share no rule with the machine under test. What they have in common is RFC 9568 section 6.4; how they
differ is a row of `KINDS`. None of them has a lease, none steps down after it was late, and on waking it
looks at its clock before it looks into its sockets, which is the worst that a router can do.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar, NamedTuple

from keepbus_vrrp import ipv4, packet
from vrrp_world import VIP, Told

from keepbus.config.model.vrrp import VrrpInstance
from keepbus.contracts.vrrp import Transition, VrrpState
from keepbus.testing.wire import Node, World

_GROUP = ipv4.pack("224.0.0.18")
_SOURCE, _FIRST, _PRIORITY, _INTERVAL = slice(12, 16), 20, 22, slice(24, 26)
_FOR_EVER = 1 << 62


class Kind(NamedTuple):
    """How a router differs from the others (conformance section 15, features chapters 5 and 15)."""

    granularity_us: int
    """Timers are cut down to a multiple of this."""
    answers_v2: bool
    """A worse master is answered with an advert at once, in version 2 as in version 3."""
    answers: bool
    stays_at_death: bool
    """The kernel keeps the address when the process is killed."""
    keeps_interval: bool
    """As master it goes on with the interval that it learned as backup."""
    advertises_on_reload: bool


KINDS = {
    "keepalived": Kind(1, True, True, True, True, True),
    "strict": Kind(1, False, True, False, False, False),
    "FRR": Kind(10_000, False, False, True, False, False),
}


class Peer(Node):
    """A router that is not ours."""

    ours: ClassVar[bool] = False
    instance: ClassVar[None] = None
    """It has nothing to look into."""

    def __init__(self, world: World, number: int, config: VrrpInstance, kind: str) -> None:
        super().__init__(world, f"router {number}")
        self.config = config
        self.kind = KINDS[kind]
        self.address = bytes((192, 0, 2, 10 + number))
        self.held_until_ns = 0
        self.link_up = True
        self.told: list[Told] = []
        self.heard: list[object] = []
        self.wrongs: list[str] = []
        self._runs = False
        self._state = VrrpState.INIT
        self._timer = 0
        """Number of the running timer; another one is void."""
        self._overdue = False
        self._waiting: list[bytes] = []
        self._master_interval_us = config.advert_interval_us
        self._preempts_at_ns = 0

    # What is done to it

    def boot(self) -> None:
        """What an earlier process left is removed; it listens first."""
        if self._runs:
            return
        self._runs, self.frozen, self._overdue = True, False, False
        self.held_until_ns = 0
        self._state = VrrpState.INIT
        self._waiting.clear()
        if self.link_up:
            self._become_backup(self._master_down_us())
        else:
            self._enter(VrrpState.FAULT)

    def crash(self) -> None:
        self._runs = False
        self._timer += 1
        if not self.kind.stays_at_death:
            self.held_until_ns = 0

    def thaw(self) -> None:
        """SIGCONT: the clock first, then what waits, then what happened to the link."""
        if not self.frozen:
            return
        self.frozen = False
        if not self._runs:
            return
        if self._overdue:
            self._overdue = False
            self._expired()
        waiting, self._waiting = self._waiting, []
        for octets in waiting:
            self._receive(octets)
        self._look_at_link()

    def stop(self) -> None:
        """SIGTERM."""
        if self._runs and not self.frozen:
            if self._state is VrrpState.MASTER:
                self._advertise(0)
            self._enter(VrrpState.STOP)
            self._runs = False
            self._timer += 1
            self.held_until_ns = 0

    def set_link(self, up: bool) -> None:
        self.link_up = up
        self._look_at_link()

    def reload(self, config: VrrpInstance) -> None:
        """Another priority counts at once; a running timer goes on."""
        self.config = config
        if self._works and self._state is VrrpState.MASTER and self.kind.advertises_on_reload:
            self._advertise(config.priority)

    def step_wall_clock(self, by_ns: int) -> None:
        """It has another clock."""

    # What can be seen of it

    def holds(self) -> bool:
        """True when the kernel has the address."""
        return self.held_until_ns > self.world.now_ns

    @property
    def state(self) -> VrrpState | None:
        """None while the process is dead."""
        return self._state if self._runs else None

    @property
    def works(self) -> bool:
        """A process that runs, with a link."""
        return self._works and self.link_up

    @property
    def _works(self) -> bool:
        return self._runs and not self.frozen

    # Its rules

    def arrive(self, octets: bytes) -> None:
        if self.frozen and self._runs and self.link_up:
            self._waiting.append(octets)
        elif self.works:
            self._receive(octets)

    def _receive(self, octets: bytes) -> None:
        version, priority, source = octets[_FIRST] >> 4, octets[_PRIORITY], octets[_SOURCE]
        interval_us = (
            octets[25] * 1_000_000
            if version == 2
            else (int.from_bytes(octets[_INTERVAL], "big") & 0xFFF) * 10_000
        )
        own = self.config
        if version != own.version or (version == 2 and interval_us != own.advert_interval_us):
            return
        if self._state is VrrpState.BACKUP:
            self._heard_as_backup(priority, interval_us)
        elif self._state is VrrpState.MASTER:
            self._heard_as_master(priority, source, interval_us)

    def _heard_as_backup(self, priority: int, interval_us: int) -> None:
        own, now_ns = self.config, self.clock_ns()
        if priority == 0:
            self._arm(self._skew_us())
            return
        if priority >= own.priority:
            self._preempts_at_ns = 0
        elif own.preempt_delay_us and not self._preempts_at_ns:
            self._preempts_at_ns = now_ns + own.preempt_delay_us * 1000
        if priority >= own.priority or own.nopreempt or now_ns < self._preempts_at_ns:
            self._master_interval_us = interval_us
            self._arm(self._master_down_us())

    def _heard_as_master(self, priority: int, source: bytes, interval_us: int) -> None:
        own = self.config
        if priority == 0:
            self._advertise(own.priority)
            self._arm(own.advert_interval_us)
        elif priority > own.priority or (priority == own.priority and source > self.address):
            self._master_interval_us = interval_us
            self._become_backup(self._master_down_us())
        elif self.kind.answers and (own.version == 3 or self.kind.answers_v2):
            self._advertise(own.priority)

    def _expired(self) -> None:
        if self._state is VrrpState.BACKUP:
            self._advertise(self.config.priority)
            self._enter(VrrpState.MASTER)
            self.held_until_ns = _FOR_EVER
            if not self.kind.keeps_interval:
                self._master_interval_us = self.config.advert_interval_us
            self._arm(self.config.advert_interval_us)
        elif self._state is VrrpState.MASTER:
            self._advertise(self.config.priority)
            self._arm(self.config.advert_interval_us)

    def _become_backup(self, wait_us: int) -> None:
        self.held_until_ns = 0
        self._preempts_at_ns = 0
        self._enter(VrrpState.BACKUP)
        self._arm(wait_us)

    def _look_at_link(self) -> None:
        if not self._works:
            return
        if not self.link_up and self._state in (VrrpState.BACKUP, VrrpState.MASTER):
            self.held_until_ns = 0
            self._timer += 1
            self._enter(VrrpState.FAULT)
        elif self.link_up and self._state is VrrpState.FAULT:
            self._master_interval_us = self.config.advert_interval_us
            self._become_backup(self._master_down_us())

    def _skew_us(self) -> int:
        scale_us = 1_000_000 if self.config.version == 2 else self._master_interval_us
        return self._cut((256 - self.config.priority) * scale_us // 256)

    def _master_down_us(self) -> int:
        return self._cut(3 * self._master_interval_us + self._skew_us())

    def _cut(self, duration_us: int) -> int:
        return duration_us // self.kind.granularity_us * self.kind.granularity_us

    def _arm(self, wait_us: int) -> None:
        self._timer += 1
        self.world.at(self.moment_ns(self.clock_ns() + wait_us * 1000), partial(self._due, self._timer))

    def _due(self, number: int) -> None:
        if number != self._timer or not self._runs:
            return
        if self.frozen:
            self._overdue = True
        else:
            self._expired()

    def _advertise(self, priority: int) -> None:
        if not self.link_up:
            return
        own = self.config
        message = packet.encode(
            version=own.version,
            virtual_router_id=own.virtual_router_id,
            priority=priority,
            interval_us=own.advert_interval_us,
            addresses=(VIP,),
            source=self.address,
            destination=_GROUP,
        )
        self.world.broadcast(self, ipv4.datagram(self.address, _GROUP, 255, message))

    def _enter(self, state: VrrpState) -> None:
        number = len(self.told) + 1
        change = Transition(
            number=number,
            from_state=self._state,
            to_state=state,
            at_ns=self.clock_ns(),
            cause="it is not ours",
            inputs={},
            priority=self.config.priority,
        )
        self.told.append(Told("peer", change, self.world.now_ns))
        self._state = state
