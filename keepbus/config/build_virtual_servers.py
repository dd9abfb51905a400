"""`virtual_server` blocks to the model, with keepalived's derived rules (features 12.1; V18, W19)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from keepbus.config import ipvs_drivers
from keepbus.config.build_checks import Checks
from keepbus.config.diagnostics import Findings, Note
from keepbus.config.model import Forwarding, Protocol, RealServer, SorryServer, VirtualServer
from keepbus.config.reader import Fields, TableReader
from keepbus.config.syntax import Statement
from keepbus.config.values import Invalid, address4_port

_BLOCK = ("virtual_server",)
_REAL_SERVER = ("virtual_server", "real_server")
_DEFAULT_PERSISTENCE_S = 360
_INHERITED = (
    "retry",
    "delay_before_retry_us",
    "warmup_us",
    "connect_timeout_us",
    "delay_loop_us",
    "virtualhost",
    "alpha",
    "inhibit_on_failure",
)
_PLAIN = ("scheduler", "persistence_granularity", "alpha", "omega", "quorum_up", "quorum_down")
_REAL_PLAIN = ("uthreshold", "lthreshold", "notify_up", "notify_down")


def build_virtual_servers(
    tables: TableReader, blocks: Iterable[Statement], checks: Checks, ipvs_driver: str
) -> tuple[VirtualServer, ...]:
    """All virtual servers that can be used; ipvs_driver as for `compile_file`."""
    servers: dict[str, tuple[VirtualServer, Statement]] = {}
    for block in blocks:
        server = _VirtualServer(tables, block, checks).build()
        if server is None:
            continue
        first = servers.get(server.name)
        if first is not None:
            tables.findings.error(
                "duplicate-virtual-server",
                f"there is a virtual server {server.name} already; this one is ignored",
                block.at(1, 2),
                note=Note(text="the first one is here", place=first[1].at(1, 2).place()),
                lenient=True,
            )
            continue
        servers[server.name] = server, block
    if ipvs_driver:
        _check_driver(tables.findings, servers.values(), ipvs_driver)
    return tuple(server for server, _ in servers.values())


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

    def __init__(self, tables: TableReader, block: Statement, checks: Checks) -> None:
        self._tables = tables
        self._findings = tables.findings
        self._block = block
        self._checks = checks
        self._found: list[tuple[Statement, int, Forwarding | None]] = []
        self._before_first: dict[str, Statement] = {}

    def build(self) -> VirtualServer | None:
        target = _target(self._tables, self._block)
        if target is None:
            return None
        address, port = target
        fields = self._tables.read(self._block, _BLOCK, self._on_block)
        self._check_order(fields)
        forwarding = self._forwarding(fields)
        protocol = self._protocol(fields)
        real_servers = self._real_servers(fields, port, forwarding)
        if not real_servers:
            self._findings.warning(
                "no-real-servers",
                "this virtual server has no real server; it is not used",
                self._block.at(0, 3),
            )
            return None
        quorum, hysteresis = self._quorum(fields, real_servers)
        if fields.lacks("scheduler"):
            self._findings.warning(
                "missing-scheduler",
                "this virtual server has no `lb_algo`; wlc is taken",
                self._block.at(0, 3),
            )
        return VirtualServer(
            address=address,
            port=port,
            protocol=protocol,
            forwarding=forwarding,
            persistence_timeout_s=self._persistence_timeout_s(fields, port),
            quorum=quorum,
            hysteresis=hysteresis,
            sorry_server=self._sorry_server(fields, port, forwarding),
            real_servers=real_servers,
            **fields.given(_PLAIN),
        )

    def _on_block(self, _keyword: str, statement: Statement, fields: Fields) -> None:
        # weight and lvs_method count for the real servers that follow them.
        self._found.append((statement, fields.get("weight", 1), fields.get("forwarding")))
        if len(self._found) == 1:
            self._before_first = dict(fields.at)

    def _check_order(self, fields: Fields) -> None:
        for field in ("weight", "forwarding"):
            late = fields.at.get(field)
            if late is not None and self._found and self._before_first.get(field) is not late:
                self._findings.warning(
                    "late-default",
                    f"keepalived applies `{late.keyword}` only to the real servers that follow it",
                    late.at(),
                    advice="write it before the first `real_server`",
                )

    def _forwarding(self, fields: Fields) -> Forwarding:
        forwarding = fields.get("forwarding")
        if fields.lacks("forwarding"):
            self._findings.warning(
                "missing-forwarding",
                "this virtual server has no `lb_kind`; NAT is taken",
                self._block.at(0, 3),
            )
        return forwarding or Forwarding.NAT

    def _protocol(self, fields: Fields) -> Protocol:
        protocol = fields.get("protocol")
        if fields.lacks("protocol"):
            self._findings.error(
                "missing-protocol",
                "this virtual server has no `protocol`; keepalived takes UDP",
                self._block.at(0, 3),
                advice="add `protocol TCP` or `protocol UDP`",
                lenient=True,
            )
        return protocol or Protocol.UDP

    def _persistence_timeout_s(self, fields: Fields, port: int) -> int:
        timeout_s = int(fields.get("persistence_timeout_s", 0))
        if timeout_s:
            return timeout_s
        if "persistence_granularity" in fields.values:
            return _DEFAULT_PERSISTENCE_S
        if port == 0:
            self._findings.warning(
                "port-0",
                f"a virtual server for all ports must be persistent; {_DEFAULT_PERSISTENCE_S} s is taken",
                self._block.at(0, 3),
                advice="add `persistence_timeout`",
            )
            return _DEFAULT_PERSISTENCE_S
        return 0

    def _quorum(self, fields: Fields, real_servers: Iterable[RealServer]) -> tuple[int, int]:
        quorum = int(fields.get("quorum", 1))
        hysteresis = int(fields.get("hysteresis", 0))
        weights = sum(server.weight for server in real_servers)
        if quorum > max(1, weights):
            self._findings.warning(
                "quorum-too-high",
                f"the weights sum up to {weights}; the quorum is lowered to that",
                fields.where("quorum"),
            )
            quorum = max(1, weights)
        if hysteresis >= quorum:
            if "hysteresis" in fields.values and hysteresis:
                self._findings.warning(
                    "hysteresis-too-high",
                    f"the hysteresis must be below the quorum; {quorum - 1} is taken",
                    fields.where("hysteresis"),
                )
            hysteresis = quorum - 1
        return quorum, hysteresis

    def _sorry_server(self, fields: Fields, port: int, forwarding: Forwarding) -> SorryServer | None:
        sorry = fields.get("sorry_server")
        for field in ("sorry_server_inhibit", "sorry_server_forwarding"):
            modifier = fields.at.get(field)
            if modifier is not None and not fields.before("sorry_server", field):
                self._findings.warning(
                    "late-default",
                    f"keepalived wants `sorry_server` before `{modifier.keyword}`",
                    modifier.at(),
                )
        if sorry is None:
            return None
        address, sorry_port = sorry
        return SorryServer(
            address=address,
            port=sorry_port or port,
            forwarding=fields.get("sorry_server_forwarding", forwarding),
            inhibit=fields.get("sorry_server_inhibit", False),
        )

    def _real_servers(
        self, fields: Fields, port: int, default_forwarding: Forwarding
    ) -> tuple[RealServer, ...]:
        inherited = fields.given(_INHERITED)
        servers: dict[tuple[str, int], RealServer] = {}
        for block, weight, forwarding in self._found:
            server = self._real_server(block, weight, forwarding or default_forwarding, port, inherited)
            if server is None:
                continue
            key = server.address, server.port
            if key in servers:
                self._findings.warning(
                    "duplicate-real-server",
                    f"there is a real server {server.address}:{server.port} already; this one is ignored",
                    block.at(1, 2),
                )
                continue
            servers[key] = server
        return tuple(servers.values())

    def _real_server(
        self, block: Statement, weight: int, forwarding: Forwarding, port: int, inherited: dict[str, Any]
    ) -> RealServer | None:
        target = _target(self._tables, block)
        if target is None:
            return None
        address, real_port = target
        checkers: list[tuple[str, Statement]] = []
        fields = self._tables.read(
            block, _REAL_SERVER, lambda keyword, statement, _: checkers.append((keyword, statement))
        )
        forwarding = fields.get("forwarding", forwarding)
        if forwarding is not Forwarding.NAT and real_port != port:
            if real_port:
                self._findings.warning(
                    "port-forced",
                    f"with {forwarding} packets keep their port; {port} is taken instead of {real_port}",
                    block.at(2),
                )
            real_port = port
        if fields.get("lthreshold", 0) > fields.get("uthreshold", 0):
            self._findings.error(
                "lthreshold", "`lthreshold` must not be above `uthreshold`", fields.where("lthreshold")
            )
        below = {**inherited, **fields.given(_INHERITED)}
        # Unlike everything else, how long a script may take is not the real server's to say.
        below["script_timeout_us"] = inherited.get("delay_loop_us")
        uses = [
            use
            for keyword, statement in checkers
            for use in self._checks.build(keyword, statement, address, real_port, below)
        ]
        return RealServer(
            address=address,
            port=real_port or port,
            weight=fields.get("weight", weight),
            forwarding=forwarding,
            inhibit_on_failure=below.get("inhibit_on_failure", False),
            checks=tuple(dict.fromkeys(uses)),
            **fields.given(_REAL_PLAIN),
        )


def _target(tables: TableReader, block: Statement) -> tuple[str, int] | None:
    """ADDRESS [PORT] after `virtual_server`, `real_server`."""
    words = block.words
    for index, word in enumerate(words[1:], 1):
        if word.startswith("//"):
            tables.surplus(block, words, index)
            words = words[:index]
            break
    if len(words) > 1 and words[1] in ("fwmark", "group"):
        tables.findings.error(
            "not-supported", f"`{words[0]} {words[1]}` is not supported yet", block.at(1), lenient=True
        )
        return None
    if len(words) < 2:
        tables.findings.error("missing-argument", f"`{words[0]}` needs an address", block.at())
        return None
    if len(words) > 3:
        tables.surplus(block, words, 3)
    try:
        return address4_port(words[1:3], "")
    except Invalid as error:
        tables.findings.error("bad-value", f"`{words[0]}`: {error}", block.at(error.index + 1))
        return None
