"""`accept`, `no_accept` and what strict mode makes of them (features 6.4; conformance K4 to K6)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from keepbus.config.diagnostics import Findings

if TYPE_CHECKING:
    from keepbus.config.build_vrrp import Draft

_OWNER = 255


def settle_accept(findings: Findings, drafts: Iterable[Draft], defaults: Mapping[str, Any]) -> None:
    """Whether packets to an instance's addresses are accepted while it is master."""
    for draft in drafts:
        accept = _accepts(findings, draft, defaults)
        draft.instance = dataclasses.replace(draft.instance, accept=accept)


def _accepts(findings: Findings, draft: Draft, defaults: Mapping[str, Any]) -> bool:
    fields, instance = draft.fields, draft.instance
    wished, refused = bool(fields.get("accept")), bool(fields.get("no_accept"))
    if wished and refused:
        wished = fields.before("no_accept", "accept")
        refused = not wished
    if instance.priority == _OWNER:
        if refused:
            findings.warning(
                "no-effect",
                "`no_accept` has no effect with priority 255: an owner accepts packets to its addresses",
                fields.where("no_accept"),
            )
        return True
    if not {**defaults, **fields.values}.get("strict_mode"):
        return not refused
    if wished and instance.version == 2:
        findings.error(
            "strict-mode",
            "strict mode does not allow `accept` in version 2 but to the addresses' owner",
            fields.where("accept"),
            advice="take the line out, or `strict_mode`, or write `version 3`",
            lenient=True,
        )
        return False
    return wished
