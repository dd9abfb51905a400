"""`vrrp_instance` blocks to the model, with keepalived's derived rules (features 5.1).

What keepalived puts right by itself and both nodes would put right alike is a warning; what it puts right in
a way that the peer may not know of is an error (conformance F4, S10, A6, E4).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from keepbus.config.addresses import read_addresses
from keepbus.config.build_accept import settle_accept
from keepbus.config.build_authentication import build_auth_hmac, build_authentication
from keepbus.config.build_garp import build_garp
from keepbus.config.build_holdings import read_holdings
from keepbus.config.build_interface import choose_interface
from keepbus.config.build_ipvlan import place_on_ipvlans
from keepbus.config.build_rules import RuleReader
from keepbus.config.build_strict import apply_strict
from keepbus.config.build_tracking import Trackables
from keepbus.config.build_transport import (
    build_transport,
    check_first,
    choose_family,
    choose_version,
    of_family,
    warn_of_forgery,
)
from keepbus.config.build_vmac import claim_names, place_on_vmacs
from keepbus.config.diagnostics import Findings, Note
from keepbus.config.model.notify import NotifyTarget
from keepbus.config.model.vrrp import InitialState, VirtualAddress, VrrpInstance
from keepbus.config.reader import Fields, TableReader
from keepbus.config.syntax import Statement

_MOST_ADDRESSES = 255
_MOST_V3_INTERVAL_US = 40_950_000
_V3_UNIT_US = 10_000
_V2_UNIT_US = 1_000_000
_OWNER = 255

_BLOCK = ("vrrp_instance",)
_AUTHENTICATION = ("vrrp_instance", "authentication")
_AUTH_HMAC = ("vrrp_instance", "auth_hmac")
_PLAIN = (
    "lower_prio_no_advert",
    "higher_prio_send_advert",
    "down_timer_adverts",
    "skip_check_adv_addr",
    "promote_secondaries",
    "owner_ignore_adverts",
    "dont_track_primary",
    "one_way_yield_us",
)
_TOLD = (
    "notify_master",
    "notify_backup",
    "notify_fault",
    "notify_stop",
    "notify_deleted",
    "notify_master_rx_lower_pri",
    "notify",
    "smtp_alert",
    "notify_priority_changes",
)


@dataclass(slots=True)
class Draft:
    """An instance and where it comes from."""

    instance: VrrpInstance
    notify: NotifyTarget | None
    fields: Fields
    addresses: list[tuple[VirtualAddress, Statement]]


def build_instances(
    tables: TableReader,
    blocks: Iterable[Statement],
    defaults: Fields | None,
    rules: RuleReader,
    trackables: Trackables,
) -> tuple[tuple[VrrpInstance, ...], tuple[NotifyTarget, ...]]:
    """All instances and their notifications; defaults are the fields of global_defs."""
    drafts: dict[str, Draft] = {}
    for block in blocks:
        if len(block.words) < 2 or block.words[1].startswith("//"):
            tables.findings.error("missing-argument", "`vrrp_instance` needs a name", block.at())
            continue
        if len(block.words) > 2:
            tables.surplus(block, block.words, 2)
        name = block.words[1]
        if name in drafts:
            tables.findings.error(
                "duplicate-instance",
                f"there is a `vrrp_instance {name}` already; this one is ignored",
                block.at(1),
                note=Note(text="the first one is here", place=drafts[name].fields.statement.at(1).place()),
                lenient=True,
            )
            continue
        draft = _Instance(tables, block, defaults.values if defaults else {}).build(rules, trackables)
        if draft is not None:
            drafts[name] = draft
    given = defaults.values if defaults else {}
    settle_accept(tables.findings, drafts.values(), given)
    taken = claim_names(tables.findings, drafts.values())
    place_on_ipvlans(tables.findings, drafts.values(), given, taken)
    place_on_vmacs(tables.findings, drafts.values(), given, taken)
    _check_virtual_routers(tables.findings, drafts.values())
    _check_addresses(tables.findings, drafts.values())
    instances = tuple(draft.instance for draft in drafts.values())
    return instances, tuple(draft.notify for draft in drafts.values() if draft.notify is not None)


class _Instance:
    """Builds one instance."""

    def __init__(self, tables: TableReader, block: Statement, defaults: Mapping[str, Any]) -> None:
        self._tables = tables
        self._findings = tables.findings
        self._block = block
        self._defaults = defaults
        self._authentication: Fields | None = None
        self._auth_hmac: Fields | None = None
        self._fields = tables.read(block, _BLOCK, self._on_block)

    def build(self, rules: RuleReader, trackables: Trackables) -> Draft | None:
        fields = self._fields
        name = self._block.words[1]
        interface = choose_interface(self._findings, fields, self._defaults)
        if fields.lacks("virtual_router_id"):
            self._findings.error(
                "missing-virtual-router-id",
                f"`vrrp_instance {name}` has no `virtual_router_id`; the instance is not used",
                self._block.at(0, 2),
                advice="add `virtual_router_id N`, the same number from 1 to 255 on every node",
                lenient=True,
            )
        addresses = self._addresses("virtual_addresses", interface)
        excluded = self._addresses("virtual_addresses_excluded", interface)
        family = choose_family(fields, addresses)
        addresses = of_family(self._findings, addresses, family)
        check_first(self._findings, addresses, family)
        version = choose_version(self._findings, fields, family, self._defaults)
        transport = build_transport(self._tables, fields, self._defaults, family, version)
        if self._auth_hmac is None:
            warn_of_forgery(self._findings, fields, transport["unicast_peers"])
        interval_us = self._advert_interval_us(version)
        priority, state = self._priority_and_state()
        self._limit(addresses, excluded)
        authentication = build_authentication(self._findings, self._authentication, version, family)
        merged = {**self._defaults, **fields.values}
        plain = {field: merged[field] for field in _PLAIN if field in merged}
        instance = VrrpInstance(
            name=name,
            interface=interface,
            virtual_router_id=fields.get("virtual_router_id", 0),
            state=state,
            priority=priority,
            advert_interval_us=interval_us,
            authentication=authentication,
            auth_hmac=build_auth_hmac(self._findings, self._auth_hmac, interval_us, authentication),
            nopreempt=self._nopreempt(priority, state),
            preempt_delay_us=self._preempt_delay_us(state),
            virtual_addresses=tuple(address for address, _ in addresses),
            virtual_addresses_excluded=tuple(address for address, _ in excluded),
            garp=build_garp(fields, self._defaults),
            **read_holdings(self._tables, fields, rules),
            **transport,
            trackers=trackables.read(fields),
            **plain,
        )
        if merged.get("strict_mode"):
            instance = apply_strict(self._findings, instance, fields, self._authentication)
        told = fields.given(_TOLD)
        if "notify_deleted" in told:
            told |= {
                "deleted": True,
                "notify_deleted": told["notify_deleted"] if told["notify_deleted"].argv else None,
            }
        if "virtual_router_id" not in fields.values:
            return None
        notify = NotifyTarget(name=name, **told) if told else None
        return Draft(instance, notify, fields, [*addresses, *excluded])

    def _on_block(self, keyword: str, statement: Statement, fields: Fields) -> None:
        if len(statement.words) > 1:
            self._tables.surplus(statement, statement.words, 1)
        if keyword == "authentication":
            given, self._authentication = self._authentication, self._tables.read(statement, _AUTHENTICATION)
        else:
            given, self._auth_hmac = self._auth_hmac, self._tables.read(statement, _AUTH_HMAC)
        if given is not None:
            self._findings.warning(
                "given-twice",
                f"`{keyword}` is given twice in this block; the last one counts",
                statement.at(),
            )

    def _priority_and_state(self) -> tuple[int, InitialState]:
        fields = self._fields
        wish = fields.get("state")
        priority = fields.get("priority")
        if priority is None:
            priority = _OWNER if wish == InitialState.MASTER else 100
            if fields.lacks("priority"):
                self._findings.warning(
                    "missing-priority",
                    f"`vrrp_instance {self._block.words[1]}` has no `priority`; it gets {priority}"
                    + (", the address owner's, because of `state MASTER`" if priority == _OWNER else ""),
                    self._block.at(0, 2),
                    advice="write the priority, so that the nodes' order is plain to see",
                )
        if wish is None:
            return priority, InitialState.MASTER if priority == _OWNER else InitialState.BACKUP
        return priority, InitialState(wish)

    def _advert_interval_us(self, version: int) -> int:
        fields = self._fields
        interval_us = int(fields.get("advert_interval_us", _V2_UNIT_US))
        where = fields.where("advert_interval_us")
        if version == 2 and interval_us % _V2_UNIT_US:
            rounded = max(1, round(interval_us / _V2_UNIT_US))
            self._findings.error(
                "fractional-interval",
                f"VRRP version 2 knows whole seconds only; keepalived would round this to {rounded} s",
                where,
                advice=f"write `advert_int {rounded}`, or `version 3` on every node",
                lenient=True,
            )
            return rounded * _V2_UNIT_US
        if version == 3 and interval_us > _MOST_V3_INTERVAL_US:
            self._findings.error(
                "interval-too-long", "VRRP version 3 knows intervals up to 40.95 s", where, lenient=True
            )
            return _MOST_V3_INTERVAL_US
        if version == 3 and interval_us % _V3_UNIT_US:
            rounded_us = max(1, round(interval_us / _V3_UNIT_US)) * _V3_UNIT_US
            self._findings.warning(
                "fractional-interval",
                f"VRRP version 3 counts in centiseconds; {rounded_us / 1e6:g} s is taken",
                where,
            )
            return rounded_us
        return interval_us

    def _nopreempt(self, priority: int, state: InitialState) -> bool:
        fields = self._fields
        if not fields.get("nopreempt"):
            return False
        if fields.before("nopreempt", "preempt"):
            return False
        if state is not InitialState.MASTER and priority != _OWNER:
            return True
        reason = "`state MASTER`" if state is InitialState.MASTER else "priority 255"
        self._findings.error(
            "nopreempt-master",
            f"`nopreempt` has no effect with {reason}",
            fields.where("nopreempt"),
            advice="write `state BACKUP` on every node and a priority below 255",
            lenient=True,
        )
        return False

    def _preempt_delay_us(self, state: InitialState) -> int:
        fields = self._fields
        delay_us = int(fields.get("preempt_delay_us", 0))
        if delay_us and state is InitialState.MASTER:
            self._findings.error(
                "preempt-delay-master",
                "`preempt_delay` has no effect with `state MASTER`",
                fields.where("preempt_delay_us"),
                advice="write `state BACKUP`",
                lenient=True,
            )
            return 0
        if delay_us and fields.get("nopreempt"):
            self._findings.warning(
                "preempt-delay-nopreempt",
                "`preempt_delay` has no effect with `nopreempt`",
                fields.where("preempt_delay_us"),
            )
            return 0
        return delay_us

    def _addresses(self, field: str, interface: str) -> list[tuple[VirtualAddress, Statement]]:
        return read_addresses(self._tables, self._fields.get(field, ()), interface)

    def _limit(
        self,
        addresses: list[tuple[VirtualAddress, Statement]],
        excluded: list[tuple[VirtualAddress, Statement]],
    ) -> None:
        if not addresses and not excluded and not self._fields.get("no_virtual_ipaddress"):
            self._findings.error(
                "no-addresses",
                f"`vrrp_instance {self._block.words[1]}` has no virtual address",
                self._fields.where("virtual_addresses"),
                advice="add one to `virtual_ipaddress`, or write `no_virtual_ipaddress`",
                lenient=True,
            )
        if len(addresses) > _MOST_ADDRESSES:
            self._findings.warning(
                "too-many-addresses",
                f"an advert holds {_MOST_ADDRESSES} addresses; the rest is treated as excluded",
                addresses[_MOST_ADDRESSES][1].at(),
            )
            excluded[:0] = addresses[_MOST_ADDRESSES:]
            del addresses[_MOST_ADDRESSES:]


def _check_virtual_routers(findings: Findings, drafts: Iterable[Draft]) -> None:
    """The same virtual router twice on one interface (conformance S10)."""
    seen: dict[tuple[str, int, str], Draft] = {}
    for draft in drafts:
        instance = draft.instance
        interface = instance.ipvlan.interface if instance.ipvlan else instance.interface
        key = interface, instance.virtual_router_id, instance.family
        first = seen.setdefault(key, draft)
        if first is not draft:
            findings.error(
                "duplicate-virtual-router-id",
                f"{instance.family} virtual router {instance.virtual_router_id} on {interface} "
                f"is `{first.instance.name}` already",
                draft.fields.where("virtual_router_id"),
                advice="give each instance on an interface its own `virtual_router_id`",
                note=Note(
                    text="the first one is here", place=first.fields.where("virtual_router_id").place()
                ),
            )


def _check_addresses(findings: Findings, drafts: Iterable[Draft]) -> None:
    """An address of two virtual routers would be on two nodes at once."""
    seen: dict[str, tuple[Draft, Statement]] = {}
    for draft in drafts:
        for address, statement in draft.addresses:
            first, line = seen.setdefault(address.address, (draft, statement))
            if line is statement:
                continue
            note = Note(text="the first one is here", place=line.at().place())
            if first is draft:
                findings.warning(
                    "duplicate-address", f"{address.address} is named twice", statement.at(), note=note
                )
            else:
                findings.error(
                    "duplicate-address",
                    f"{address.address} belongs to `{first.instance.name}` already; "
                    "two masters on two nodes would both hold it",
                    statement.at(),
                    note=note,
                    lenient=True,
                )
