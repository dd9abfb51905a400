"""What an instance tracks, as `keepbus status` shows it."""

from __future__ import annotations

from collections.abc import Iterator

from keepbus.cli.gist import mood
from keepbus.cli.node import Node
from keepbus.cli.terminal import Paint, clean, duration
from keepbus.contracts import vrrp

_OWNER = 255


def priority(instance: vrrp.Instance) -> str:
    """`150 = 100 + 50 chk_haproxy`: what tracking makes of the configured one."""
    base, effective = instance.base_priority, instance.effective_priority
    parts = [each for each in instance.trackers if each.contribution]
    if base == _OWNER or not parts:
        return str(effective) if effective == base else f"{effective} (configured {base})"
    terms = [str(base)]
    for each in parts:
        sign = "+" if each.contribution > 0 else "-"
        terms.append(f"{sign} {abs(each.contribution)} {clean(each.name)}")
    limited = "" if base + sum(each.contribution for each in parts) == effective else " (within 1 to 254)"
    return f"{effective} = {' '.join(terms)}{limited}"


def trackers(instance: vrrp.Instance, node: Node, paint: Paint) -> Iterator[list[str]]:
    """A row each: what, its verdict, its part, since when, why, and when it was looked at last."""
    for each in instance.trackers:
        weight = "fault when down" if not each.weight else f"weight {each.weight}"
        if each.reverse:
            weight += " reverse"
        since = duration(node.now_ns - each.since_ns) if each.since_ns else ""
        why = clean(each.detail)
        told = node.trackers.get(f"{each.kind}:{each.name}")
        if told is not None and told.evidence is not None:
            if not told.evidence.received.startswith(each.detail):
                why = clean(told.evidence.received)
            why += f", {duration(node.now_ns - told.evidence.at_ns)} ago"
        yield [
            f"{each.kind} {clean(each.name)}",
            paint(each.verdict, mood(each.verdict), "bold"),
            f"{each.contribution:+d}" if each.contribution else "",
            weight,
            since,
            paint(why, "dim"),
        ]
