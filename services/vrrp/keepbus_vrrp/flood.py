"""More adverts than anybody can mean: dropped before they are looked at, the newest kept (D20, R-F75).

Law of this file: while no flood comes it costs an addition and a comparison for all that was read at once. In
a flood a virtual router gets 20 times its rate and 2,000 a second at least, for who sends less than costs
anything must not be able to drown a valid advert among forged ones; all routers that are not configured here
get 20 a second together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from keepbus_vrrp import ah, ipv4
from keepbus_vrrp.drops import Drops
from keepbus_vrrp.effects import Endpoint
from keepbus_vrrp.family import BY_NAME, IPV4, Family
from keepbus_vrrp.instance import Instance
from keepbus_vrrp.turn import Turn

_DETAIL = "far more adverts came than are expected; the newest are looked at"
_UNKNOWN = -1
"""In place of a virtual router id: all that are not configured."""
_TIMES_EXPECTED = 20
_LEAST_PER_S = 2000
"""To refuse so many takes a hundredth of a processor's time."""
_UNKNOWN_PER_S = 20
_WINDOW_NS = 1_000_000_000
_US_PER_S = 1_000_000

Datagrams = Sequence[tuple[bytes, int]]


class _Window:
    """What came on one endpoint within a second."""

    __slots__ = ("admitted", "count", "ends_at_ns", "usual")

    def __init__(self) -> None:
        self.ends_at_ns = 0
        self.count = 0
        self.usual = 0
        """So many may come without anybody being counted on his own."""
        self.admitted: dict[int, int] = {}


class Flood:
    """Counts what comes, and tells of what is dropped."""

    def __init__(self, turn: Turn, drops: Drops) -> None:
        self._turn = turn
        self._drops = drops
        self._windows: dict[Endpoint, _Window] = {}

    def admit(self, endpoint: Endpoint, datagrams: Datagrams, routers: Mapping[int, Instance]) -> Datagrams:
        """Those of the datagrams that are to be looked at."""
        now_ns = self._turn.now_ns
        window = self._windows.get(endpoint)
        if window is None:
            window = self._windows[endpoint] = _Window()
        if now_ns >= window.ends_at_ns:
            window.ends_at_ns = now_ns + _WINDOW_NS
            window.count = 0
            window.usual = _LEAST_PER_S + 2 * sum(map(_expected_per_s, routers.values()))
            window.admitted.clear()
        window.count += len(datagrams)
        if window.count <= window.usual:
            return datagrams
        kept, dropped = _select(window.admitted, BY_NAME[endpoint.family], datagrams, routers)
        link = self._turn.links.by_index(endpoint.interface_index)
        for router_id, count in dropped.items():
            name = ""
            if router_id != _UNKNOWN:
                name = routers[router_id].config.name
                routers[router_id].counters.drop("flood", count)
            told = self._drops.tell(
                now_ns, "" if link is None else link.name, name, "", "flood", _DETAIL, count
            )
            self._turn.effects.extend(told)
        return kept


def _select(
    admitted: dict[int, int], family: Family, datagrams: Datagrams, routers: Mapping[int, Instance]
) -> tuple[Datagrams, dict[int, int]]:
    """The newest of each virtual router, as far as its limit goes; and how many of each are dropped."""
    kept: list[tuple[bytes, int]] = []
    dropped: dict[int, int] = {}
    room: dict[int, int] = {}
    router_id_at = family.header_octets + 1
    for datagram, at_ns in reversed(datagrams):
        if len(datagram) <= router_id_at:
            continue
        router_id = datagram[router_id_at]
        if family is IPV4 and datagram[ipv4.PROTOCOL_AT] == ah.PROTOCOL_AH:
            router_id = datagram[router_id_at + ah.LENGTH] if len(datagram) > router_id_at + ah.LENGTH else 0
        if router_id not in routers:
            router_id = _UNKNOWN
        left = room.get(router_id)
        if left is None:
            limit = _UNKNOWN_PER_S
            if router_id != _UNKNOWN:
                limit = max(_LEAST_PER_S, _TIMES_EXPECTED * _expected_per_s(routers[router_id]))
            left = limit - admitted.get(router_id, 0)
        if left > 0:
            kept.append((datagram, at_ns))
            admitted[router_id] = admitted.get(router_id, 0) + 1
            room[router_id] = left - 1
        else:
            dropped[router_id] = dropped.get(router_id, 0) + 1
            room[router_id] = 0
    kept.reverse()
    return kept, dropped


def _expected_per_s(instance: Instance) -> int:
    """Adverts of one master, rounded up."""
    return -(-_US_PER_S // min(instance.terms.interval_us, instance.master_interval_us))
