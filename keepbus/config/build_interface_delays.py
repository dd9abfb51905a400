"""`interface_up_down_delays` to the model (features 6.6)."""

from __future__ import annotations

from collections.abc import Iterable

from keepbus.config.model.tracking import TrackerKind
from keepbus.config.model.vrrp import InterfaceDelay, VrrpInstance
from keepbus.config.reader import TableReader
from keepbus.config.syntax import Statement
from keepbus.config.values import Invalid, interface, seconds

_LIMITS = "0..255"


def build_interface_delays(
    tables: TableReader, lines: Iterable[Statement], instances: Iterable[VrrpInstance]
) -> tuple[InterfaceDelay, ...]:
    """A delay for each interface that is named, and for the ipvlans on it."""
    instances = tuple(instances)
    found: dict[str, InterfaceDelay] = {}
    for line in lines:
        name = line.words[0]
        try:
            interface((name,), "")
            if len(line.words) < 2:
                raise Invalid("seconds are missing")
            down_us, up_us = (seconds((word,), _LIMITS) for word in (*line.words[1:3], "0")[:2])
        except Invalid as error:
            text = f"`interface_up_down_delays` of {name}: {error}; the line is ignored"
            tables.findings.error("bad-value", text, line.at(), advice="write IF DOWN [UP]", lenient=True)
            continue
        if len(line.words) > 3:
            tables.surplus(line, line.words, 3)
        if name in found:
            text = f"there is a delay for {name} already; the last one counts"
            tables.findings.warning("given-twice", text, line.at())
        most_us = min((_most_us(each) for each in instances if name in _interfaces(each)), default=down_us)
        if down_us > most_us:
            text = (
                f"{name} may be down for {most_us / 1e6:g} s at most before its instances must know, or a "
                "backup takes over first; this is taken"
            )
            tables.findings.warning("delay-too-long", text, line.at(1))
        found[name] = InterfaceDelay(interface=name, down_us=min(down_us, most_us), up_us=min(up_us, most_us))
        for each in instances:
            if each.ipvlan is not None and each.ipvlan.interface == name:
                own = InterfaceDelay(
                    interface=each.interface, down_us=found[name].down_us, up_us=found[name].up_us
                )
                found.setdefault(each.interface, own)
    return tuple(found.values())


def _most_us(instance: VrrpInstance) -> int:
    """One advert interval less than others wait for an advert, and the least skew."""
    interval_us = instance.advert_interval_us
    return (instance.down_timer_adverts - 1) * interval_us - interval_us // 256


def _interfaces(instance: VrrpInstance) -> set[str]:
    tracked = {each.name for each in instance.trackers if each.kind is TrackerKind.INTERFACE}
    below = {instance.ipvlan.interface} if instance.ipvlan is not None else set()
    return {instance.interface} | tracked | below
