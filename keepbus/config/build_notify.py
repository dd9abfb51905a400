"""What notify reads: the targets of all objects, FIFOs and mail from global_defs (features chapter 10)."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterable, Iterator

from keepbus.config.difference import endpoint
from keepbus.config.model.configuration import GlobalDefs
from keepbus.config.model.ipvs import RealServer, VirtualServer
from keepbus.config.model.notify import Fifo, Mail, NotifyKind, NotifySection, NotifyTarget, real_server_name
from keepbus.config.model.vrrp import VrrpSection
from keepbus.config.reader import Fields

_SMTP_PORT = 25
_FIFOS = (("notify_fifo", True, True), ("vrrp_notify_fifo", True, False), ("lvs_notify_fifo", False, True))


def build_notify(
    fields: Fields | None,
    global_defs: GlobalDefs,
    targets: Iterable[NotifyTarget],
    vrrp: VrrpSection,
    virtual_servers: Iterable[VirtualServer],
) -> NotifySection:
    """The section; fields are those of global_defs, targets those of instances and groups."""
    targets = tuple(targets)
    default = fields is not None and bool(fields.get("vrrp_notify_priority_changes"))
    return NotifySection(
        targets=(*targets, *_servers(virtual_servers)),
        priority_changes=tuple(_priority_changes(targets, vrrp, default)),
        fifos=() if fields is None else tuple(_fifos(fields)),
        states_on_reload=bool(fields and fields.get("states_on_reload")),
        mail=None if fields is None else _mail(fields, global_defs),
        script_user=global_defs.script_user,
        enable_script_security=global_defs.enable_script_security,
    )


def _priority_changes(targets: Iterable[NotifyTarget], vrrp: VrrpSection, default: bool) -> Iterator[str]:
    """What an instance says itself counts before what its group says, and that before the default."""
    said = {(each.kind, each.name): each.notify_priority_changes for each in targets}
    groups = {member: group.name for group in vrrp.sync_groups for member in group.members}
    for instance in vrrp.instances:
        own = said.get((NotifyKind.INSTANCE, instance.name))
        of_group = said.get((NotifyKind.GROUP, groups.get(instance.name, "")))
        if next((each for each in (own, of_group) if each is not None), default):
            yield instance.name


def _servers(virtual_servers: Iterable[VirtualServer]) -> Iterator[NotifyTarget]:
    """Of what runs a script, or says itself whether there is mail about it."""
    for server in virtual_servers:
        if server.quorum_up or server.quorum_down or server.smtp_alert is not None:
            yield NotifyTarget(
                kind=NotifyKind.VIRTUAL_SERVER,
                name=server.name,
                quorum_up=server.quorum_up,
                quorum_down=server.quorum_down,
                smtp_alert=server.smtp_alert,
            )
        for real in server.real_servers:
            if real.notify_up or real.notify_down or real.smtp_alert is not None:
                yield _real_server(server, real)


def _real_server(server: VirtualServer, real: RealServer) -> NotifyTarget:
    return NotifyTarget(
        kind=NotifyKind.REAL_SERVER,
        name=real_server_name(endpoint(real.address, real.port), server.name, server.protocol),
        notify_up=real.notify_up,
        notify_down=real.notify_down,
        smtp_alert=real.smtp_alert,
    )


def _fifos(fields: Fields) -> Iterator[Fifo]:
    for keyword, vrrp, lvs in _FIFOS:
        given = fields.get(keyword)
        if given is not None:
            path, user, group = given
            yield Fifo(
                keyword=keyword,
                path=path,
                user=user,
                group=group,
                vrrp=vrrp,
                lvs=lvs,
                script=fields.get(f"{keyword}_script"),
            )


def _mail(fields: Fields, global_defs: GlobalDefs) -> Mail | None:
    """Without recipients or a server no mail is sent (features 10.4)."""
    if not global_defs.notification_email or not global_defs.smtp_server:
        return None
    host, _, port = global_defs.smtp_server.partition(" ")
    alert = fields.get("smtp_alert")
    checker = fields.get("smtp_alert_checker", alert)
    return Mail(
        server=host,
        port=int(port or _SMTP_PORT),
        recipients=global_defs.notification_email,
        sender=global_defs.notification_email_from or f"{getpass.getuser()}@{os.uname().nodename}",
        helo_name=fields.get("smtp_helo_name", ""),
        timeout_us=global_defs.smtp_connect_timeout_us or 1_000_000,
        router_id=global_defs.router_id,
        instances=bool(fields.get("smtp_alert_vrrp", alert)),
        virtual_servers=bool(checker),
        real_servers=checker is not False,
        faults=not fields.get("no_email_faults"),
    )
