"""What a reload would add, remove and change: two configurations compared. Pure.

Law of this file: a plan is empty exactly when the configurations mean the same; only the order in which
instances, servers and checks stand in the file is no difference. Things are matched as the services match
them: instances by interface, family and virtual router id, whatever their names; virtual servers by address,
port and protocol; real servers by address and port; checks by id (features chapter 15).
"""

from __future__ import annotations

import dataclasses
import enum
import functools
from collections.abc import Callable, Collection, Hashable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from keepbus.config import consequences
from keepbus.config.difference import FieldChange, differences, endpoint, words
from keepbus.config.keywords import Path
from keepbus.config.model.checker import Check
from keepbus.config.model.configuration import Configuration, GlobalDefs
from keepbus.config.model.ipvs import RealServer, VirtualServer
from keepbus.config.model.notify import NotifyKind, NotifyTarget
from keepbus.config.model.vrrp import Statics, VirtualAddress, VrrpInstance

ThingT = TypeVar("ThingT")
_HELD = ("virtual_addresses", "virtual_addresses_excluded", "virtual_routes", "virtual_rules")
"""Fields of an instance whose values are told one by one."""
_TRACKERS = {
    "track_scripts": ("script", "vrrp_script"),
    "track_processes": ("process", "vrrp_track_process"),
    "track_files": ("file", "track_file"),
}


class Action(enum.StrEnum):
    """What happens to a thing."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


class Kind(enum.StrEnum):
    """What kind of thing it is, in the order in which a plan tells them."""

    SETTINGS = "settings"
    INSTANCE = "instance"
    ADDRESS = "virtual address"
    ROUTE = "virtual route"
    RULE = "virtual rule"
    STATIC = "static object"
    SYNC_GROUP = "sync group"
    TRACKER = "tracker"
    SCRIPTS = "scripts"
    VIRTUAL_SERVER = "virtual server"
    REAL_SERVER = "real server"
    CHECK = "check"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A thing that is added, removed or changed."""

    action: Action
    kind: Kind
    name: str
    detail: str = ""
    """What it is, in a few words."""
    changes: tuple[FieldChange, ...] = ()
    parts: tuple[Item, ...] = ()
    """Addresses of an instance, real servers of a virtual server."""
    consequences: tuple[str, ...] = ()
    """What follows from it, a sentence each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that a reload would do."""

    items: tuple[Item, ...]

    def count(self, kind: Kind, action: Action) -> int:
        """How many things of a kind are added, removed or changed; parts count like the others."""
        parts = (part for item in self.items for part in item.parts)
        return sum(each.kind is kind and each.action is action for each in (*self.items, *parts))


def compare(before: Configuration, after: Configuration) -> Plan:
    """What a node that runs `before` would do to run `after`."""
    copied = {field.name for field in dataclasses.fields(GlobalDefs)}
    return Plan(
        items=(
            *_settings("global_defs", before.global_defs, after.global_defs, ("global_defs",)),
            *_instances(before.vrrp.instances, after.vrrp.instances),
            *_things(
                Kind.SYNC_GROUP,
                before.vrrp.sync_groups,
                after.vrrp.sync_groups,
                _name,
                ("vrrp_sync_group",),
            ),
            *_statics(before.vrrp.statics, after.vrrp.statics),
            *_rest("vrrp", before.vrrp, after.vrrp, {*copied, "instances", "statics", "sync_groups"}),
            *_things(
                Kind.SCRIPTS,
                _vrrp_targets(before),
                _vrrp_targets(after),
                lambda target: str(target.object),
                ("vrrp_instance",),
            ),
            *_rest("notify", before.notify, after.notify, {*copied, "targets"}),
            *_virtual_servers(before.ipvs.virtual_servers, after.ipvs.virtual_servers),
            *_rest("ipvs", before.ipvs, after.ipvs, {*copied, "virtual_servers", "drain_s"}),
            *_checks(before, after),
            *_rest("checker", before.checker, after.checker, {*copied, "checks"}),
        )
    )


def _match(
    before: Collection[ThingT], after: Collection[ThingT], key: Callable[[ThingT], Hashable]
) -> Iterator[tuple[ThingT | None, ThingT | None]]:
    """What differs as (before, after): first what goes, then what comes or changes, in the file's order."""
    old = {key(thing): thing for thing in before}
    new = {key(thing): thing for thing in after}
    for identity, thing in old.items():
        if identity not in new:
            yield thing, None
    for identity, thing in new.items():
        if old.get(identity) != thing:
            yield old.get(identity), thing


def _things(
    kind: Kind, before: Collection[Any], after: Collection[Any], key: Callable[[Any], str], block: Path
) -> Iterator[Item]:
    """Things that have a name and nothing else that needs words of its own."""
    for old, new in _match(before, after, key):
        if new is None:
            yield Item(action=Action.REMOVED, kind=kind, name=key(old))
        elif old is None:
            yield Item(action=Action.ADDED, kind=kind, name=key(new))
        else:
            changes = tuple(differences(old, new, block))
            yield Item(action=Action.CHANGED, kind=kind, name=key(new), changes=changes)


def _vrrp_targets(configuration: Configuration) -> tuple[NotifyTarget, ...]:
    """Scripts of servers are told with their servers."""
    kinds = (NotifyKind.INSTANCE, NotifyKind.GROUP)
    return tuple(target for target in configuration.notify.targets if target.kind in kinds)


def _name(thing: Any) -> str:
    return str(thing.name)


def _titled(noun: str, thing: Any) -> str:
    return f"{noun} {thing.name}".lstrip()


def _settings(name: str, before: Any, after: Any, block: Path, leave: Collection[str] = ()) -> Iterator[Item]:
    changes = tuple(differences(before, after, block, leave))
    if changes:
        yield Item(action=Action.CHANGED, kind=Kind.SETTINGS, name=name, changes=changes)


def _rest(name: str, before: Any, after: Any, leave: Collection[str]) -> Iterator[Item]:
    """What a section holds beside its things: things with names one by one, the others as fields."""
    told = set(leave)
    for field in dataclasses.fields(before):
        old, new = getattr(before, field.name), getattr(after, field.name)
        if field.name in told or not isinstance(old, tuple):
            continue
        if all(hasattr(each, "name") for each in (*old, *new)):
            told.add(field.name)
            noun, *block = _TRACKERS.get(field.name, ("",))
            key = functools.partial(_titled, noun)
            yield from _things(Kind.TRACKER if noun else Kind.OTHER, old, new, key, tuple(block))
    yield from _settings(name, before, after, (), told)


def _virtual_router(instance: VrrpInstance) -> tuple[str, str, int]:
    """What vrrp knows an instance by."""
    return instance.interface, instance.family, instance.virtual_router_id


def _instances(before: Collection[VrrpInstance], after: Collection[VrrpInstance]) -> Iterator[Item]:
    kept = {_virtual_router(each) for each in after}
    gone = {each.name for each in before if _virtual_router(each) not in kept}
    for old, new in _match(before, after, _virtual_router):
        if new is not None:
            yield _instance(old, new, gone)
        elif old is not None:
            yield Item(
                action=Action.REMOVED,
                kind=Kind.INSTANCE,
                name=old.name,
                detail=_place(old),
                parts=(*_addresses(old, None), *_held(old, None)),
                consequences=(consequences.INSTANCE_REMOVED,),
            )


def _instance(old: VrrpInstance | None, new: VrrpInstance, gone: Collection[str]) -> Item:
    if old is None:
        return Item(
            action=Action.ADDED,
            kind=Kind.INSTANCE,
            name=new.name,
            detail=f"{_place(new)} priority {new.priority}",
            parts=(*_addresses(None, new), *_held(None, new)),
            consequences=tuple(consequences.of_new_instance(new, gone)),
        )
    changes = list(differences(old, new, ("vrrp_instance",), _HELD))
    parts = _addresses(old, new)
    if not parts:
        for field in _HELD[:2]:
            if getattr(old, field) != getattr(new, field):
                order = [", ".join(each.address for each in getattr(one, field)) for one in (old, new)]
                keyword = f"order of {'excluded ' * field.endswith('excluded')}addresses"
                changes.append(FieldChange(name=keyword, before=order[0], after=order[1]))
    return Item(
        action=Action.CHANGED,
        kind=Kind.INSTANCE,
        name=new.name,
        detail=_place(new),
        changes=tuple(changes),
        parts=(*parts, *_held(old, new)),
        consequences=tuple(consequences.of_changed_instance(old, new)),
    )


def _held(old: VrrpInstance | None, new: VrrpInstance | None) -> Iterator[Item]:
    """Routes and rules that come, go or change."""
    kinds = (("virtual_routes", Kind.ROUTE, "(route)"), ("virtual_rules", Kind.RULE, "(rule)"))
    for field, kind, grammar in kinds:
        yield from _things(kind, getattr(old, field, ()), getattr(new, field, ()), _name, (grammar,))


def _statics(before: Statics, after: Statics) -> Iterator[Item]:
    yield from _things(
        Kind.STATIC,
        before.addresses,
        after.addresses,
        lambda each: f"{each.address}/{each.prefix} dev {each.interface}",
        ("(address)",),
    )
    yield from _things(Kind.STATIC, before.routes, after.routes, _name, ("(route)",))
    yield from _things(Kind.STATIC, before.rules, after.rules, _name, ("(rule)",))


def _place(instance: VrrpInstance) -> str:
    return f"{instance.interface} vrid {instance.virtual_router_id}"


def _addresses(old: VrrpInstance | None, new: VrrpInstance | None) -> tuple[Item, ...]:
    """Addresses that come, go or change."""
    return tuple(_changed_addresses(_listed(old), _listed(new)))


def _listed(instance: VrrpInstance | None) -> list[tuple[VirtualAddress, bool]]:
    """Each address, and whether adverts hold it."""
    if instance is None:
        return []
    excluded = [(address, False) for address in instance.virtual_addresses_excluded]
    return [*((address, True) for address in instance.virtual_addresses), *excluded]


def _changed_addresses(
    before: Collection[tuple[VirtualAddress, bool]], after: Collection[tuple[VirtualAddress, bool]]
) -> Iterator[Item]:
    for old, new in _match(before, after, lambda each: (each[0].address, each[0].prefix, each[0].interface)):
        shown = new or old
        assert shown is not None
        address, advertised = shown
        item = Item(
            action=Action.CHANGED if old and new else Action.ADDED if new else Action.REMOVED,
            kind=Kind.ADDRESS,
            name=f"{address.address}/{address.prefix}",
            detail=f"dev {address.interface}" + ("" if advertised else ", excluded from adverts"),
        )
        if old and new:
            changes = list(differences(old[0], new[0], ("(address)",)))
            if old[1] != new[1]:
                names = {True: "virtual_ipaddress", False: "virtual_ipaddress_excluded"}
                changes.append(FieldChange(name="block", before=names[old[1]], after=names[new[1]]))
            item = dataclasses.replace(item, changes=tuple(changes))
        yield item


def _virtual_servers(before: Collection[VirtualServer], after: Collection[VirtualServer]) -> Iterator[Item]:
    for old, new in _match(before, after, lambda each: each.name):
        if new is None:
            assert old is not None
            yield _virtual_server(
                Action.REMOVED,
                old,
                _real_servers(old, None),
                consequences.VIRTUAL_SERVER_REMOVED,
            )
        elif old is None:
            yield _virtual_server(Action.ADDED, new, _real_servers(None, new))
        else:
            changes = tuple(differences(old, new, ("virtual_server",), ("real_servers",)))
            parts = _real_servers(old, new)
            if changes or parts:
                stays = (consequences.VIRTUAL_SERVER_CHANGED,) if changes else ()
                item = _virtual_server(Action.CHANGED, new, parts, *stays)
                yield dataclasses.replace(item, changes=changes)


def _virtual_server(action: Action, server: VirtualServer, parts: tuple[Item, ...], *follows: str) -> Item:
    return Item(
        action=action,
        kind=Kind.VIRTUAL_SERVER,
        name=server.name,
        detail=f"{server.scheduler} {server.forwarding}" if action is not Action.CHANGED else "",
        parts=parts,
        consequences=follows,
    )


def _real_servers(old: VirtualServer | None, new: VirtualServer | None) -> tuple[Item, ...]:
    before = old.real_servers if old else ()
    after = new.real_servers if new else ()
    return tuple(
        _real_server(*pair) for pair in _match(before, after, lambda each: (each.address, each.port))
    )


def _real_server(old: RealServer | None, new: RealServer | None) -> Item:
    server = new or old
    assert server is not None
    item = Item(
        action=Action.CHANGED if old and new else Action.ADDED if new else Action.REMOVED,
        kind=Kind.REAL_SERVER,
        name=endpoint(server.address, server.port),
    )
    if old and new:
        leave = ("checks",)
        changes = [*differences(old, new, ("virtual_server", "real_server"), leave)]
        if old.checks != new.checks:
            uses = [words(each.checks) for each in (old, new)]
            changes.append(FieldChange(name="checks", before=uses[0], after=uses[1]))
        return dataclasses.replace(item, changes=tuple(changes))
    consequence = consequences.of_new_real_server(new) if new else consequences.REAL_SERVER_REMOVED
    detail = f"weight {server.weight} {server.forwarding}"
    return dataclasses.replace(item, detail=detail, consequences=(consequence,))


def _checks(before: Configuration, after: Configuration) -> Iterator[Item]:
    old = {check.id: check for check in before.checker.checks}
    new = {check.id: check for check in after.checker.checks}
    # A check whose settings change gets another id; told beside the one it replaces it says more.
    replaced: dict[tuple[object, ...], list[Check]] = {}
    for check in old.values():
        if check.id not in new:
            replaced.setdefault(_target(check), []).append(check)
    for check in new.values():
        if old.get(check.id) == check:
            continue
        first = consequences.of_new_check(check)
        ancestors = replaced.get(_target(check))
        ancestor = old.get(check.id) or (ancestors.pop(0) if ancestors else None)
        if ancestor is None:
            yield Item(action=Action.ADDED, kind=Kind.CHECK, name=check.id, consequences=(first,))
            continue
        block = ("virtual_server", "real_server", str(check.kind))
        yield Item(
            action=Action.CHANGED,
            kind=Kind.CHECK,
            name=check.id,
            changes=tuple(differences(ancestor, check, block, ("id",))),
            consequences=(consequences.CHECK_CHANGED, first),
        )
    for checks in replaced.values():
        for check in checks:
            yield Item(action=Action.REMOVED, kind=Kind.CHECK, name=check.id)


def _target(check: Check) -> tuple[object, ...]:
    return (
        check.kind,
        check.address,
        check.port,
        check.file and check.file.name,
        check.misc and check.misc.script,
    )
