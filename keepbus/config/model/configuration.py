"""A whole configuration."""

from __future__ import annotations

from dataclasses import dataclass

from keepbus.config.model.checker import CheckerSection
from keepbus.config.model.ipvs import IpvsSection
from keepbus.config.model.notify import NotifySection
from keepbus.config.model.scripts import Script
from keepbus.config.model.vrrp import VrrpSection


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalDefs:
    """`global_defs`: what concerns the node as a whole."""

    net_namespace: str = ""
    """Name of the network namespace that the node enters before it starts; empty: where it was called."""
    instance: str = ""
    """`instance`: the node's name where none is given on the command line; empty: the host's."""
    reload_time_file: str = ""
    """Holds the moment of the next reload; empty: there is none."""
    reload_repeat: bool = False
    """A file that holds only a time of the day counts for each day."""
    router_id: str = ""
    notification_email: tuple[str, ...] = ()
    notification_email_from: str = ""
    smtp_server: str = ""
    smtp_connect_timeout_us: int = 30_000_000
    script_user: str = ""
    """USER[:GROUP] for scripts that name none; empty: keepalived_script, if that user exists."""
    enable_script_security: bool = False
    address_lease: bool = True
    """keepbus's own: `address_lease no` leaves virtual addresses in the kernel without a lifetime."""
    startup_script: Script | None = None
    """Run by `keepbus up` before the services start."""
    startup_script_timeout_s: int = 10
    shutdown_script: Script | None = None
    """Run by `keepbus up` when they have ended."""
    shutdown_script_timeout_s: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """A whole configuration: the node's own settings and one section per service."""

    global_defs: GlobalDefs = GlobalDefs()
    vrrp: VrrpSection = VrrpSection()
    checker: CheckerSection = CheckerSection()
    ipvs: IpvsSection = IpvsSection()
    notify: NotifySection = NotifySection()
