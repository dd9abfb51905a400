"""The model of notification: what notify reads."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from keepbus.config.model.scripts import Script


class NotifyKind(enum.StrEnum):
    """What a notification is about, in the words that scripts and FIFOs are told."""

    INSTANCE = "INSTANCE"
    GROUP = "GROUP"
    VIRTUAL_SERVER = "VS"
    REAL_SERVER = "RS"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyTarget:
    """The scripts of one instance, sync group, virtual or real server. A missing one is None."""

    kind: NotifyKind = NotifyKind.INSTANCE
    name: str
    """The instance's, group's or virtual server's; of a real server as `real_server_name` has it."""
    notify_master: Script | None = None
    notify_backup: Script | None = None
    notify_fault: Script | None = None
    notify_stop: Script | None = None
    notify_deleted: Script | None = None
    deleted: bool = False
    """`notify_deleted` is given, with or without a script: DELETED is told as such, not as FAULT."""
    notify_master_rx_lower_pri: Script | None = None
    notify: Script | None = None
    """Run at each transition with kind, name, state and priority (of a group: 0) added."""
    notify_up: Script | None = None
    notify_down: Script | None = None
    quorum_up: Script | None = None
    quorum_down: Script | None = None
    smtp_alert: bool | None = None
    """None: as the section's mail has it for this kind."""
    notify_priority_changes: bool | None = None
    """Of an instance, or of the members of a group; see NotifySection.priority_changes."""

    @property
    def object(self) -> str:
        """What notify knows it by: the name of an instance, `GROUP name`, `VS name`, `RS name`."""
        return self.name if self.kind is NotifyKind.INSTANCE else f"{self.kind} {self.name}"


def real_server_name(server: str, virtual_server: str, protocol: str) -> str:
    """`[address]:protocol:port` of a real server and the name of its virtual server, as a FIFO line has them.

    server is ADDRESS:PORT, an IPv6 address in brackets; virtual_server is the name in the model.
    """
    address, _, port = server.rpartition(":")
    protocol = "none" if virtual_server.startswith("FWM ") else protocol.lower()
    return f"[{address.strip('[]')}]:{protocol}:{port} {virtual_server}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fifo:
    """`notify_fifo`, `vrrp_notify_fifo` or `lvs_notify_fifo`."""

    keyword: str
    path: str
    user: str = ""
    """Owner of a FIFO that is made; empty: notify's own user."""
    group: str = ""
    vrrp: bool
    """Instances and sync groups are told."""
    lvs: bool
    """Virtual and real servers are told."""
    script: Script | None = None
    """Its reader, started with the path as its last argument."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """How mail is sent, and about what where an object does not say."""

    server: str
    port: int
    recipients: tuple[str, ...]
    sender: str
    helo_name: str = ""
    """Empty: the host's name."""
    timeout_us: int = 30_000_000
    """For each step of the dialogue."""
    router_id: str = ""
    """Empty: the host's name."""
    instances: bool = False
    """Also of sync groups."""
    virtual_servers: bool = False
    real_servers: bool = True
    faults: bool = True
    """False: no mail when an instance or group enters FAULT (`no_email_faults`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifySection:
    """All that notify reads."""

    targets: tuple[NotifyTarget, ...] = ()
    fifos: tuple[Fifo, ...] = ()
    mail: Mail | None = None
    """None: no recipients or no server."""
    priority_changes: tuple[str, ...] = ()
    """Instances whose changes of priority FIFOs are told."""
    states_on_reload: bool = False
    """FIFOs are told the state of each instance and group after a reload, changed or not."""
    script_user: str = ""
    """USER[:GROUP] for scripts that name none, from global_defs."""
    enable_script_security: bool = False
    """From global_defs: a script that root would run from a path that others can change is not run."""
