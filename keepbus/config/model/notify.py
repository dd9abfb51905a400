"""The model of notification: what notify reads."""

from __future__ import annotations

from dataclasses import dataclass

from keepbus.config.model.scripts import Script


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyTarget:
    """The scripts of one VRRP instance. A missing one is None."""

    name: str
    """The instance's name."""
    notify_master: Script | None = None
    notify_backup: Script | None = None
    notify_fault: Script | None = None
    notify_stop: Script | None = None
    notify: Script | None = None
    """Run at each transition with INSTANCE, name, state and priority added."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifySection:
    """All that notify reads."""

    targets: tuple[NotifyTarget, ...] = ()
    script_user: str = ""
    """USER[:GROUP] for scripts that name none, from global_defs."""
    enable_script_security: bool = False
    """From global_defs: a script that root would run from a path that others can change is not run."""
