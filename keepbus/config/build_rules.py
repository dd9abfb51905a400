"""Lines of `virtual_rules` and `static_rules` to the model (features 6.3)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from keepbus.config.line_reader import read_line
from keepbus.config.model.routes import Rule
from keepbus.config.reader import TableReader
from keepbus.config.syntax import Statement

_FIRST_PREFERENCE = 16384
_VERDICTS = ("nop", "blackhole", "unreachable", "prohibit")


class RuleLine:
    """A rule, the line that it comes from, and what a static one is tied to."""

    __slots__ = ("line", "rule", "track_group")

    def __init__(self, rule: Rule, line: Statement, track_group: str) -> None:
        self.rule = rule
        self.line = line
        self.track_group = track_group


class RuleReader:
    """Reads all rules of a configuration: those without a preference are numbered downwards from 16384, each
    family for itself, static ones first, as keepalived does it."""

    def __init__(self, tables: TableReader) -> None:
        self._tables = tables
        self._next = {4: _FIRST_PREFERENCE, 6: _FIRST_PREFERENCE}

    def read(self, lines: Iterable[Statement], *, static: bool = False) -> list[RuleLine]:
        """The rules that the lines name; those that can't be used are left out with an error."""
        found = []
        for line in lines:
            given = read_line(self._tables, line, "rule")
            if given is None:
                continue
            track_group = given.pop("track_group", "")
            rule = self._rule(line, given)
            if rule is None:
                continue
            if track_group and not (static and rule.input_interface):
                text = "`track_group` is for static rules with `iif`; it has no effect here"
                self._tables.findings.warning("no-effect", text, line.at(line.words.index("track_group")))
                track_group = ""
            found.append(RuleLine(rule, line, track_group))
        return found

    def _rule(self, line: Statement, given: dict[str, Any]) -> Rule | None:
        action = self._action(line, given)
        family = self._family(line, given)
        if not action or not family:
            return None
        given["mark"], given["mask"] = given.get("mark", (None, None))
        if family == 4 and given.get("suppress_prefix_length", 0) > 32:
            at = line.words.index(next(word for word in line.words if word.startswith("sup")))
            self._refuse(line, "bad-value", "an IPv4 prefix length is 32 at most", at)
            return None
        preference = given.pop("preference", None)
        if preference is None:
            preference = self._next[family]
            self._next[family] -= 1
            self._tables.findings.warning(
                "no-preference",
                f"this rule has no `preference`; it gets {preference}, as with keepalived",
                line.at(0, len(line.words)),
                advice="write `preference N`, so that its place among the other rules is plain to see",
            )
        return Rule(family=family, preference=preference, action=action, **given)

    def _action(self, line: Statement, given: dict[str, Any]) -> str:
        named = given.pop("type", "")
        actions = [named] if named else []
        actions += [word for word in _VERDICTS if given.pop(word, False)]
        actions += [word for word in ("table", "goto") if word in given]
        if given.get("l3mdev") and not actions:
            return "table"
        if len(actions) == 1:
            return str(actions[0])
        if not actions:
            advice = "write `table N`, `goto N`, `nop`, `blackhole`, `unreachable` or `prohibit`"
            self._refuse(line, "no-action", "this rule says not what to do", 0, advice)
        else:
            self._refuse(line, "two-actions", f"a rule does one thing, not {' and '.join(actions)}", 0)
        return ""

    def _family(self, line: Statement, given: dict[str, Any]) -> int:
        wanted = 6 if given.pop("inet6", False) else 4 if given.pop("inet", False) else 0
        given.pop("inet", None)
        families = {
            6 if ":" in given[field] else 4 for field in ("source", "destination") if given.get(field)
        }
        if wanted:
            families.add(wanted)
        if len(families) > 1:
            self._refuse(line, "mixed-families", "this rule mixes IPv4 and IPv6", 0)
            return 0
        return families.pop() if families else 4

    def _refuse(self, line: Statement, code: str, text: str, at: int, advice: str = "") -> None:
        text = f"{text}; it is ignored"
        self._tables.findings.error(code, text, line.at(at), advice=advice, lenient=True)
