"""Routes and rules for the scenarios, and how the kernel tells of them."""

from __future__ import annotations

from keepbus_vrrp import events, route_codec, rule_codec
from keepbus_vrrp.effects import Ask

from keepbus.config.model.routes import Route, Rule
from keepbus.testing.playbook import Scene

ROUTE = Route(destination="10.1.0.0/16", gateway="192.0.2.9", interface="eth0")
LOOSE = Route(destination="10.2.0.0/16", gateway="192.0.2.9")
RULE = Rule(family=4, preference=100, source="10.1.0.0/16", table=7, input_interface="eth0")


def asked(scene: Scene, holder: str = "") -> list[str]:
    """`+name` and `-name` of what the kernel is asked, in order."""
    words = []
    for effect in scene:
        if isinstance(effect, Ask) and holder in ("", effect.holder):
            for request in effect.requests:
                kind = int.from_bytes(request.octets[4:6], "little")
                words.append(("+" if kind in (24, 32) else "-") + request.name)
    return words


def route_gone(route: Route, *, protocol: int = 18) -> events.RouteChanged:
    return events.RouteChanged(route_codec.RouteMessage(route_codec.key(route), protocol, True))


def rule_gone(rule: Rule) -> events.RuleRemoved:
    return events.RuleRemoved(rule_codec.RuleMessage(True, rule_codec.identity(rule)))
