"""`interface`, `default_interface` and `vrf` of an instance: where its adverts are (features 5.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keepbus.config.diagnostics import Findings
from keepbus.config.reader import Fields

_ANY_LAN = "eth0"


def choose_interface(findings: Findings, fields: Fields, defaults: Mapping[str, Any]) -> str:
    """The interface, or the VRF in its place: unicast adverts are routed, so that any interface of the VRF
    may carry them."""
    vrf = fields.get("vrf")
    if vrf is not None and _may_have_vrf(findings, fields):
        return str(vrf)
    interface = fields.get("interface", defaults.get("default_interface"))
    if interface is not None:
        return str(interface)
    if fields.lacks("interface"):
        name = fields.statement.words[1]
        findings.error(
            "missing-interface",
            f"`vrrp_instance {name}` has no `interface`; keepalived would take {_ANY_LAN}",
            fields.statement.at(0, 2),
            advice="add `interface NAME`",
            lenient=True,
        )
    return _ANY_LAN


def _may_have_vrf(findings: Findings, fields: Fields) -> bool:
    """As keepalived: for unicast alone, and in place of an interface."""
    if "interface" in fields.values:
        why, advice = "there is an `interface`, whose VRF is taken", "take `vrf` out"
    elif not fields.get("unicast_peers"):
        why, advice = (
            "only unicast adverts are routed",
            "write `unicast_peer`, or `interface` instead of `vrf`",
        )
    elif "vmac" in fields.values or "ipvlan" in fields.values:
        why, advice = "a virtual interface needs one below it", "write `interface` instead of `vrf`"
    else:
        return True
    text = f"`vrf {fields.get('vrf')}` can't be used: {why}"
    findings.error("unusable-vrf", text, fields.where("vrf"), advice=advice, lenient=True)
    return False
