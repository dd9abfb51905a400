"""`keepbus demote`: mastership leaves this node by command and does not come back by itself.

Law of this file: a demoted router is the last resort. It releases with priority 0 if it is master, and from
then on holds elections with priority 1, so that everybody else goes before it and the addresses still have a
home when nobody else is there. The mark is part of the record: no crash and no restart takes it off, only the
command that undoes it.
"""

from __future__ import annotations

from collections.abc import Iterable

from keepbus.contracts import vrrp as contracts
from keepbus.contracts.message import Message
from keepbus.contracts.vrrp import VrrpState
from keepbus.runtime.machine import Log, Publish
from keepbus_vrrp import tracking
from keepbus_vrrp.instance import Instance
from keepbus_vrrp.turn import Turn

TOPIC = "command/vrrp/demote/"


def obey(instances: Iterable[Instance], message: Message, turn: Turn) -> None:
    """Carry out a Demote; the answer names the command as its cause. A sync group goes as a whole."""
    name, undo = message.body.instance, message.body.undo
    instance = next((each for each in instances if each.config.name == name), None)
    demoted = False
    if instance is None:
        sentence = f"there is no vrrp_instance {name} on this node"
    elif instance.demoted is not undo:
        demoted = not undo
        sentence = "it was demoted already" if demoted else "it was not demoted"
    else:
        demoted = not undo
        sentence = _undo(instance) if undo else _demote(instance, message.header.source)
        turn.effects.append(Log("info", f"{name}: {sentence}"))
    answer = contracts.Demoted(instance=name, demoted=demoted, known=instance is not None, detail=sentence)
    turn.effects.append(Publish(answer, message.header.id))


def spread(members: Iterable[Instance]) -> None:
    """Of a sync group that is new or has others than before: if one is demoted all are, masters release."""
    members = tuple(members)
    demoted = next((each for each in members if each.demoted), None)
    if demoted is None or all(each.demoted for each in members):
        return
    _mark(demoted, demoted=True)
    for each in members:
        if each.state is VrrpState.MASTER:
            cause = f"{demoted.config.name} was demoted by command, and is in the same sync group now"
            each.become_backup(cause, each.master_down_interval_us, {}, release=True)


def _demote(instance: Instance, source: str) -> str:
    sentence = f"demoted: it was {instance.state}"
    _mark(instance, demoted=True)
    if instance.state is VrrpState.MASTER:
        sentence += " and has released (priority 0)"
        inputs = {"command": "demote", "source": source}
        instance.become_backup("demoted by command", instance.master_down_interval_us, inputs, release=True)
    return sentence


def _undo(instance: Instance) -> str:
    _mark(instance, demoted=False)
    return f"not demoted any more: elections are held with priority {instance.effective_priority} again"


def _mark(instance: Instance, *, demoted: bool) -> None:
    """The instance and all that move with it."""
    for each in (instance,) if instance.group is None else instance.group.members:
        skew_us = each.skew_time_us
        each.demoted = demoted
        tracking.move(each, skew_us)
        if each.state is not VrrpState.INIT:
            each.remember()
            each.publish()
