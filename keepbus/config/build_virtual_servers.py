"""`virtual_server` blocks to the model, with keepalived's derived rules (features 12.1; V18, W17, W19)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from keepbus.config import ipvs_drivers
from keepbus.config.build_checks import Checks
from keepbus.config.build_groups import Group
from keepbus.config.build_real_servers import Place, RealServers, marked_family, read_target
from keepbus.config.build_service_settings import ServiceSettings
from keepbus.config.diagnostics import Findings, Note
from keepbus.config.ipvs_values import Method, fwmark
from keepbus.config.model.ipvs import (
    Forwarding,
    GroupMember,
    Protocol,
    ServiceAddress,
    Tunnel,
    VirtualServer,
    family_of,
)
from keepbus.config.reader import Fields, TableReader
from keepbus.config.syntax import Statement
from keepbus.config.values import Invalid

_BLOCK = ("virtual_server",)
_PLAIN = (
    "scheduler",
    "persistence_engine",
    "alpha",
    "omega",
    "quorum_up",
    "quorum_down",
    "smtp_alert",
    "snmp_name",
)
_TOLD_EVERY = 25

Progress = Callable[[int, int], None]
"""How many of how many virtual servers are built; called again and again."""
_NAT = Method(Forwarding.NAT, Tunnel())


def build_virtual_servers(
    tables: TableReader,
    blocks: Sequence[Statement],
    checks: Checks,
    groups: Mapping[str, Group],
    ipvs_driver: str,
    holders: Mapping[str, tuple[str, ...]] | None = None,
    progress: Progress | None = None,
) -> tuple[VirtualServer, ...]:
    """All virtual servers that can be used; ipvs_driver as for `compile_file`.

    holders: names of the instances that have a virtual address, by that address.
    progress: told how far it is.
    """
    servers: dict[str, tuple[VirtualServer, Statement]] = {}
    taken: dict[tuple[ServiceAddress, str], Statement] = {}
    for number, block in enumerate(blocks):
        if progress is not None and number % _TOLD_EVERY == 0:
            progress(number, len(blocks))
        server = _VirtualServer(tables, block, checks, groups, holders or {}).build()
        if server is None:
            continue
        first = _first_with_the_same(server, block, taken)
        if first is not None:
            tables.findings.error(
                "duplicate-virtual-server",
                f"there is a virtual server {server.name} already; this one is ignored"
                if server.name in servers
                else f"another virtual server has an address or mark of {server.name}; this one is ignored",
                block.at(1, 2),
                note=Note(text="the first one is here", place=first.at(1, 2).place()),
                lenient=True,
            )
            continue
        servers[server.name] = server, block
    if ipvs_driver:
        _check_driver(tables.findings, servers.values(), ipvs_driver)
    return tuple(server for server, _ in servers.values())


def _first_with_the_same(
    server: VirtualServer, block: Statement, taken: dict[tuple[ServiceAddress, str], Statement]
) -> Statement | None:
    """The block that has one of its services already; else they are taken by this one."""
    keys = [(service, "" if service.fwmark else str(server.protocol)) for service in server.services()]
    for key in keys:
        if key in taken:
            return taken[key]
    taken.update(dict.fromkeys(keys, block))
    return None


def _check_driver(
    findings: Findings, servers: Iterable[tuple[VirtualServer, Statement]], driver: str
) -> None:
    """Refuse what the driver cannot carry; one that only may stand in is no reason to refuse anything."""
    stands_in = driver == ipvs_drivers.AUTO
    for server, block in servers:
        reason = ipvs_drivers.unsupported(ipvs_drivers.NFTABLES if stands_in else driver, server)
        if reason and stands_in:
            findings.warning(
                "ipvs-driver",
                f"this host has no ip_vs, and {reason}",
                block.at(0, 3),
                advice="without ip_vs this virtual server is not run",
            )
        elif reason:
            findings.error("ipvs-driver", reason, block.at(0, 3), lenient=True)


class _VirtualServer:
    """Builds one virtual server."""

    def __init__(
        self,
        tables: TableReader,
        block: Statement,
        checks: Checks,
        groups: Mapping[str, Group],
        holders: Mapping[str, tuple[str, ...]],
    ) -> None:
        self._tables = tables
        self._findings = tables.findings
        self._block = block
        self._checks = checks
        self._groups = groups
        self._holders = holders
        self._found: list[tuple[Statement, Method]] = []
        self._before_first: dict[str, Statement] = {}

    def build(self) -> VirtualServer | None:
        identity = self._identity()
        if identity is None:
            return None
        fields = self._tables.read(self._block, _BLOCK, self._on_block)
        self._check_order(fields)
        method = self._method(fields)
        members: tuple[GroupMember, ...] = identity.get("members", ())
        place = self._place(identity, members, fields)
        settings = ServiceSettings(self._findings, fields, identity, place)
        servers = RealServers(self._tables, self._checks, fields, place, suspend=settings.suspends)
        for block, default in self._found:
            servers.add(block, default)
        real_servers = servers.all()
        if not real_servers:
            self._findings.warning(
                "no-real-servers",
                "this virtual server has no real server; it is not used",
                self._block.at(0, 3),
            )
            return None
        family = fields.get("family") or marked_family([each.address for each in real_servers])
        if identity.get("fwmark"):
            identity["family"] = family
        elif members:
            identity["members"] = tuple(_with_family(member, family) for member in members)
            self._number(identity)
        if fields.lacks("scheduler"):
            self._findings.warning(
                "missing-scheduler",
                "this virtual server has no `lb_algo`; wlc is taken",
                self._block.at(0, 3),
            )
        protocol = self._protocol(fields, needed=place.families != () or not place.marked)
        return VirtualServer(
            **identity,
            protocol=protocol,
            forwarding=method.forwarding,
            tunnel=method.tunnel,
            **settings.build(protocol, real_servers),
            sorry_server=servers.sorry_server(fields, method),
            real_servers=real_servers,
            **fields.given(_PLAIN),
        )

    def _identity(self) -> dict[str, Any] | None:
        """What the words after `virtual_server` name, as fields of the model."""
        words = self._block.words
        kind = words[1] if len(words) > 1 else ""
        if kind not in ("fwmark", "group"):
            target = read_target(self._tables, self._block)
            return None if target is None else {"address": target[0], "port": target[1]}
        if len(words) < 3:
            self._findings.error(
                "missing-argument",
                f"`virtual_server {kind}` needs a {'mark' if kind == 'fwmark' else 'name'}",
                self._block.at(1),
                lenient=True,
            )
            return None
        if len(words) > 3:
            self._tables.surplus(self._block, words, 3)
        if kind == "fwmark":
            try:
                return {"fwmark": fwmark(words[2])}
            except Invalid as error:
                self._findings.error("bad-value", f"`fwmark`: {error}", self._block.at(2), lenient=True)
                return None
        group = self._groups.get(words[2])
        if group is None or not group.members:
            known = "has no members" if group else "is not defined"
            self._findings.error(
                "unknown-group",
                f"the virtual_server_group {words[2]} {known}; this virtual server is ignored",
                self._block.at(2),
                lenient=True,
            )
            return None
        return {"group": words[2], "members": tuple(group.members)}

    def _number(self, identity: dict[str, Any]) -> None:
        group = self._groups[identity["group"]]
        identity["group_number"] = group.uses
        group.uses += 1

    def _place(self, identity: Mapping[str, Any], members: Collection[GroupMember], fields: Fields) -> Place:
        addresses = [member.address for member in members if member.address]
        if "address" in identity:
            addresses = [identity["address"]]
        families = dict.fromkeys(family_of(address) for address in addresses)
        families.update(dict.fromkeys(member.family for member in members if member.family))
        family = fields.get("family")
        marked = "fwmark" in identity or any(member.fwmark for member in members)
        if family and marked:
            families[family] = None
        elif family and list(families) != [family]:
            self._findings.error(
                "mixed-families",
                "`ip_family` is another family than that of the addresses",
                fields.where("family"),
                lenient=True,
            )
        ports = {member.port for member in members if member.address}
        return Place(
            families=tuple(families),
            port=identity.get("port") if "port" in identity else (min(ports) if len(ports) == 1 else None),
            marked=marked,
            holders=() if marked else self._holders_of(addresses, members),
        )

    def _holders_of(self, addresses: Collection[str], members: Collection[GroupMember]) -> tuple[str, ...]:
        """Instances with one of these addresses, or one within a range of the group."""
        ends = [member.last_address for member in members if member.last_address]
        found = [name for each in (*addresses, *ends) for name in self._holders.get(each, ())]
        return tuple(dict.fromkeys(found))

    def _on_block(self, _keyword: str, statement: Statement, fields: Fields) -> None:
        # lvs_method counts for the real servers that follow it.
        self._found.append((statement, fields.get("forwarding", _NAT)))
        if len(self._found) == 1:
            self._before_first = dict(fields.at)

    def _check_order(self, fields: Fields) -> None:
        late = fields.at.get("forwarding")
        if late is not None and self._found and self._before_first.get("forwarding") is not late:
            self._findings.warning(
                "late-default",
                f"keepalived applies `{late.keyword}` only to the real servers that follow it",
                late.at(),
                advice="write it before the first `real_server`",
            )

    def _method(self, fields: Fields) -> Method:
        if fields.lacks("forwarding"):
            self._findings.warning(
                "missing-forwarding",
                "this virtual server has no `lb_kind`; NAT is taken",
                self._block.at(0, 3),
            )
        method: Method = fields.get("forwarding", _NAT)
        return method

    def _protocol(self, fields: Fields, *, needed: bool) -> Protocol:
        if fields.lacks("protocol") and needed:
            self._findings.error(
                "missing-protocol",
                "this virtual server has no `protocol`; keepalived takes UDP",
                self._block.at(0, 3),
                advice="add `protocol TCP`, `protocol UDP` or `protocol SCTP`",
                lenient=True,
            )
        protocol: Protocol = fields.get("protocol", Protocol.UDP if needed else Protocol.TCP)
        return protocol


def _with_family(member: GroupMember, family: str) -> GroupMember:
    if not member.fwmark or member.family:
        return member
    return GroupMember(fwmark=member.fwmark, family=family)
