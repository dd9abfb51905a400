"""What is held in the kernel beside addresses: routes and rules of a master, or static ones.

Law of this file: what it says is held was asked of the kernel; routes come before rules and go after them
(features 5.3), and of a changed configuration only the difference is asked. Objects are compared by the
octets that make them, so that a changed word which the kernel does not see changes nothing there.
"""

from __future__ import annotations

import dataclasses
import errno
from collections.abc import Callable, Collection, Iterable, Iterator

from keepbus.config.model.routes import PROTOCOL_KEEPALIVED, Route, Rule
from keepbus.config.model.vrrp import VrrpInstance
from keepbus_vrrp import route_codec, rule_codec
from keepbus_vrrp.effects import Ask, Request
from keepbus_vrrp.fights import Fights
from keepbus_vrrp.route_codec import RouteKey, RouteMessage
from keepbus_vrrp.rule_codec import RuleMessage
from keepbus_vrrp.turn import Turn

Held = Route | Rule
_THERE = (errno.EEXIST,)
_GONE = (errno.ESRCH, errno.ENOENT, errno.ENODEV)


class Holdings:
    """The routes and rules of one holder."""

    def __init__(self, turn: Turn, holder: str, changed: Callable[[], None]) -> None:
        """holder: the instance's identity, or STATICS; changed: called when a fight has ended."""
        self._turn = turn
        self._holder = holder
        self.fights = Fights(turn, changed)
        self._held: dict[bytes, Held] = {}
        """By the octets that install it."""
        self._removals: dict[bytes, bytes] = {}
        """By the same: made at the same time, because an interface may have another name later."""
        self.refused: dict[str, str] = {}
        """Name to the reason of those that are not there."""

    @property
    def empty(self) -> bool:
        """Nothing is held and nothing was refused."""
        return not self._held and not self.refused

    def hold_of(self, config: VrrpInstance, *, again: str = "") -> None:
        """Have what a master with this configuration holds."""
        self.hold(config.virtual_routes, config.virtual_rules, again=again)

    def hold(self, routes: Iterable[Route], rules: Iterable[Rule], *, again: str = "") -> None:
        """Have these and no others in the kernel. Those that are held already are not touched, but for what
        the kernel may have forgotten while the interface `again` was down."""
        wanted, removals, unplaced = self._placed((*routes, *rules))
        replaced = {route_codec.key(each) for each in wanted.values() if isinstance(each, Route)}
        # A route that another one replaces in place must not leave a gap.
        self._remove(
            octets
            for octets, held in self._held.items()
            if octets not in wanted and _replaceable(held) not in replaced
        )
        added = [
            octets
            for octets, held in wanted.items()
            if octets not in self._held or (again and _goes_through(held, again))
        ]
        self._held, self._removals = wanted, removals
        untouched = {held.name for octets, held in wanted.items() if octets not in added}
        self.refused = {name: error for name, error in self.refused.items() if name in untouched} | unplaced
        self._ask(added)

    def again(self) -> None:
        """Ask for all anew: the kernel keeps what is there and makes what is not."""
        self._ask(self._held)

    def drop(self) -> None:
        """Remove all that is held, rules first."""
        self._remove(self._held)
        self.forget()

    def forget(self) -> None:
        """Hold nothing any more, and leave the kernel as it is."""
        self._held = {}
        self._removals = {}
        self.refused = {}

    def sweep(self, routes: Iterable[Route], rules: Iterable[Rule]) -> None:
        """Remove what an earlier run may have left of these."""
        self._held, self._removals, _ = self._placed((*routes, *rules))
        self.drop()

    def refuse(self, name: str, error: str) -> bool:
        """The kernel said no; True when it is news."""
        if self.refused.get(name) == error:
            return False
        self.refused[name] = error
        return True

    def lost_route(self, message: RouteMessage) -> Held | None:
        """The one of these that the message says is gone or was replaced."""
        for held in self._held.values():
            if (
                isinstance(held, Route)
                and route_codec.key(held) == message.key
                and (message.gone or message.protocol != PROTOCOL_KEEPALIVED)
                and _watched(held)
            ):
                return self._there(held)
        return None

    def lost_rule(self, message: RuleMessage) -> Held | None:
        """The one of these that the message says is gone."""
        for held in self._held.values():
            if isinstance(held, Rule) and _watched(held) and rule_codec.identity(held) == message.identity:
                return self._there(held)
        return None

    def missing(
        self, routes: Collection[RouteKey], rules: Collection[frozenset[tuple[int, bytes]]]
    ) -> list[Held]:
        """Those that a whole dump does not have (R-F45)."""
        found = []
        for held in self._held.values():
            if isinstance(held, Route):
                known = route_codec.key(held) in routes
            else:
                known = rule_codec.identity(held) in rules
            if not known and _watched(held) and self._there(held):
                found.append(held)
        return found

    def restore(self, held: Held) -> None:
        """Put one back."""
        self._ask(octets for octets, each in self._held.items() if each is held)

    def _there(self, held: Held) -> Held | None:
        return None if held.name in self.refused else held

    def _placed(
        self, objects: Iterable[Held]
    ) -> tuple[dict[bytes, Held], dict[bytes, bytes], dict[str, str]]:
        """By octets, what removes them, and those whose interface is missing with the reason."""
        placed: dict[bytes, Held] = {}
        removals: dict[bytes, bytes] = {}
        unplaced: dict[str, str] = {}
        for each in objects:
            try:
                if isinstance(each, Route):
                    route = self._with_table(each)
                    octets = route_codec.install(route, self._index_of)
                    removals[octets] = route_codec.remove(route, self._index_of)
                    placed[octets] = route
                else:
                    octets = rule_codec.install(each)
                    removals[octets] = rule_codec.remove(each)
                    placed[octets] = each
            except LookupError as missing:
                unplaced[each.name] = missing.args[0]
        return placed, removals, unplaced

    def _ask(self, installs: Iterable[bytes]) -> None:
        requests = tuple(Request(self._held[octets].name, octets, _THERE) for octets in installs)
        if requests:
            self._turn.effects.append(Ask(self._holder, requests))

    def _remove(self, installs: Iterable[bytes]) -> None:
        requests = tuple(
            Request(self._held[octets].name, self._removals[octets], _GONE)
            for octets in reversed(list(installs))
        )
        if requests:
            self._turn.effects.append(Ask(self._holder, requests))

    def _index_of(self, name: str) -> int:
        link = self._turn.links.by_name(name)
        if link is None:
            raise LookupError(f"interface {name} does not exist")
        return link.index

    def _with_table(self, route: Route) -> Route:
        """With the table of its VRF, as it is now. Raises LookupError."""
        if not route.vrf:
            return route
        link = self._turn.links.by_name(route.vrf)
        if link is None or not link.make.table:
            raise LookupError(f"there is no VRF {route.vrf}")
        return dataclasses.replace(route, table=link.make.table)


def tracked_interfaces(config: VrrpInstance) -> Iterator[str]:
    """Interfaces of what the instance holds or is tied to, without which it takes no part (features 7.1)."""
    for address in (*config.virtual_addresses, *config.virtual_addresses_excluded):
        if not address.no_track:
            yield address.interface
    objects: tuple[Held, ...] = (*config.virtual_routes, *config.virtual_rules)
    for held in objects:
        if not held.no_track:
            yield from held.interfaces
    yield from config.static_interfaces


def is_tracked(held: Held) -> bool:
    """Its removal by others makes a master step down: keepalived does so for what names an interface."""
    return bool(held.interfaces) and not held.no_track


def _goes_through(held: Held, interface: str) -> bool:
    """True also of a route whose interface the kernel chose."""
    return interface in held.interfaces or (isinstance(held, Route) and not held.interfaces)


def _watched(held: Held) -> bool:
    return not held.no_track


def _replaceable(held: Held) -> RouteKey | None:
    return route_codec.key(held) if isinstance(held, Route) and held.mode == "replace" else None
