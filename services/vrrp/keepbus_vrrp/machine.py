"""The service's machine: all virtual routers of the node.

Law of this file: lateness first, news second, the clock last. A turn begins by stepping down every master
whose lease ran out unnoticed (R-L7), then takes the events in order, then fires what is due (T10, M15).
Instances are known by interface, family and virtual router id; what a reload does not change it does not
touch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from keepbus.config.model.vrrp import VrrpSection
from keepbus.contracts import vrrp as contracts
from keepbus.contracts.message import quote
from keepbus.contracts.vrrp import VrrpState
from keepbus.runtime.machine import (
    BusMessage,
    Configured,
    Effect,
    Event,
    Exit,
    StopRequested,
    Withdraw,
)
from keepbus_vrrp import (
    demotion,
    events,
    fitness,
    reload,
    start,
    strangers,
    telling,
    tracking,
    vmac,
)
from keepbus_vrrp.answers import Answers
from keepbus_vrrp.claims import Claims
from keepbus_vrrp.debounce import Debounce
from keepbus_vrrp.effects import Forget, Gather, ReadKernel, Recall
from keepbus_vrrp.group import Groups
from keepbus_vrrp.instance import Instance, key_of
from keepbus_vrrp.lease import outlived, step_down
from keepbus_vrrp.occupancy import Occupancy
from keepbus_vrrp.patience import patience_ns
from keepbus_vrrp.placement import Placement
from keepbus_vrrp.reception import Reception
from keepbus_vrrp.removals import Removals
from keepbus_vrrp.report import report
from keepbus_vrrp.start_delay import StartDelay
from keepbus_vrrp.statistics import Statistics
from keepbus_vrrp.timers import NEVER
from keepbus_vrrp.turn import Turn
from keepbus_vrrp.upkeep import Upkeep

_ANSWERS = (
    events.Installed,
    events.InstallFailed,
    events.Refused,
    events.Removed,
    events.TransmitFailed,
    events.TransmitRecovered,
)


class Machine:
    """See keepbus.runtime.machine.Machine."""

    def __init__(self, *, keep_addresses: bool = False, node: str = "") -> None:
        """keep_addresses: leave the virtual addresses in the kernel at the end; node: the node's name."""
        self._keep_addresses = keep_addresses
        self._turn = Turn()
        self._section: VrrpSection | None = None
        """Of what is given, that which no other node of the host has."""
        self._given = VrrpSection()
        self._kernel_known = False
        self._unapplied = False
        self._surroundings_changed = False
        self._cut_off: set[str] = set()
        """Interfaces that went down since the last look, whatever they are now."""
        self._stopped = False
        self.instances: dict[str, Instance] = {}
        self._groups = Groups(self._turn)
        self._debounce = Debounce(self._turn, self._look_at_all)
        self._vmacs = vmac.VirtualInterfaces(self._turn, self.instances, node)
        self._placement = Placement(self._turn, self._vmacs)
        self._reception = Reception(self._turn, self._placement)
        self._start_delay = StartDelay(self._turn, self._begin)
        self._reported_transitions = 0
        self._gather_ns = 0
        self._least_slack_ns = NEVER
        """No master's lease ends earlier than this after its timer was due."""
        self._upkeep = Upkeep(self._turn, self.instances, self._vmacs, self._report)
        self._claims = Claims(self._turn, self.instances)
        self._occupancy = Occupancy(self._turn, self._apply_what_is_free)
        self._statistics = Statistics(self._turn, self.instances)
        self._memories: tuple[events.Memory, ...] = ()
        self._handlers: dict[type, Callable[[Any], None]] = {
            Configured: self._on_configured,
            StopRequested: self._on_stop,
            BusMessage: self._on_bus_message,
            events.WallClock: self._on_wall_clock,
            events.Remembered: self._on_remembered,
            events.KernelRead: self._on_kernel_read,
            events.LinkChanged: self._on_link_changed,
            events.AddressChanged: self._on_address_changed,
            events.ForwardingChanged: self._on_forwarding_changed,
            events.Received: self._reception.receive,
            events.ListenFailed: self._on_listen_failed,
            events.Occupied: self._occupancy.occupied,
            **Answers(self.instances, self._upkeep.install_failed, self._say_report).handlers,
            **self._upkeep.handlers,
            **self._claims.handlers,
            **Removals(self._turn, self.instances).handlers,
        }

    def turn(self, now_ns: int, events_: Sequence[Event]) -> Iterable[Effect]:
        """One turn; raises for nothing that came from outside."""
        turn = self._turn
        turn.now_ns = now_ns
        effects = turn.effects = []
        timers = turn.timers
        answers = bool(events_) and type(events_[0]) in _ANSWERS
        next_at_ns = timers.next_renewal_at_ns()
        if next_at_ns is not None and now_ns - next_at_ns > self._least_slack_ns:
            self._step_down_late()
        if not answers:
            effects += turn.guarding.open(now_ns)
        for event in events_:
            self._handlers[type(event)](event)
        if self._surroundings_changed:
            self._surroundings_changed = False
            self._look_at_all()
        if self._upkeep.pending:
            self._upkeep.settle()
        # A turn of answers has the moment of the turn that asked: what fell due since is seen at the next
        # look, masters' adverts first. Else hundreds of takeovers would be one turn without a clock.
        if answers:
            effects[:0] = turn.guarding.open(now_ns)
        else:
            timers.fire(now_ns)
        if turn.telling or turn.other_pace or turn.transitions != self._reported_transitions:
            return chain(effects, self._after_the_wire())
        return effects

    def _after_the_wire(self) -> Iterator[Effect]:
        """What follows from a turn for others: made when its effects have been carried out, because the first
        advert of a new master is not to wait for it."""
        turn = self._turn
        if turn.transitions != self._reported_transitions and not self._stopped:
            self._reported_transitions = turn.transitions
            self._say_report()
            turn.other_pace = True
        if turn.other_pace:
            turn.other_pace = False
            yield from self._gather()
        if turn.telling:
            next_at_ns = turn.timers.next_at_ns()
            busy = next_at_ns is not None and next_at_ns <= turn.now_ns
            yield from turn.telling.take(1 if busy else telling.MOST_PER_TURN)

    def wake_at_ns(self) -> int | None:
        """When the first timer or the gate is due; at once when something is still to be told."""
        turn = self._turn
        if turn.telling:
            return turn.now_ns
        next_at_ns = turn.timers.next_at_ns()
        open_at_ns = turn.guarding.open_at_ns
        if open_at_ns == NEVER:
            return next_at_ns
        return open_at_ns if next_at_ns is None else min(next_at_ns, open_at_ns)

    def _step_down_late(self) -> None:
        for instance in self.instances.values():
            if outlived(instance):
                step_down(instance)

    # Interfaces and addresses

    def _on_kernel_read(self, event: events.KernelRead) -> None:
        self._turn.links.replace(event.links, event.addresses)
        self._kernel_known = True
        if self._unapplied:
            self._apply_when_made()
            return
        self._upkeep.kernel_read()
        self._surroundings_changed = True
        strangers.compare(self.instances.values())

    def _on_link_changed(self, event: events.LinkChanged) -> None:
        index = event.link.interface_index
        known = self._turn.links.by_index(index)
        before = "" if known is None or not known.up else known.name
        link = self._turn.links.change_link(event.link)
        if before and not (link is not None and link.up):
            self._cut_off.add(before)
        self._placement.link_changed(index, gone=event.link.gone)
        if link is not None and link.up and link.name != before:
            self._upkeep.link_up(link.name)
        self._surroundings_changed = True

    def _on_address_changed(self, event: events.AddressChanged) -> None:
        message = event.address
        self._turn.links.change_address(message)
        self._placement.address_changed(message.interface_index)
        self._upkeep.address_changed(message)
        self._surroundings_changed = True

    def _on_forwarding_changed(self, event: events.ForwardingChanged) -> None:
        self._turn.links.change_forwarding(event.forwarding)

    def _look_at_all(self) -> None:
        """Compare what instances need with what there is."""
        self._debounce.look()
        if not self._stopped and not self._unapplied:
            self._vmacs.make(self._section)
        self._placement.arrange(self.instances.values())
        for instance in self.instances.values():
            fitness.look_at(instance, self._placement)
            if instance.config.interface in self._cut_off:
                fitness.listen_anew(instance)
        self._cut_off.clear()
        self._vmacs.look()

    def _on_bus_message(self, event: BusMessage) -> None:
        if event.message.topic.startswith(demotion.TOPIC) and not self._stopped:
            demotion.obey(self.instances.values(), event.message, self._turn)
            return
        key = tracking.hear(event.message, self._turn)
        if key is not None and not self._stopped:
            for instance in self.instances.values():
                if any((track.kind, track.name) == key for track in instance.config.trackers):
                    fitness.look_at(instance, self._placement)

    def _on_listen_failed(self, event: events.ListenFailed) -> None:
        self._placement.listen_failed(event.endpoint, event.error)
        self._surroundings_changed = True

    # Configuration and the end

    def _on_configured(self, event: Configured) -> None:
        self._turn.wall_offset_ns = event.wall_ns - self._turn.now_ns
        self._given = event.section
        self._occupancy.configure(self._given)
        self._section = self._occupancy.allowed(self._given)
        self._unapplied = True
        if self._kernel_known:
            self._apply_when_made()
        else:
            self._turn.effects.extend((Recall(), ReadKernel()))

    def _apply_what_is_free(self) -> None:
        """Another node took a virtual router, or ended."""
        self._section = self._occupancy.allowed(self._given)
        if self._kernel_known and not self._stopped:
            self._unapplied = True
            self._apply_when_made()

    def _on_wall_clock(self, event: events.WallClock) -> None:
        self._turn.wall_offset_ns = event.offset_ns

    def _on_remembered(self, event: events.Remembered) -> None:
        self._turn.boot_id = event.boot_id
        self._memories = event.memories

    def _apply_when_made(self) -> None:
        """Interfaces come before the instances that need them; what cannot be made is a fault."""
        assert self._section is not None
        if not self._vmacs.make(self._section):
            self._unapplied = False
            self._apply(self._section)

    def _apply(self, section: VrrpSection) -> None:
        """Make the instances be those of the section."""
        self._turn.pacing.configure(section)
        self._debounce.configure(section)
        self._upkeep.prepare(section)
        wanted = {key_of(config): config for config in section.instances}
        names = {config.name for config in section.instances}
        for key, running in self.instances.items():
            if key in wanted and running.config.name not in names:
                self._withdraw(running.config.name)
        for key in [key for key in self.instances if key not in wanted]:
            self._drop(self.instances.pop(key))
        if any(config.trackers for config in section.instances):
            tracking.recall(self._memories, self._turn)
        fresh = []
        changed = []
        for key, config in wanted.items():
            instance = self.instances.get(key)
            if instance is None:
                life = f"{self._turn.wall_ns:x}"
                instance = Instance(config, self._turn, lease=section.address_lease, life=life)
                self.instances[key] = instance
                fresh.append(instance)
            elif instance.config != config or instance.leases != section.address_lease:
                changed.append((instance, config))
        for instance, config in changed:
            reload.change(instance, config, lease=section.address_lease)
        self._placement.arrange(self.instances.values())
        self._groups.configure(section.sync_groups, self.instances.values())
        for instance in self.instances.values():
            fitness.look_at(instance, self._placement)
        tracking.forget(self.instances.values(), self._turn)
        self._turn.effects += self._turn.guarding.arrange(each.terms for each in self.instances.values())
        if self._start_delay.holds(section, self._memories):
            start.remove_left_over(fresh, self._turn)
        else:
            self._begin()
        self._upkeep.configure(section)
        self._turn.effects += self._claims.arrange()
        self._vmacs.sweep(section)
        self._least_slack_ns = min((each.terms.slack_ns for each in self.instances.values()), default=NEVER)
        self._statistics.begin()
        self._say_report()
        self._turn.other_pace = True

    def _gather(self) -> Iterator[Effect]:
        gather_ns = patience_ns(self.instances.values())
        if gather_ns != self._gather_ns:
            self._gather_ns = gather_ns
            yield Gather(gather_ns)

    def _begin(self) -> None:
        """Start what is in Initialize."""
        waiting = [each for each in self.instances.values() if each.state is VrrpState.INIT]
        start.begin(waiting, self._groups, self._occupancy.ours(self._memories), self._turn)
        self._memories = ()

    def _drop(self, instance: Instance) -> None:
        """The instance is not configured any more."""
        instance.become_stop("it is not in the configuration any more", state=VrrpState.DELETED)
        self._turn.effects.append(Forget(instance.key))
        self._withdraw(instance.config.name)

    def _withdraw(self, name: str) -> None:
        for cls in (contracts.Instance, contracts.Statistics):
            self._turn.telling.say(Withdraw(f"{cls.TOPIC}/{quote(name)}"))

    def _on_stop(self, _event: StopRequested) -> None:
        if not self._stopped:
            self._stopped = True
            for instance in self.instances.values():
                instance.become_stop("stopped", keep_addresses=self._keep_addresses)
            self._groups.stop("stopped")
            self._upkeep.stop(keep=self._keep_addresses)
            if not self._keep_addresses:
                self._vmacs.sweep()
            self._turn.effects += self._turn.guarding.arrange(())
        self._turn.effects += (*self._turn.telling.take_all(), Exit())

    # Telling

    def _say_report(self) -> None:
        self._turn.telling.say_of(self, self._report)

    def _report(self) -> list[Effect]:
        return [report(self.instances.values(), self._upkeep.statics, self._occupancy.left_out)]
