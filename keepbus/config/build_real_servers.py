"""`real_server` blocks and `sorry_server` of one virtual server (features 12.1; W2 to W4)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from keepbus.config.build_checks import Checks
from keepbus.config.ipvs_values import Method, address_port
from keepbus.config.model.ipvs import Forwarding, RealServer, SorryServer, family_of
from keepbus.config.reader import Fields, TableReader
from keepbus.config.syntax import Statement
from keepbus.config.values import Invalid

_PATH = ("virtual_server", "real_server")
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
_PLAIN = ("uthreshold", "lthreshold", "notify_up", "notify_down", "smtp_alert", "snmp_name")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a virtual server's servers must fit."""

    families: Collection[str]
    """Of its services, IPv4 and IPv6; empty: a mark takes its servers'."""
    port: int | None
    """The one that packets keep which are not rewritten; None: each service has its own."""
    marked: bool
    """True when there are marks: then nobody knows the port."""
    holders: tuple[str, ...] = ()
    """Instances that have one of its addresses."""


def read_target(tables: TableReader, block: Statement) -> tuple[str, int] | None:
    """ADDRESS [PORT] after `virtual_server` or `real_server`; None, and a finding, when there is none."""
    words = block.words
    for index, word in enumerate(words[1:], 1):
        if word.startswith("//"):
            tables.surplus(block, words, index)
            words = words[:index]
            break
    if len(words) < 2:
        tables.findings.error("missing-argument", f"`{words[0]}` needs an address", block.at())
        return None
    if len(words) > 3:
        tables.surplus(block, words, 3)
    try:
        return address_port(words[1:3], "")
    except Invalid as error:
        tables.findings.error("bad-value", f"`{words[0]}`: {error}", block.at(error.index + 1))
        return None


class RealServers:
    """Builds the real servers of one virtual server, in the order of the file."""

    def __init__(
        self, tables: TableReader, checks: Checks, fields: Fields, place: Place, *, suspend: bool
    ) -> None:
        """fields are the virtual server's; suspend: its checks rest without its address."""
        self._tables = tables
        self._findings = tables.findings
        self._checks = checks
        self._place = place
        self._inherited = {**fields.given(_INHERITED), "ha_suspend": place.holders if suspend else ()}
        self._weight: int = fields.get("weight", 1)
        self._servers: dict[tuple[str, int], RealServer] = {}

    def add(self, block: Statement, default: Method) -> None:
        """Take one in; default is the virtual server's method at this line."""
        server = self._build(block, default)
        if server is None:
            return
        key = server.address, server.port
        if key in self._servers:
            self._findings.warning(
                "duplicate-real-server",
                f"there is a real server {server.address}:{server.port} already; this one is ignored",
                block.at(1, 2),
            )
            return
        self._servers[key] = server

    def all(self) -> tuple[RealServer, ...]:
        """Those that can be used."""
        return tuple(self._servers.values())

    def _build(self, block: Statement, default: Method) -> RealServer | None:
        target = read_target(self._tables, block)
        if target is None:
            return None
        address, port = target
        checkers: list[tuple[str, Statement]] = []
        fields = self._tables.read(
            block, _PATH, lambda keyword, statement, _: checkers.append((keyword, statement))
        )
        method: Method = fields.get("forwarding", default)
        if not self._fits(address, method, "real server", block):
            return None
        written = port
        port = self._port(port, method, block)
        if fields.get("lthreshold", 0) > fields.get("uthreshold", 0):
            self._findings.error(
                "lthreshold", "`lthreshold` must not be above `uthreshold`", fields.where("lthreshold")
            )
        below = {**self._inherited, **fields.given(_INHERITED)}
        # Unlike everything else, how long a script may take is not the real server's to say.
        below["script_timeout_us"] = self._inherited.get("delay_loop_us")
        uses = [
            use
            for keyword, statement in checkers
            for use in self._checks.build(keyword, statement, address, written or port, below)
        ]
        return RealServer(
            address=address,
            port=port,
            weight=fields.get("weight", self._weight),
            forwarding=method.forwarding,
            tunnel=method.tunnel,
            inhibit_on_failure=below.get("inhibit_on_failure", False),
            checks=tuple(dict.fromkeys(uses)),
            **fields.given(_PLAIN),
        )

    def _port(self, port: int, method: Method, block: Statement) -> int:
        kept = self._place.port
        if method.forwarding is Forwarding.NAT:
            return port or kept or 0
        if self._place.marked and kept is None:
            # keepalived clears it in the table; for the checks it stays what it is.
            return port
        if kept is None or port == kept:
            return port
        if port:
            self._findings.warning(
                "port-forced",
                f"with {method.forwarding} packets keep their port: the table gets {kept}, checks ask {port}",
                block.at(2),
            )
        return kept

    def sorry_server(self, fields: Fields, default: Method) -> SorryServer | None:
        """The sorry server, if there is one that can be used."""
        sorry: tuple[str, int] | None = fields.get("sorry_server")
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
        address, port = sorry
        method: Method = fields.get("sorry_server_forwarding", default)
        if not self._fits(address, method, "sorry server", fields.at["sorry_server"]):
            return None
        return SorryServer(
            address=address,
            port=port or self._place.port or 0,
            forwarding=method.forwarding,
            tunnel=method.tunnel,
            inhibit=fields.get("sorry_server_inhibit", False),
        )

    def _fits(self, address: str, method: Method, what: str, statement: Statement) -> bool:
        """Only a tunnel carries one family in the other (W4)."""
        family = family_of(address)
        others = [each for each in self._place.families if each != family]
        if not others or method.forwarding is Forwarding.TUN:
            return True
        self._findings.error(
            "mixed-families",
            f"{what} {address} is {family}, its virtual server {others[0]}, and only TUN carries one in the "
            f"other; this {what} is ignored",
            statement.at(1),
            advice=f"use `lvs_method TUN` or an {others[0]} address",
            lenient=True,
        )
        return False


def marked_family(servers: Mapping[str, Any] | Collection[str]) -> str:
    """The family of a mark whose file does not say: IPv6 where every server is, else IPv4 (features 12.1)."""
    families = {family_of(address) for address in servers}
    return "IPv6" if families == {"IPv6"} else "IPv4"
