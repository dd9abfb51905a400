"""How instances begin: as the router that an earlier process was, or anew.

Law of this file: addresses that an earlier run left are removed before an instance starts, unless it goes
on as their master (E7). Members of a sync group go on together or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from keepbus.config.model.vrrp import InitialState, VirtualAddress
from keepbus.contracts.vrrp import Resumed, VrrpState
from keepbus.runtime.machine import Log, Publish
from keepbus_vrrp import family, record, tracking, vmac
from keepbus_vrrp.effects import Forget
from keepbus_vrrp.events import Memory
from keepbus_vrrp.group import Group, Groups
from keepbus_vrrp.instance import Instance
from keepbus_vrrp.netlink import Address
from keepbus_vrrp.record import Record
from keepbus_vrrp.sentences import seconds
from keepbus_vrrp.timers import NS_PER_US
from keepbus_vrrp.turn import Turn


def begin(instances: Iterable[Instance], groups: Groups, memories: Iterable[Memory], turn: Turn) -> None:
    """Start instances that are in Initialize. memories as in events.Remembered, empty on a reload."""
    remembered: dict[str, tuple[Record, Memory]] = {}
    for memory in memories:
        found = record.load(memory[0])
        if found is not None:
            remembered[found.key] = (found, memory)
    left_groups = groups.recall(memory[0] for memory in memories)
    left: dict[str, tuple[Record, Memory, str]] = {}
    for instance in instances:
        if instance.key in remembered:
            found, memory = remembered.pop(instance.key)
            instance.adopt(found)
            instance.counters.adopt(memory[3], found.dropped)
            instance.demoted = found.demoted
            left[instance.key] = (found, memory, _obstacle(instance, found, memory[2]))
    obstacles = {}
    begun = groups.settle()
    for group in begun:
        name = group.config.name
        obstacle = _group_obstacle(group, left)
        if name in left_groups and not obstacle:
            group.resume(left_groups[name])
        else:
            group.begin()
            obstacles[name] = f"sync group {name}: {obstacle}"
    for instance in instances:
        if instance.key not in left:
            _start(instance, "started", ())
            continue
        found, memory, why_not = left[instance.key]
        if not why_not and instance.group is not None:
            why_not = obstacles.get(instance.group.config.name, "")
        if not why_not:
            _resume(instance, *memory[1:3])
        elif found.state is VrrpState.MASTER:
            _start(instance, f"started; not resumed as master: {why_not}", record.left_over(found))
        elif found.state in (VrrpState.BACKUP, VrrpState.FAULT):
            _start(instance, f"started; the process before died as {found.state}", ())
        else:
            _start(instance, "started", ())
    for group in begun:
        group.begun()
    for key, (found, _) in remembered.items():
        _remove(turn, key, record.left_over(found))
        turn.effects.append(Forget(key))


def _group_obstacle(group: Group, left: Mapping[str, tuple[Record, Memory, str]]) -> str:
    """Why its members must not go on as masters: they do so together, or not at all."""
    for member in group.members:
        if member.key not in left:
            return f"{member.config.name} is new"
        why_not = left[member.key][2]
        if why_not:
            return f"{member.config.name}: {why_not}"
    return ""


def remove_left_over(instances: Iterable[Instance], turn: Turn) -> None:
    """While instances wait to start, nothing of an earlier run answers for their addresses (E7)."""
    for instance in instances:
        instance.held.sweep(instance.config.virtual_routes, instance.config.virtual_rules)
        _remove(turn, instance.key, instance.all_addresses)
        vmac.switch(instance, up=False)


def _obstacle(instance: Instance, found: Record, lease_end_ns: int) -> str:
    if instance.faults:
        return instance.faults[0]
    why_not = record.obstacle(
        found,
        now_ns=instance.turn.now_ns,
        lease_end_ns=lease_end_ns,
        boot_id=instance.turn.boot_id,
        fingerprint=instance.terms.fingerprint,
        interface_index=instance.interface_index,
    )
    if why_not:
        return why_not
    for address in instance.installable(instance.all_addresses):
        link = instance.turn.links.by_index(address.interface_index)
        if link is None or address.address not in link.addresses:
            return f"{family.text(address.address)} is not there any more"
    return ""


def _resume(instance: Instance, sent_at_ns: int, lease_end_ns: int) -> None:
    silent_us = (instance.turn.now_ns - sent_at_ns) // NS_PER_US
    instance.resume(lease_end_ns)
    name = instance.config.name
    instance.turn.telling.say(
        Publish(Resumed(instance=name, life=instance.life, state=VrrpState.MASTER, silent_us=silent_us)),
        Log("warning", f"{name}: goes on as MASTER, {silent_us / 1e6:.3f} s after the last advert"),
    )


def _start(instance: Instance, cause: str, left_over: Iterable[VirtualAddress]) -> None:
    instance.held.sweep(instance.config.virtual_routes, instance.config.virtual_rules)
    _remove(instance.turn, instance.key, (*instance.all_addresses, *left_over))
    vmac.switch(instance, up=False)
    leave_initialize(instance, cause)


def leave_initialize(instance: Instance, cause: str) -> None:
    """I1, I2, I6, E5; stays there as long as a tracker has to be heard first."""
    group, wish = instance.group, instance.config.state is InitialState.MASTER
    instance.tracking.held = False
    if instance.faults:
        instance.become_fault(instance.faults[0])
    elif group is not None and group.state is VrrpState.FAULT:
        instance.become_fault(f"sync group {group.config.name}: {group.cause}")
    elif instance.tracking.waits:
        tracking.hold(instance)
    elif instance.is_owner and wish and (group is None or group.state is not VrrpState.BACKUP):
        instance.become_master(f"{cause}, as owner of the addresses (priority 255)", {})
    elif group is not None and wish:
        wait_us = instance.master_interval_us + instance.least_skew_us
        wait_cause = f"no advert for {seconds(wait_us)} (`state MASTER`)"
        instance.become_backup(cause, wait_us, {}, wait_cause=wait_cause)
        instance.wishes_master = True
    else:
        instance.become_backup(cause, instance.master_down_interval_us, {})


def _remove(turn: Turn, key: str, addresses: Iterable[VirtualAddress]) -> None:
    """Take off those of the addresses that are there."""
    present: dict[tuple[object, ...], Address] = {}
    for address in turn.links.resolve(addresses):
        link = turn.links.by_index(address.interface_index)
        if link is not None and address.address in link.addresses:
            present.setdefault(address[:3], address)
    turn.remove(key, tuple(present.values()))
