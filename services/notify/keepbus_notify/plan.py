"""Which scripts a transition calls for, in keepalived's order and with keepalived's arguments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from keepbus.config.model import NotifySection, NotifyTarget, Script
from keepbus.contracts.vrrp import Transition, VrrpState
from keepbus_notify.effects import Command

_STATE_SCRIPT = {
    VrrpState.MASTER: "notify_master",
    VrrpState.BACKUP: "notify_backup",
    VrrpState.FAULT: "notify_fault",
    VrrpState.STOP: "notify_stop",
}
KEYWORDS = (*_STATE_SCRIPT.values(), "notify")


class Planned(NamedTuple):
    """One script of one transition."""

    keyword: str
    command: Command


def plan(section: NotifySection, target: NotifyTarget | None, transition: Transition) -> list[Planned]:
    """The scripts of a transition: that of the state, then the generic one.

    The generic script gets `INSTANCE name STATE priority` or `GROUP name STATE 0` behind its configured
    arguments, the others get nothing added (keepalived-features 10.1, 10.2).
    """
    state = transition.to_state
    keyword = _STATE_SCRIPT.get(state)
    if target is None or keyword is None:
        return []
    planned = []
    own: Script | None = getattr(target, keyword)
    if own is not None:
        planned.append(Planned(keyword, command(section, own)))
    if target.notify is not None:
        added = (str(target.kind), target.name, state.value, str(transition.priority))
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
