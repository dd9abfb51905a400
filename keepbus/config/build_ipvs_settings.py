"""What `global_defs` says of IPVS: sync daemon, time-outs, flush (features 12.2; V20, V22)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Any

from keepbus.config import ipvs_drivers
from keepbus.config.diagnostics import Findings
from keepbus.config.model.ipvs import IpvsSection, SyncDaemon, VirtualServer, family_of
from keepbus.config.model.vrrp import VrrpInstance
from keepbus.config.reader import Fields, TableReader
from keepbus.config.syntax import Statement

_OLD_SYNC_DAEMON = "lvs_sync_daemon_interface"
_PLAIN = ("timeouts", "flush", "flush_on_stop", "rs_init_notifies")


def adopt_sync_daemon(
    findings: Findings, instances: Iterable[Statement], global_defs: list[Statement]
) -> None:
    """`lvs_sync_daemon_interface IF` of an instance becomes `lvs_sync_daemon IF INSTANCE` of global_defs,
    unless there is one, as in keepalived."""
    given = any(line.words[0] == "lvs_sync_daemon" for block in global_defs for line in block.children or ())
    for block in instances:
        for line in block.children or ():
            if line.words[0] != _OLD_SYNC_DAEMON or min(len(line.words), len(block.words)) < 2:
                continue
            interface, name = line.words[1], block.words[1]
            findings.warning(
                "deprecated",
                f"`{_OLD_SYNC_DAEMON}` is deprecated" + ("; there is a sync daemon already" if given else ""),
                line.at(),
                advice="take it out"
                if given
                else f"write `lvs_sync_daemon {interface} {name}` in `global_defs`",
            )
            if not given:
                adopted = Statement(["global_defs"], line.source, line.line, line.first)
                words = ["lvs_sync_daemon", interface, name]
                adopted.children = [Statement(words, line.source, line.line, line.first)]
                global_defs.append(adopted)
                given = True


def build_ipvs_section(
    tables: TableReader,
    fields: Fields | None,
    instances: Collection[VrrpInstance],
    virtual_servers: tuple[VirtualServer, ...],
    ipvs_driver: str,
) -> IpvsSection:
    """The section; fields are those of `global_defs`, ipvs_driver as for `compile_file`."""
    if fields is None:
        return IpvsSection(virtual_servers=virtual_servers)
    given: dict[str, Any] = fields.given(_PLAIN)
    for name in ("sync_daemon", "timeouts"):
        if name in fields.values and ipvs_driver == ipvs_drivers.NFTABLES:
            keyword = fields.at[name].keyword
            tables.findings.error(
                "ipvs-driver",
                f"the nftables driver has no `{keyword}`; use the ipvs driver",
                fields.at[name].at(),
                lenient=True,
            )
    return IpvsSection(
        virtual_servers=virtual_servers,
        sync_daemon=_sync_daemon(tables, fields, instances, virtual_servers),
        **given,
    )


def _sync_daemon(
    tables: TableReader,
    fields: Fields,
    instances: Collection[VrrpInstance],
    virtual_servers: Collection[VirtualServer],
) -> SyncDaemon | None:
    daemon: SyncDaemon | None = fields.get("sync_daemon")
    if daemon is None:
        return None
    at = fields.at["sync_daemon"]
    if daemon.instance:
        followed = next((each for each in instances if each.name == daemon.instance), None)
        if followed is None:
            tables.findings.error(
                "unknown-instance",
                f"`lvs_sync_daemon` follows {daemon.instance}, which is no vrrp_instance; it is not started",
                at.at(2),
                lenient=True,
            )
            return None
        if daemon.id < 0:
            daemon = replace(daemon, id=followed.virtual_router_id)
    mixed = next(filter(None, map(_mixed, virtual_servers)), "")
    if mixed:
        tables.findings.error(
            "mixed-families",
            f"the kernel has no connection synchronization beside a server of the other family, and {mixed}",
            at.at(),
            advice="remove `lvs_sync_daemon`, or give that server an address of the family of its service",
            lenient=True,
        )
        return None
    return replace(daemon, id=max(0, daemon.id))


def _mixed(server: VirtualServer) -> str:
    """V22: what it has of the other family."""
    families = {member.family or family_of(member.address) for member in server.members}
    if server.address or server.fwmark:
        families = {server.family or family_of(server.address)}
    targets = [each.address for each in server.real_servers]
    targets += [server.sorry_server.address] if server.sorry_server else []
    for address in targets:
        if families - {family_of(address)}:
            return f"{server.name} has {address}"
    return ""
