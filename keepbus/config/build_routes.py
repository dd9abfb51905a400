"""Lines of `virtual_routes` and `static_routes` to the model (features 6.3)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from keepbus.config.line_reader import read_line
from keepbus.config.line_values import destination
from keepbus.config.model.routes import PROTOCOL_KEEPALIVED, NextHop, Route
from keepbus.config.reader import TableReader
from keepbus.config.syntax import Statement

_HOST_SCOPE = 254
_LOCAL_TYPES = ("local", "nat")
_ANY = {4: "0.0.0.0/0", 6: "::/0"}
_NO_NEXT_HOP = ("throw", "unreachable", "prohibit", "blackhole")


class RouteLine:
    """A route, the line that it comes from, and what a static one is tied to."""

    __slots__ = ("line", "route", "track_group")

    def __init__(self, route: Route, line: Statement, track_group: str) -> None:
        self.route = route
        self.line = line
        self.track_group = track_group


def read_routes(tables: TableReader, lines: Iterable[Statement], *, static: bool = False) -> list[RouteLine]:
    """The routes that the lines name; those that can't be used are left out with an error. Only static ones
    know `track_group`."""
    found = []
    for line in lines:
        given = read_line(tables, line, "route", ("destination", destination))
        if given is None:
            continue
        track_group = given.pop("track_group", "")
        if track_group and not static:
            at = line.at(line.words.index("track_group"))
            tables.findings.warning("no-effect", "`track_group` is for static routes only", at)
            track_group = ""
        route = _route(tables, line, given)
        if route is None:
            continue
        if track_group and not route.interfaces:
            at = line.at(line.words.index("track_group"))
            text = "`track_group` needs a route with `dev`; it has no effect here"
            tables.findings.warning("no-effect", text, at)
        found.append(RouteLine(route, line, track_group))
    return found


def _route(tables: TableReader, line: Statement, given: dict[str, Any]) -> Route | None:
    if "destination" not in given:
        _refuse(
            tables, line, "no-destination", "this route has no destination", 0, "write PREFIX or `default`"
        )
        return None
    kind, target = given.pop("destination")
    _second_gateway(tables, line, given)
    _mode(tables, line, given)
    if "vrf" in given and given.pop("table", None) is not None:
        text = "a route has either `table` or `vrf`; `vrf` is taken"
        tables.findings.warning("given-twice", text, line.at(line.words.index("vrf")))
    hints = [given[field] for field in ("gateway", "preferred_source", "source") if field in given]
    hints += [leg.gateway for leg in given.get("next_hops", ()) if leg.gateway]
    wanted = 6 if given.pop("inet6", False) else 4 if given.pop("inet", False) else 0
    given.pop("inet", None)
    if target == "default6":
        wanted = 6
    if "/" in target:
        family = 6 if ":" in target else 4
    else:
        family = wanted or (6 if hints and all(":" in hint for hint in hints) else 4)
        target = _ANY[family]
    if wanted and wanted != family:
        _refuse(tables, line, "mixed-families", f"{target} is no IPv{wanted} destination", 0)
        return None
    mixed = _mixed(family, given)
    if mixed:
        _refuse(
            tables, line, "mixed-families", f"{mixed} can't be used for the IPv{family} route to {target}", 0
        )
        return None
    if kind in _NO_NEXT_HOP and ("gateway" in given or "next_hops" in given):
        _refuse(
            tables, line, "no-next-hop", f"a route of type `{kind}` goes nowhere, so it has no gateway", 0
        )
        return None
    if "next_hops" in given and ("gateway" in given or "interface" in given):
        text = "a route has either `nexthop` legs or a gateway and `dev` of its own"
        _refuse(tables, line, "two-next-hops", text, line.words.index("nexthop"))
        return None
    if kind in _LOCAL_TYPES:
        # With any wider one, keepalived's default among them, the kernel refuses the route.
        given.setdefault("scope", _HOST_SCOPE)
    if given.get("protocol", PROTOCOL_KEEPALIVED) != PROTOCOL_KEEPALIVED and not given.get("no_track"):
        tables.findings.warning(
            "protocol-of-tracked",
            "a route whose removal is watched for has the protocol keepalived; this one is taken",
            line.at(line.words.index("protocol") + 1),
            advice="leave `protocol` out, or add `no_track`",
        )
        del given["protocol"]
    return Route(destination=target, type=kind, **given)


def _second_gateway(tables: TableReader, line: Statement, given: dict[str, Any]) -> None:
    """`via A or B` is two legs."""
    second = given.pop("second_gateway", "")
    if not second:
        return
    tables.findings.warning(
        "deprecated",
        "`or` is a deprecated way to write a second gateway",
        line.at(line.words.index("or")),
        advice="write `nexthop via A nexthop via B`",
    )
    interface = given.pop("interface", "")
    legs = (NextHop(gateway=each, interface=interface) for each in (given.pop("gateway", ""), second) if each)
    given["next_hops"] = (*legs, *given.get("next_hops", ()))


def _mode(tables: TableReader, line: Statement, given: dict[str, Any]) -> None:
    modes = [word for word in ("add", "prepend", "append") if given.pop(word, False)]
    if len(modes) > 1:
        text = f"`{modes[0]}` and `{modes[1]}` exclude each other; `{modes[0]}` is taken"
        tables.findings.warning("given-twice", text, line.at(line.words.index(modes[1])))
    if modes:
        given["mode"] = modes[0]


def _mixed(family: int, given: dict[str, Any]) -> str:
    """The address that is of the wrong family, if there is one. An IPv4 route may go through an IPv6
    gateway (RFC 5549); nothing else mixes."""
    addresses = [given.get(field, "") for field in ("preferred_source", "source")]
    gateways = [given.get("gateway", ""), *(leg.gateway for leg in given.get("next_hops", ()))]
    if family == 6:
        addresses += gateways
    return next((each for each in addresses if each and (":" in each) is not (family == 6)), "")


def _refuse(tables: TableReader, line: Statement, code: str, text: str, at: int, advice: str = "") -> None:
    tables.findings.error(code, f"{text}; it is ignored", line.at(at), advice=advice, lenient=True)
