"""Which scripts a step calls for, in keepalived's order and with keepalived's arguments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from keepbus.config.model.notify import NotifyKind, NotifySection, NotifyTarget
from keepbus.config.model.scripts import Script
from keepbus_notify.effects import Command
from keepbus_notify.steps import DOWN, RX_LOWER_PRI, UP, Step

_VRRP = {
    "MASTER": "notify_master",
    "BACKUP": "notify_backup",
    "FAULT": "notify_fault",
    "STOP": "notify_stop",
    "DELETED": "notify_deleted",
    RX_LOWER_PRI: "notify_master_rx_lower_pri",
}
_STATE_SCRIPT = {
    NotifyKind.INSTANCE: _VRRP,
    NotifyKind.GROUP: _VRRP,
    NotifyKind.REAL_SERVER: {UP: "notify_up", DOWN: "notify_down"},
    NotifyKind.VIRTUAL_SERVER: {UP: "quorum_up", DOWN: "quorum_down"},
}
KEYWORDS = (
    *_VRRP.values(),
    "notify",
    *_STATE_SCRIPT[NotifyKind.REAL_SERVER].values(),
    *_STATE_SCRIPT[NotifyKind.VIRTUAL_SERVER].values(),
)


class Planned(NamedTuple):
    """One script of one step."""

    keyword: str
    command: Command


def told_state(target: NotifyTarget | None, state: str) -> str:
    """What is told of a state: DELETED is FAULT, unless the instance asks for it (features 10.1)."""
    return "FAULT" if state == "DELETED" and (target is None or not target.deleted) else state


def plan(section: NotifySection, target: NotifyTarget | None, step: Step) -> list[Planned]:
    """The scripts of a step: that of the state, then the generic one.

    The generic script gets `INSTANCE name STATE priority` or `GROUP name STATE 0` behind its configured
    arguments, the others get nothing added (keepalived-features 10.1, 10.2).
    """
    if target is None:
        return []
    state = told_state(target, step.state)
    keyword = _STATE_SCRIPT[target.kind].get(state)
    if keyword is None:
        return []
    planned = []
    own: Script | None = getattr(target, keyword)
    if own is not None:
        planned.append(Planned(keyword, command(section, own)))
    if target.notify is not None and state != RX_LOWER_PRI:
        added = (str(target.kind), target.name, state, str(step.priority))
        planned.append(Planned("notify", command(section, target.notify, added)))
    return planned


def command(section: NotifySection, script: Script, added: tuple[str, ...] = ()) -> Command:
    """A script of the configuration as something to run: default user filled in, arguments added."""
    user, group = script.user, script.group
    if not user:
        user, _, group = section.script_user.partition(":")
    return Command((*script.argv, *added), user, group, section.enable_script_security)


def commands(section: NotifySection) -> Iterator[tuple[str, Command]]:
    """Every script of the configuration with what it is in the file."""
    for target in section.targets:
        for keyword in KEYWORDS:
            script: Script | None = getattr(target, keyword)
            if script is not None:
                yield f"{keyword} of {target.object}", command(section, script)
    for fifo in section.fifos:
        if fifo.script is not None:
            yield f"{fifo.keyword}_script", command(section, fifo.script, (fifo.path,))
