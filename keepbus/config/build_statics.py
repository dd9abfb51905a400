"""`static_ipaddress`, `static_routes`, `static_rules` and `track_group` to the model (features 9)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from keepbus.config.addresses import read_addresses
from keepbus.config.build_routes import read_routes
from keepbus.config.build_rules import RuleReader
from keepbus.config.model.vrrp import Statics, VrrpInstance
from keepbus.config.reader import Fields, TableReader
from keepbus.config.syntax import Statement


class StaticObjects:
    """The static objects, and the interfaces that instances have to track for them."""

    def __init__(
        self, tables: TableReader, root: Fields, groups: Iterable[Statement], rules: RuleReader
    ) -> None:
        """root holds the fields of the top level."""
        self._tables = tables
        self._members = self._read_groups(groups)
        self._interfaces: dict[str, dict[str, None]] = {}
        addresses = read_addresses(tables, root.get("addresses", ()), "", static=True)
        routes = read_routes(tables, root.get("routes", ()), static=True)
        static_rules = rules.read(root.get("rules", ()), static=True)
        for address, line in addresses:
            if not address.no_track:
                self._tie(line, (address.interface,))
        for route in routes:
            if not route.route.no_track:
                self._tie(route.line, route.route.interfaces)
        for rule in static_rules:
            if not rule.rule.no_track:
                self._tie(rule.line, (rule.rule.input_interface,))
        self.statics = Statics(
            addresses=tuple(address for address, _ in addresses),
            routes=tuple(each.route for each in routes),
            rules=tuple(each.rule for each in static_rules),
        )

    def tie(self, instances: Iterable[VrrpInstance]) -> tuple[VrrpInstance, ...]:
        """The instances with the interfaces that they have to track; complains of members that are none."""
        tied = []
        names = set()
        for instance in instances:
            names.add(instance.name)
            interfaces = tuple(self._interfaces.get(instance.name, ()))
            tied.append(replace(instance, static_interfaces=interfaces) if interfaces else instance)
        for members in self._members.values():
            for name, (line, index) in members.items():
                if name not in names:
                    text = f"there is no `vrrp_instance {name}`; this member is ignored"
                    self._tables.findings.warning("unknown-instance", text, line.at(index))
        return tuple(tied)

    def _tie(self, line: Statement, interfaces: Iterable[str]) -> None:
        words = line.words
        if "track_group" not in words[:-1]:
            return
        index = words.index("track_group") + 1
        members = self._members.get(words[index])
        if members is None:
            text = f"there is no `track_group {words[index]}`; nothing is tied to this line"
            self._tables.findings.error("unknown-track-group", text, line.at(index), lenient=True)
            return
        for member in members:
            self._interfaces.setdefault(member, {}).update(dict.fromkeys(filter(None, interfaces)))

    def _read_groups(self, blocks: Iterable[Statement]) -> dict[str, dict[str, tuple[Statement, int]]]:
        """Name to members, each with its place."""
        groups: dict[str, dict[str, tuple[Statement, int]]] = {}
        for block in blocks:
            findings = self._tables.findings
            if len(block.words) < 2:
                findings.error("missing-argument", "`track_group` needs a name", block.at())
                continue
            name = block.words[1]
            if len(block.words) > 2:
                self._tables.surplus(block, block.words, 2)
            fields = self._tables.read(block, ("track_group",))
            if name in groups:
                text = f"there is a `track_group {name}` already; this one is ignored"
                findings.error("duplicate-track-group", text, block.at(1), lenient=True)
                continue
            groups[name] = {}
            for line in fields.get("group", ()):
                for index, member in enumerate(line.words):
                    groups[name][member] = (line, index)
            if not groups[name]:
                findings.warning("no-members", f"`track_group {name}` has no members", block.at(0, 2))
        return groups
