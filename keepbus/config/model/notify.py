"""The model of notification: what notify reads."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from keepbus.config.model.scripts import Script


class NotifyKind(enum.StrEnum):
    """What a notification is about, in the words that scripts and FIFOs are told."""

    INSTANCE = "INSTANCE"
    GROUP = "GROUP"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyTarget:
    """The scripts of one VRRP instance or sync group. A missing one is None."""

    kind: NotifyKind = NotifyKind.INSTANCE
    name: str
    """The instance's or group's."""
    notify_master: Script | None = None
    notify_backup: Script | None = None
    notify_fault: Script | None = None
    notify_stop: Script | None = None
    notify: Script | None = None
    """Run at each transition with kind, name, state and priority (of a group: 0) added."""

    @property
    def object(self) -> str:
        """What notify knows it by: the name of an instance, `GROUP name` of a group."""
        return self.name if self.kind is NotifyKind.INSTANCE else f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifySection:
    """All that notify reads."""

    targets: tuple[NotifyTarget, ...] = ()
    script_user: str = ""
    """USER[:GROUP] for scripts that name none, from global_defs."""
    enable_script_security: bool = False
    """From global_defs: a script that root would run from a path that others can change is not run."""
