"""What a `virtual_server` says beside its address and its servers (features 12.1; V17, W14, W17, W19)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from keepbus.config.build_real_servers import Place
from keepbus.config.diagnostics import Findings
from keepbus.config.model.ipvs import GroupMember, Protocol, RealServer
from keepbus.config.reader import Fields

_DEFAULT_PERSISTENCE_S = 360
# What sh and mh call the scheduler's flags (V16).
_FLAGS = {
    "flag_1": ("flag-1", ""),
    "flag_2": ("flag-2", ""),
    "flag_3": ("flag-3", ""),
    "sh_fallback": ("flag-1", "sh"),
    "sh_port": ("flag-2", "sh"),
    "mh_fallback": ("flag-1", "mh"),
    "mh_port": ("flag-2", "mh"),
}
_WITH_FLAGS = ("sh", "mh")


class ServiceSettings:
    """Builds them for one virtual server."""

    def __init__(self, findings: Findings, fields: Fields, identity: Mapping[str, Any], place: Place) -> None:
        """identity is what names it, as fields of the model."""
        self._findings = findings
        self._fields = fields
        self._identity = identity
        self._members: Collection[GroupMember] = identity.get("members", ())
        self._place = place
        self.suspends = self._ha_suspend()
        """True when its checks rest while its address is elsewhere."""

    def build(self, protocol: Protocol, real_servers: Iterable[RealServer]) -> dict[str, Any]:
        """As fields of the model."""
        quorum, hysteresis = self._quorum(real_servers)
        return {
            "flags": self._flags(),
            "one_packet": self._one_packet(protocol),
            "persistence_timeout_s": self._persistence_timeout_s(),
            "persistence_granularity": self._granularity(),
            "quorum": quorum,
            "hysteresis": hysteresis,
            "ha_suspend": self._place.holders if self.suspends else (),
        }

    def _flags(self) -> tuple[str, ...]:
        flags: set[str] = set()
        scheduler = self._fields.get("scheduler", "wlc")
        for field, (flag, owner) in _FLAGS.items():
            if field not in self._fields.values:
                continue
            statement = self._fields.at[field]
            late = owner and not self._fields.before("scheduler", field)
            if late or scheduler not in ((owner,) if owner else _WITH_FLAGS):
                wanted = f"`lvs_sched {owner}` before it" if owner else "the scheduler sh or mh"
                self._findings.error(
                    "scheduler-flag",
                    f"`{statement.keyword}` needs {wanted}; it is ignored",
                    statement.at(),
                    lenient=True,
                )
                continue
            flags.add(flag)
        return tuple(sorted(flags))

    def _one_packet(self, protocol: Protocol) -> bool:
        """V17: the kernel would take it for TCP too."""
        if not self._fields.get("one_packet"):
            return False
        if protocol is Protocol.UDP or "fwmark" in self._identity:
            return True
        if self._members and all(member.fwmark for member in self._members):
            return True
        self._findings.error(
            "one-packet",
            f"`ops` is for UDP and for marks, not for {protocol}; it is ignored",
            self._fields.where("one_packet"),
            lenient=True,
        )
        return False

    def _persistence_timeout_s(self) -> int:
        timeout_s = int(self._fields.get("persistence_timeout_s", 0))
        if timeout_s:
            return timeout_s
        if "persistence_granularity" in self._fields.values:
            return _DEFAULT_PERSISTENCE_S
        if self._identity.get("port") == 0 or any(
            member.address and not member.port for member in self._members
        ):
            self._findings.warning(
                "port-0",
                f"a virtual server for all ports must be persistent; {_DEFAULT_PERSISTENCE_S} s is taken",
                self._fields.statement.at(0, 3),
                advice="add `persistence_timeout`",
            )
            return _DEFAULT_PERSISTENCE_S
        return 0

    def _granularity(self) -> str:
        """As the family has it; a group of both families has each client address by itself in the other."""
        granularity: str = self._fields.get("persistence_granularity", "")
        family = "IPv4" if "." in granularity else "IPv6"
        if not granularity or not self._place.families or family in self._place.families:
            return granularity
        self._findings.error(
            "granularity",
            f"`persistence_granularity {granularity}` is for {family}; it is ignored",
            self._fields.where("persistence_granularity"),
            advice="write a mask for IPv4, the length of a prefix for IPv6",
            lenient=True,
        )
        return ""

    def _ha_suspend(self) -> bool:
        if not self._fields.get("ha_suspend") or self._place.holders:
            return bool(self._place.holders and self._fields.get("ha_suspend"))
        self._findings.error(
            "ha-suspend",
            "`ha_suspend` needs an address of a vrrp_instance of this file, and no mark; it is ignored",
            self._fields.where("ha_suspend"),
            lenient=True,
        )
        return False

    def _quorum(self, real_servers: Iterable[RealServer]) -> tuple[int, int]:
        quorum = int(self._fields.get("quorum", 1))
        hysteresis = int(self._fields.get("hysteresis", 0))
        weights = sum(server.weight for server in real_servers)
        if quorum > max(1, weights):
            self._findings.warning(
                "quorum-too-high",
                f"the weights sum up to {weights}; the quorum is lowered to that",
                self._fields.where("quorum"),
            )
            quorum = max(1, weights)
        if hysteresis >= quorum:
            if "hysteresis" in self._fields.values and hysteresis:
                self._findings.warning(
                    "hysteresis-too-high",
                    f"the hysteresis must be below the quorum; {quorum - 1} is taken",
                    self._fields.where("hysteresis"),
                )
            hysteresis = quorum - 1
        return quorum, hysteresis
