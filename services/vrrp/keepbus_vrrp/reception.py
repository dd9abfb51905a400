"""What came in on the sockets: each datagram finds its virtual router, or is refused and counted.

Law of this file: an advert that says again what the last accepted one said costs a comparison, everything
else goes through every check of packet.py, in that order. What a valid advert means is election.py's.
"""

from __future__ import annotations

from keepbus_vrrp import election, events, family, packet
from keepbus_vrrp.drops import Drops
from keepbus_vrrp.effects import Endpoint
from keepbus_vrrp.flood import Flood
from keepbus_vrrp.instance import Instance
from keepbus_vrrp.placement import Placement
from keepbus_vrrp.refusal import Refused
from keepbus_vrrp.timers import NS_PER_US
from keepbus_vrrp.turn import Turn


class Reception:
    """Takes datagrams for all instances of the process."""

    __slots__ = ("_drops", "_flood", "_placement", "_turn")

    def __init__(self, turn: Turn, placement: Placement) -> None:
        """placement knows which virtual routers listen where."""
        self._turn = turn
        self._placement = placement
        self._drops = Drops()
        self._flood = Flood(turn, self._drops)

    def receive(self, event: events.Received) -> None:
        """What one socket gave."""
        endpoint, datagrams = event
        routers = self._placement.routers.get(endpoint)
        if routers is None:
            return
        if endpoint in self._placement.virtual:
            datagrams = self._placement.own(endpoint, datagrams)
        datagrams = self._flood.admit(endpoint, datagrams, routers)
        _, _, _, _, first_octet, header_octets, ttl_at, source_at, *_ = family.BY_NAME[endpoint[1]]
        router_id_at = header_octets + 1
        for datagram, at_ns in datagrams:
            if len(datagram) <= router_id_at:
                continue
            instance = routers.get(datagram[router_id_at])
            content = datagram[source_at:]
            # An advert equal to the last accepted one of this instance in this state has passed every check.
            if (
                instance is not None
                and instance.familiar == content
                and instance.familiar_ttl == datagram[ttl_at]
                and instance.ear.deaf_index != endpoint[0]
                and datagram[0] == first_octet
            ):
                instance.counters.adverts_received += 1
                if at_ns > instance.last_advert_at_ns:
                    instance.last_advert_at_ns = at_ns
                    timer = instance.timer
                    due_at_ns = at_ns + instance.wait_us * NS_PER_US
                    if due_at_ns >= timer.armed_at_ns:
                        timer.due_at_ns = due_at_ns
                    else:
                        self._turn.timers.arm(timer, due_at_ns)
            else:
                self._examine(routers, endpoint, datagram, content, at_ns)

    def _examine(
        self, routers: dict[int, Instance], endpoint: Endpoint, datagram: bytes, content: bytes, at_ns: int
    ) -> None:
        spoken = family.BY_NAME[endpoint[1]]
        _, message = packet.split(datagram, spoken)
        instance = routers.get(message[1]) if len(message) > 1 else None
        if instance is not None and instance.ear.deaf_index == endpoint.interface_index:
            return
        expected = None if instance is None else instance.expected
        advert = packet.examine(
            datagram,
            spoken,
            expected,
            self._placement.groups[endpoint],
            self._placement.local[endpoint],
            self._turn.wall_ns,
        )
        if isinstance(advert, Refused):
            at = spoken.source_at
            sender = datagram[at : at + spoken.address_octets]
            if instance is not None:
                instance.counters.drop(advert.reason)
                instance.disagreements.refused(sender, advert.reason, advert.detail, self._turn.now_ns)
            name = "" if instance is None else instance.config.name
            link = self._turn.links.by_index(endpoint[0])
            interface = "" if link is None else link.name
            source = family.text(sender)
            self._turn.effects.extend(
                self._drops.tell(self._turn.now_ns, interface, name, source, advert.reason, advert.detail)
            )
            return
        assert instance is not None  # an unknown virtual router id is refused
        election.receive(instance, advert, content, at_ns)
