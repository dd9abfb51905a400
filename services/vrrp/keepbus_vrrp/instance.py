"""One virtual router.

Law of this file: `state` is written by `become_master`, `become_backup`, `become_fault`, `become_stop` and
`resume` and by nothing else, and each of them does all that belongs to the state: adverts, addresses,
announcements, timers, record, publication, in this order. What leads to a state is decided elsewhere
(election.py for adverts, machine.py for interfaces, configuration and stop); whoever decides hands over the
cause as a sentence. The instance's sync group is told last, and moves the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from keepbus.config.model.vrrp import FOREVER_S, VirtualAddress, VrrpInstance
from keepbus.contracts.vrrp import VrrpState
from keepbus.runtime.machine import Log
from keepbus_vrrp import accession, confirmation, publication, refreshing, takeover, tracking, vmac
from keepbus_vrrp.adverts import Adverts
from keepbus_vrrp.announce import Announcer, Frame, announce_source, frames
from keepbus_vrrp.counters import Counters
from keepbus_vrrp.disagreement import Disagreements
from keepbus_vrrp.effects import Advertise, Count, Endpoint, Install, Remember
from keepbus_vrrp.holdings import Holdings
from keepbus_vrrp.lease import Lease, outlived, step_down
from keepbus_vrrp.netlink import Address
from keepbus_vrrp.owners import LOWERED_PRIORITY, Rivalry
from keepbus_vrrp.rivals import Rivals
from keepbus_vrrp.series import Series
from keepbus_vrrp.terms import Terms
from keepbus_vrrp.timers import (
    LEAST_PRIORITY,
    NS_PER_US,
    OWNER_PRIORITY,
    Timer,
    master_down_interval_us,
    skew_time_us,
)
from keepbus_vrrp.turn import Turn

if TYPE_CHECKING:
    from keepbus_vrrp.claims import Seen
    from keepbus_vrrp.group import Group

_STEPS_PER_INTERVAL = 20
"""Adverts that are due so close to each other fall into step, once; then they keep their interval."""


def key_of(config: VrrpInstance) -> str:
    """Identity of a virtual router (S10): a reload matches by this, not by name."""
    return f"{config.interface}/{config.family}/{config.virtual_router_id}"


class Instance(Series):
    """A virtual router with its timers. Adverts that were checked come in through election.py."""

    def __init__(self, config: VrrpInstance, turn: Turn, *, lease: bool, life: str) -> None:
        super().__init__(turn, life)
        self.key = key_of(config)
        self.group: Group | None = None
        """Its sync group; set by group.Groups."""
        self.wishes_master = False
        """It would be MASTER by itself, and waits for its group only."""
        self.faults: tuple[str, ...] = ()
        self.endpoint = Endpoint(0, config.family)
        self.ear = vmac.Ear(self.endpoint)
        self.source = b""
        self.mtu = 0
        """Of the interface; 0 while it was never there."""
        self.holds_addresses = False
        self.held = Holdings(turn, self.key, self.publish)
        """Routes and rules."""
        self.failed: set[bytes] = set()
        """Addresses that the kernel refused."""
        self.refused_before: set[bytes] = set()
        """Those that it was asked for again since."""
        self.kept: dict[bytes, str] = {}
        """Addresses that the kernel does not let go, with its reason (removals.py)."""
        self.claims: dict[tuple[bytes, bytes], Seen] = {}
        """Other hosts that say that they have an address: by address and MAC address (claims.py)."""
        self.retry_at_ns = 0
        """Not before then it is asked again."""
        self.tracking = tracking.Tracking()
        self.lease = Lease()
        self.adverts = Adverts()
        self.rivals = Rivals(self)
        self.demoted = False
        """By command (demotion.py)."""
        self.timer = Timer(self._on_timer)
        self.announcer = Announcer(turn, self._frames)
        # Election, written by election.py.
        self.master_interval_us = config.advert_interval_us
        self.master_source = b""
        self.master_priority = 0
        self.last_advert_at_ns = 0
        self.familiar = b""
        """The last accepted advert from its source address on; an equal one has passed every check."""
        self.familiar_ttl = 0
        self.wait_us = 0
        """What the running timer of a backup was started with."""
        self.wait_cause = ""
        """Why a backup waits, if not simply for the next advert."""
        self.accession = accession.Accession()
        self.preempt_at_ns = 0
        self.passed_over_at_ns = 0
        """Of the last advert that was worse than ours, while the timer ran on (B5)."""
        self.last_correction_at_ns = 0
        self.rivalry = Rivalry()
        self.counters = Counters()
        self.disagreements = Disagreements()
        self.configure(config, lease=lease)

    def configure(self, config: VrrpInstance, *, lease: bool) -> None:
        """Take a configuration; what runs goes on."""
        self.config = config
        self.leases = lease
        self.terms = Terms(config, lease=lease, mtu=self.mtu)
        self.adverts.configure(self.terms)
        if self.terms.left_out:
            text = f"{config.name}: not in adverts, because the MTU leaves no room: {self.terms.left_out}"
            self.turn.effects.append(Log("error", text))
        if config.version == 2 or self.state is not VrrpState.BACKUP:
            self.master_interval_us = self.terms.interval_us
        self.tracking.weigh(config, self.turn)
        self.derive()

    def derive(self) -> None:
        """Compile what depends on configuration, source address and checksum form."""
        self.familiar = b""
        self.adverts.forget()
        self.expected = self.terms.expected(self.source, self.master_source, self.adverts.guard)

    @property
    def effective_priority(self) -> int:
        """What the instance advertises (P4); lowered while it yields to another owner."""
        if self.demoted:
            return LEAST_PRIORITY
        return LOWERED_PRIORITY if self.rivalry.lowered else self.tracking.priority

    @property
    def is_owner(self) -> bool:
        """Priority 255 (P1)."""
        return self.config.priority == OWNER_PRIORITY and not self.demoted

    @property
    def is_leased(self) -> bool:
        """The kernel ends what this router holds when it does not advertise any more."""
        return self.terms.leased or (bool(self.terms.gated) and not self.turn.guarding.error)

    @property
    def all_addresses(self) -> tuple[VirtualAddress, ...]:
        """Advertised addresses, then those left out of adverts."""
        return self.config.virtual_addresses + self.config.virtual_addresses_excluded

    @property
    def master_down_interval_us(self) -> int:
        """T2, T4, with the priority of now (T6)."""
        return master_down_interval_us(
            self.config.version,
            self.effective_priority,
            self.master_interval_us,
            self.config.down_timer_adverts,
        )

    @property
    def skew_time_us(self) -> int:
        """T1, T3."""
        return skew_time_us(self.config.version, self.effective_priority, self.master_interval_us)

    @property
    def least_skew_us(self) -> int:
        """T5."""
        return skew_time_us(self.config.version, OWNER_PRIORITY, self.master_interval_us)

    @property
    def rejoin_wait_us(self) -> int:
        """How long a backup waits that was in FAULT."""
        return self.skew_time_us if self.is_owner else self.master_down_interval_us

    @property
    def interface_index(self) -> int:
        """Of the interface; 0 while it was never there."""
        return self.endpoint.interface_index

    def take_source(self, endpoint: Endpoint, source: bytes) -> None:
        """Use this interface and address from now on (M12)."""
        if (endpoint, source) != (self.endpoint, self.source):
            self.endpoint = endpoint
            self.source = source
            self.derive()

    def take_mtu(self, mtu: int) -> None:
        """Adverts are never fragmented (F10): what does not fit at the beginning is left out of them. A lower
        MTU later is a fault (R-F55), because others have heard the longer list."""
        known = self.mtu if self.state is not VrrpState.INIT else 0
        changed, self.mtu = mtu != self.mtu, mtu
        if changed and not known:
            self.configure(self.config, lease=self.leases)

    def take_master(self, source: bytes, priority: int) -> bool:
        """Remember who is master; True when it is news."""
        if (source, priority) == (self.master_source, self.master_priority):
            return False
        self.master_source, self.master_priority = source, priority
        if self.config.skip_check_adv_addr:
            self.derive()
        return True

    def take_checksum_form(self, message_sum: bool) -> None:
        """Send v3 checksums in the form that the master uses, if none is configured (C5)."""
        if message_sum != self.adverts.message_sum and self.terms.message_sum is None:
            form = "the message alone (RFC 9568)" if message_sum else "pseudo-header and message (RFC 5798)"
            text = f"{self.config.name}: checksums over {form} from now on, as the master's are"
            self.turn.effects.append(Log("info", text))
            self.adverts.message_sum = message_sum
            self.derive()
            self.publish()

    # States

    def become_master(self, cause: str, inputs: dict[str, str]) -> None:
        """Advert, addresses, then (when the kernel has confirmed them) announcements (M14)."""
        self.rivalry.end(self)
        self.accession = accession.of(self)
        self._transition(VrrpState.MASTER, cause, inputs)
        self.state = VrrpState.MASTER
        self._reign()
        self.counters.became_master += 1
        self.failed.clear()
        self.refused_before.clear()
        self.advertise(confirm=True)
        self.held.hold_of(self.config)
        self.turn.timers.arm_renewal(self.timer, self.turn.now_ns + self.terms.interval_us * NS_PER_US)
        self._tell()

    def become_backup(
        self, cause: str, wait_us: int, inputs: dict[str, str], *, wait_cause: str = "", release: bool = False
    ) -> None:
        """Take the addresses off and wait wait_us for an advert. release: tell the others by priority 0."""
        self._leave_master(release=release)
        if self.terms.unicast and self.state in (VrrpState.INIT, VrrpState.FAULT):
            announce_source(self.turn, self.interface_index, self.source)
        self._transition(VrrpState.BACKUP, cause, inputs)
        self.state = VrrpState.BACKUP
        self.wishes_master = False
        self.preempt_at_ns = 0
        if self.master_source == self.source:
            self.take_master(b"", 0)
        self.wait(wait_us, self.turn.now_ns, wait_cause)
        self._tell(release=release)

    def become_fault(self, cause: str) -> None:
        """Something that the instance needs is missing; it takes no part (M11, B9)."""
        self._leave_master(release=True)
        self._transition(VrrpState.FAULT, cause, {"faults": "; ".join(self.faults)} if self.faults else {})
        self.state = VrrpState.FAULT
        self.wishes_master = False
        self.master_interval_us = self.terms.interval_us
        self.take_master(b"", 0)
        self.turn.timers.cancel(self.timer)
        self._tell()

    def become_stop(
        self, cause: str, *, keep_addresses: bool = False, state: VrrpState = VrrpState.STOP
    ) -> None:
        """The end (M1, B1); state: STOP, or DELETED by a reload."""
        if keep_addresses and self.state is VrrpState.MASTER:
            # Nobody will renew their lease.
            self.turn.effects.append(Install(self.key, self.installable(self.all_addresses), FOREVER_S))
        self._leave_master(release=True, keep_addresses=keep_addresses)
        self._transition(state, cause, {})
        self.state = state
        self.take_master(b"", 0)
        self.turn.timers.cancel(self.timer)
        self._tell()

    def resume(self, lease_end_ns: int) -> None:
        """Go on as the master that an earlier process of this node was, with its lease: no transition."""
        self.state = VrrpState.MASTER
        self.entered_at_ns = self.turn.now_ns
        self.holds_addresses = True
        self._reign(lease_end_ns)
        self.advertise(confirm=True)
        self.held.hold_of(self.config)
        self.turn.timers.arm_renewal(self.timer, self.turn.now_ns + self.terms.interval_us * NS_PER_US)
        self.remember()
        self.publish()

    # Master

    def advertise(self, *, confirm: bool = False) -> None:
        """Send an advert; with it goes the renewal of the lease."""
        turn = self.turn
        if self.failed and not confirm:
            confirmation.retry(self)
        not_after_ns = self.lease.renew(turn.now_ns, self.terms)
        self.counters.adverts_sent += 1
        install = confirm or self.terms.leased
        if self.terms.gated:
            turn.guarding.renew(self.lease, self.terms, turn.now_ns, at_once=confirm)
        turn.effects.append(
            Advertise(
                self.key,
                self.ear.way_out,
                self.adverts.of(self.effective_priority, self.source, turn.wall_ns),
                self.installable(self.all_addresses) if install else (),
                self.terms.valid_s,
                self.lease.end_ns,
                not_after_ns,
                confirm,
            )
        )

    def installable(self, addresses: tuple[VirtualAddress, ...]) -> tuple[Address, ...]:
        """The addresses with the interfaces of now; those whose interface is missing are left out."""
        return self.turn.links.resolve(addresses)

    def wait(self, wait_us: int, from_ns: int, cause: str = "") -> None:
        """Take over if nothing comes for wait_us after from_ns."""
        self.wait_us = wait_us
        self.wait_cause = cause
        self.passed_over_at_ns = 0
        self.turn.timers.arm(self.timer, from_ns + wait_us * NS_PER_US)

    def publish(self) -> None:
        """Put the state on the bus, as it is when its turn comes."""
        self.turn.telling.say_of(self, lambda: (publication.state(self),))

    def _on_timer(self, due_at_ns: int) -> None:
        turn = self.turn
        self.counters.late(max(turn.now_ns - due_at_ns, 0))
        if self.state is VrrpState.BACKUP:
            takeover.timer_expired(self)
        elif self.state is VrrpState.MASTER:
            if self.lease.error and outlived(self):
                step_down(self)
                return
            self.advertise()
            interval_ns = self.terms.interval_us * NS_PER_US
            # Who left early with others stays in step with them.
            next_at_ns = min(due_at_ns, turn.now_ns) + interval_ns
            if next_at_ns <= turn.now_ns:
                next_at_ns = turn.now_ns + interval_ns
            turn.timers.arm_renewal(self.timer, next_at_ns, early_ns=interval_ns // _STEPS_PER_INTERVAL)

    def _reign(self, lease_end_ns: int = 0) -> None:
        self.familiar = b""
        self.kept.clear()
        self.turn.effects += self.turn.guarding.unmute(*self.terms.gated)
        vmac.switch(self, up=True)
        self.master_interval_us = self.terms.interval_us  # L4
        self.take_master(self.source, self.effective_priority)
        self.last_correction_at_ns = 0
        self.lease.begin(self.turn.now_ns, self.terms, end_ns=lease_end_ns)
        if self.adverts.guard is not None:
            self.adverts.guard.reign()
        refreshing.begin(self)

    def _leave_master(self, *, release: bool, keep_addresses: bool = False) -> None:
        self.familiar = b""
        self.announcer.stop()
        if self.state is not VrrpState.MASTER:
            return
        self.counters.released_master += 1
        self.turn.timers.cancel(self.timer)
        self.turn.guarding.end(self.lease, self.turn.now_ns)
        self.lease.end()
        self.rivals.leave()
        self.claims.clear()
        if release:
            self.counters.priority_zero_sent += 1
            self.counters.adverts_sent += 1
            copies = self.adverts.of(0, self.source, self.turn.wall_ns)
            self.turn.effects.append(Advertise(self.key, self.ear.way_out, copies))
        if keep_addresses:
            self.held.forget()
        else:
            self.held.drop()
            self.turn.remove(self.key, self.turn.links.resolve(self.all_addresses, renamed=True))
            vmac.switch(self, up=False)
            self.holds_addresses = False

    def _tell(self, *, release: bool = False) -> None:
        """A transition is remembered before anybody hears of it, so that its number never repeats (N1)."""
        self.remember()
        self.turn.telling.say(*publication.transition(self))
        self.publish()
        if self.group is not None:
            self.group.moved(self, release=release)

    def remember(self) -> None:
        """Keep the record for a successor."""
        holds_lease = self.state is VrrpState.MASTER
        self.turn.effects.append(Remember(self.key, publication.record_of(self), holds_lease))
        self.turn.effects.append(Count(self.key, self.counters.kept()))

    def _frames(self, addresses: tuple[Address, ...] | None) -> list[Frame]:
        addresses = self.installable(self.all_addresses) if addresses is None else addresses
        refused = self.failed | self.refused_before
        return frames(self.turn, [each for each in addresses if each.address not in refused])
