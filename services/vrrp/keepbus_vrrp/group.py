"""Sync groups: virtual routers that change state together (E8, features chapter 8).

Law of this file: a member that moves takes the others along within the same turn. One in FAULT takes all to
FAULT; one that leaves MASTER takes all to BACKUP; one that becomes MASTER takes all to MASTER, which it may
only when all wish it; from FAULT they return when none has a fault. The member that moved comes first, the
others follow in the order of the file, the group itself is last: on the wire, in the kernel and on the bus.
"""

from __future__ import annotations

from collections.abc import Iterable

from keepbus.config.model.vrrp import InitialState, SyncGroup
from keepbus.contracts import vrrp as contracts
from keepbus.contracts.message import quote
from keepbus.contracts.vrrp import VrrpState
from keepbus.runtime.machine import Log, Publish, Withdraw
from keepbus_vrrp import demotion, record
from keepbus_vrrp.effects import Forget, Remember
from keepbus_vrrp.instance import Instance
from keepbus_vrrp.record import GroupRecord
from keepbus_vrrp.series import Series
from keepbus_vrrp.turn import Turn

_MOVED = {
    VrrpState.FAULT: "is in FAULT",
    VrrpState.BACKUP: "went to BACKUP",
    VrrpState.MASTER: "became MASTER",
}


class Group(Series):
    """One sync group. Instances ask and tell it; it moves the others and then itself."""

    def __init__(self, config: SyncGroup, turn: Turn, life: str) -> None:
        super().__init__(turn, life)
        self.config = config
        self.members: tuple[Instance, ...] = ()
        self._moves = False
        """True while it moves its members: what they tell then is its own doing."""

    @property
    def key(self) -> str:
        """Of its record; no interface has this name."""
        return f"group/{self.config.name}"

    @property
    def faulty(self) -> Instance | None:
        """The first member that lacks something."""
        return next((member for member in self.members if member.faults), None)

    @property
    def is_ready(self) -> bool:
        """No member lacks anything or waits for a tracker's first word: else none leaves FAULT, and none
        begins as MASTER (features 5.3, 8)."""
        return not any(member.faults or member.tracking.waits for member in self.members)

    # What instances ask and tell

    def admits(self, member: Instance) -> bool:
        """A member's timer ran out: may it become master? If not, its wish is remembered."""
        member.wishes_master = True
        member.familiar = b""  # the next advert is looked at again, for it may end the wish
        if self.state is VrrpState.MASTER:
            return True
        return all(each.wishes_master for each in self.members)

    def moved(self, member: Instance, *, release: bool = False) -> None:
        """A member entered a state; release: by priority 0, so that it waits for the skew time only."""
        if self._moves or member.state is self.state or member.state not in _MOVED:
            return
        if member.history[-1].from_state is VrrpState.INIT:
            return  # Whoever starts finds what the group is already.
        self._moves = True
        reason = f"{member.config.name} {_MOVED[member.state]}: {member.cause}"
        cause = f"sync group {self.config.name}: {reason}"
        for each in self.members:
            # One in Initialize waits for the first word of a tracker; it will find what the group is then.
            if each.state not in (member.state, VrrpState.INIT):
                _take_along(each, member.state, cause, release=release)
        self._moves = False
        self._enter(member.state, reason)

    # Start, reload and end

    def begin(self) -> None:
        """Before the members start: a group in FAULT or BACKUP says so first (features 5.3)."""
        if self.faulty is not None:
            self._enter(VrrpState.FAULT, self._fault())
        elif not self.is_ready or not all(
            each.is_owner and each.config.state is InitialState.MASTER for each in self.members
        ):
            self._enter(VrrpState.BACKUP, "started")

    def begun(self) -> None:
        """After the members started: owners are masters already."""
        if self.state is VrrpState.INIT:
            self._enter(VrrpState.MASTER, "started with the owners of all addresses (priority 255)")

    def resume(self, found: GroupRecord) -> None:
        """Go on as an earlier process left it: no transition."""
        self.state = found.state
        self.entered_at_ns = self.turn.now_ns
        self._publish()

    def settle(self) -> None:
        """After a reload: members that run already become one group, and masters stay masters."""
        states = [each.state for each in self.members]
        if self.faulty is not None:
            cause = self._fault()
            self._moves = True
            for each in self.members:
                if each.state in (VrrpState.MASTER, VrrpState.BACKUP):
                    each.become_fault(f"sync group {self.config.name}: {cause}")
            self._moves = False
            self._enter(VrrpState.FAULT, cause)
        elif VrrpState.MASTER in states:
            self._enter(VrrpState.MASTER, "the configuration changed, and members are MASTER")
        elif VrrpState.BACKUP in states:
            self._enter(VrrpState.BACKUP, "the configuration changed")

    def stop(self, cause: str) -> None:
        """The end, after the members' own."""
        self._enter(VrrpState.STOP, cause)

    def _fault(self) -> str:
        member = self.faulty
        assert member is not None
        return f"{member.config.name} is in FAULT: {member.faults[0]}"

    def _enter(self, state: VrrpState, cause: str) -> None:
        if state is self.state:
            self._publish()
            return
        self._transition(state, cause, {})
        self.state = state
        left = GroupRecord(
            name=self.config.name,
            life=self.life,
            state=self.state,
            transitions=self.transitions,
            since_ns=self.since_ns,
            cause=self.cause,
            history=self.history,
        )
        last = self.history[-1]
        self.turn.effects.append(Remember(self.key, left, holds_lease=False))
        self.turn.telling.say(
            Publish(contracts.GroupTransitioned(group=self.config.name, life=self.life, transition=last)),
            Log(
                "warning" if state is VrrpState.FAULT else "info",
                f"sync group {self.config.name}: {last.from_state} -> {last.to_state}: {cause}",
            ),
        )
        self._publish()

    def _publish(self) -> None:
        self.turn.telling.say_of(self, lambda: (Publish(self._body()),))

    def _body(self) -> contracts.SyncGroup:
        return contracts.SyncGroup(
            name=self.config.name,
            members=tuple(each.config.name for each in self.members),
            life=self.life,
            state=self.state,
            transitions=self.transitions,
            since_ns=self.since_ns,
            cause=self.cause,
            history=self.history,
        )


class Groups:
    """All sync groups, by name."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._groups: dict[str, Group] = {}
        self._changed: list[Group] = []
        """Those whose members are not what they were."""

    def configure(self, configs: Iterable[SyncGroup], instances: Iterable[Instance]) -> None:
        """Every instance gets its group; the groups move when they are told to settle."""
        named = {instance.config.name: instance for instance in instances}
        for instance in named.values():
            instance.group = None
        wanted = {config.name: config for config in configs}
        for name in self._groups.keys() - wanted.keys():
            self._turn.effects.append(Forget(self._groups.pop(name).key))
            self._turn.telling.say(_withdrawal(name))
        for name, config in wanted.items():
            group = self._groups.get(name)
            if group is None:
                group = self._groups[name] = Group(config, self._turn, f"{self._turn.wall_ns:x}")
            members = tuple(named[member] for member in config.members if member in named)
            for member in members:
                member.group = group
            if (config, members) != (group.config, group.members):
                group.config, group.members = config, members
                self._changed.append(group)

    def recall(self, texts: Iterable[str]) -> dict[str, GroupRecord]:
        """What an earlier process left of each group; what belongs to none is forgotten."""
        records = {}
        for text in texts:
            found = record.load_group(text)
            if found is None:
                continue
            group = self._groups.get(found.name)
            if group is None:
                self._turn.effects.append(Forget(f"group/{found.name}"))
            else:
                group.adopt(found)
                records[found.name] = found
        return records

    def settle(self) -> tuple[Group, ...]:
        """Those that have members in Initialize begin (they are handed back), the others settle."""
        changed, self._changed = self._changed, []
        fresh = []
        for group in changed:
            demotion.spread(group.members)
            if group.state is VrrpState.INIT and all(each.state is VrrpState.INIT for each in group.members):
                fresh.append(group)
            else:
                group.settle()
        return tuple(fresh)

    def stop(self, cause: str) -> None:
        """After all instances stopped."""
        for group in self._groups.values():
            group.stop(cause)


def _take_along(member: Instance, state: VrrpState, cause: str, *, release: bool) -> None:
    if state is VrrpState.FAULT:
        member.become_fault(cause)
    elif state is VrrpState.MASTER:
        member.wishes_master = True
        member.become_master(cause, {})
    else:
        wait_us = member.skew_time_us if release else member.rejoin_wait_us
        member.become_backup(cause, wait_us, {}, release=release)


def _withdrawal(name: str) -> Withdraw:
    return Withdraw(f"{contracts.SyncGroup.TOPIC}/{quote(name)}")
