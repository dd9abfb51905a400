"""One virtual server: which of its real servers live, whether it has its quorum, what the table should hold.

Law of this file (keepalived's rules, keepalived-features 12.3 and 12.4; conformance W18 to W20): a real
server lives when none of its checks is down. A check that has not been heard of counts as up, or as down
with alpha. A verdict, once known, stands until another one comes: a checker that starts anew and knows
nothing yet takes no server out and puts none in. Its weight is the configured one and what its checks add
(12.2).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from keepbus.config.model.ipvs import RealServer, VirtualServer
from keepbus.contracts import ipvs as contract
from keepbus.contracts.checker import Verdict
from keepbus_ipvs.heard import Heard
from keepbus_ipvs.placement import Placement, placements
from keepbus_ipvs.table import (
    Destination,
    DestinationKey,
    Entry,
    FoundService,
    ServiceKey,
    Table,
    canonical,
    endpoint,
)

_MOST_WEIGHT = (1 << 31) - 1
SHUTTING_DOWN = "Shutting down"
_DOWN_WEIGHT = -(1 << 31)
"""An effective weight that is not above this means that the server is down (keepalived-features 12.2)."""


@dataclass(slots=True)
class Member:
    """A real server and what is known of it."""

    server: RealServer
    key: DestinationKey
    """Address and port as configured: its name within the virtual server."""
    verdict: Verdict = Verdict.UNKNOWN
    weight: int = 0
    """Effective: the configured one and what checks make of it."""
    alive: bool = True
    since_ns: int = 0
    reason: str = ""
    before: Verdict = Verdict.UNKNOWN
    """Verdict of an earlier process, for as long as no check has told anything."""
    known: bool = False
    """True when `alive` was decided before, here or by an earlier process."""
    changes: int = 0
    """Of `alive` in this life of the virtual server."""
    drained: bool = False
    """An operator wants it to get no new connections."""


@dataclass(slots=True)
class Pool:
    """The state of one virtual server. `evaluate` is the only writer of it, `adopt…` its memory."""

    virtual_server: VirtualServer
    members: tuple[Member, ...]
    placements: tuple[Placement, ...]
    """Its services; a group has several, and one quorum for all of them."""
    quorum_up: bool = True
    weight_up: int = 0
    changes: int = 0
    since_ns: int = 0
    life: str = ""
    """Names the series in which changes are counted."""
    news: list[Member] = field(default_factory=list)
    """Members that the last evaluation found to have come up or gone down."""
    evaluated: bool = False
    error: str = ""
    """Why it is not written at all; empty when it can be."""
    cause: str = ""
    """Id of the message that the last evaluation came from."""
    checks: frozenset[str] = field(default_factory=frozenset)
    leaving: Table = field(default_factory=dict)
    """What a reload took out and may end its connections."""
    name: str = field(init=False)
    """The virtual server's."""

    def __post_init__(self) -> None:
        self.name = self.virtual_server.name

    @property
    def keys(self) -> list[ServiceKey]:
        """Its keys in the table."""
        return [placement.service.key for placement in self.placements]

    @property
    def has_sorry(self) -> bool:
        """True when a sorry server can stand in."""
        return self.virtual_server.sorry_server is not None

    def evaluate(
        self, verdicts: Mapping[str, Heard | None], wall_ns: int, *, init_notifies: bool = False
    ) -> bool:
        """Take the verdicts in; True when the quorum was gained or lost, or gives way to the sorry server at
        the start. init_notifies: a server that is up at the start is news (`rs_init_notifies`)."""
        self.life = self.life or f"{wall_ns:x}"
        self.news = []
        for member in self.members:
            alive, verdict = member.alive, member.verdict
            _judge(member, verdicts, self.virtual_server.alpha, wall_ns)
            # With alpha nobody has heard yet that it is down when its first check fails (12.3).
            fails_first = not member.alive and verdict is Verdict.UNKNOWN is not member.verdict
            if (alive != member.alive or fails_first) if member.known else (init_notifies and member.alive):
                member.changes += 1
                self.news.append(member)
            member.known = True
        self.weight_up = sum(
            max(0, member.weight) for member in self.members if member.alive and not member.drained
        )
        first, self.evaluated = not self.evaluated, True
        enough = self.weight_up >= self.virtual_server.quorum + self.virtual_server.hysteresis
        lost = (
            self.weight_up == 0
            or self.weight_up < self.virtual_server.quorum - self.virtual_server.hysteresis
        )
        if first and not self.since_ns:
            # At the start there is no state to stay in: the band counts as down. keepalived tells of a quorum
            # that is there, and of one that is not when a sorry server stands in.
            self.quorum_up, self.since_ns = enough, wall_ns
            self.changes = int(enough or self.has_sorry)
            return self.has_sorry and not enough
        up = enough or (self.quorum_up and not lost)
        if up == self.quorum_up:
            return False
        self.quorum_up, self.since_ns = up, wall_ns
        self.changes += 1
        return True

    def shut_down(self, wall_ns: int) -> None:
        """Everything that was up is down: with omega a stop is told as if it were so (12.5)."""
        for member in self.members:
            if member.alive:
                member.alive, member.reason, member.since_ns = False, SHUTTING_DOWN, wall_ns
                member.changes += 1
        if self.quorum_up:
            self.quorum_up, self.weight_up, self.since_ns = False, 0, wall_ns
            self.changes += 1

    def entries(self) -> dict[ServiceKey, Entry]:
        """What the table should hold."""
        entries = {placement.service.key: self._entry(placement) for placement in self.placements}
        for key, entry in self.leaving.items():
            entries[key].destinations.update(
                (each, item)
                for each, item in entry.destinations.items()
                if each not in entries[key].destinations
            )
        return entries

    def _entry(self, placement: Placement) -> Entry:
        destinations: dict[DestinationKey, Destination] = {}
        serving = self.quorum_up or not self.has_sorry
        for member, destination in zip(self.members, placement.destinations, strict=True):
            if member.alive and member.drained:
                # Its connections end by themselves, also while the sorry server serves.
                destinations[destination.key] = destination._replace(weight=0)
            elif member.alive and serving:
                destinations[destination.key] = _weighted(destination, member.weight)
            elif member.server.inhibit_on_failure:
                destinations[destination.key] = destination._replace(weight=0)
        sorry, sorry_server = placement.sorry, self.virtual_server.sorry_server
        if sorry is not None and sorry_server is not None:
            if not self.quorum_up:
                destinations[sorry.key] = sorry
            elif sorry_server.inhibit:
                destinations.setdefault(sorry.key, sorry._replace(weight=0))
        return Entry(placement.service, destinations)

    def adopt(self, earlier: contract.VirtualServer) -> None:
        """Take over what an earlier process last said of this virtual server."""
        self.quorum_up, self.changes, self.since_ns = earlier.quorum_up, earlier.changes, earlier.since_ns
        self.life = earlier.life
        servers = {server.address: server for server in earlier.real_servers}
        for member in self.members:
            server = servers.get(endpoint(*member.key))
            if server is not None:
                member.before, member.alive, member.changes = server.verdict, server.alive, server.changes
                member.known = True

    def adopt_found(self, found: FoundService, wall_ns: int) -> None:
        """Take over what an earlier process left in the kernel: a server that is in there was up."""
        placement = next(each for each in self.placements if each.service.key == found.service.key)
        weights = {item.destination.key: item.destination.weight for item in found.destinations}
        for member, destination in zip(self.members, placement.destinations, strict=True):
            weight = weights.get(destination.key)
            inhibited = weight == 0 and member.server.inhibit_on_failure and member.server.weight > 0
            if weight is not None and not inhibited and member.before is Verdict.UNKNOWN:
                member.before = Verdict.UP
        if not self.since_ns and placement.sorry is not None:
            self.quorum_up = not weights.get(placement.sorry.key)
            self.since_ns = wall_ns

    def inherit(self, earlier: Pool) -> None:
        """Take over the state of the same virtual server from before a reload."""
        self.quorum_up, self.changes, self.since_ns = earlier.quorum_up, earlier.changes, earlier.since_ns
        self.life, self.evaluated = earlier.life, earlier.evaluated
        before = {member.key: member for member in earlier.members}
        for member in self.members:
            known = before.get(member.key)
            if known is not None:
                member.verdict = member.before = known.verdict
                member.since_ns, member.known = known.since_ns, known.known
                member.alive, member.changes = known.alive, known.changes

    def reason_of(self, service: ServiceKey, key: DestinationKey) -> str:
        """Why a destination is, or is not, in the table."""
        for placement in self.placements:
            if placement.service.key != service:
                continue
            if placement.sorry is not None and key == placement.sorry.key:
                return self.quorum_sentence()
            for member, destination in zip(self.members, placement.destinations, strict=True):
                if destination.key == key:
                    return self.reason_for(member)
        return "not in the configuration"

    def reason_for(self, member: Member) -> str:
        """Why a real server is where it is."""
        if member.alive and member.drained:
            return f"drained by an operator; {member.reason}"
        if member.alive and not self.quorum_up and self.has_sorry:
            return f"the sorry server serves: {self.quorum_sentence()}"
        return member.reason

    def quorum_sentence(self) -> str:
        """`quorum lost: weight 0 of 1 is up`."""
        word = "gained" if self.quorum_up else "lost"
        return f"quorum {word}: weight {self.weight_up} is up, {self.virtual_server.quorum} is needed"


def pool_of(virtual_server: VirtualServer) -> Pool:
    """A pool that knows nothing yet; raises ValueError when an address is none."""
    placed = placements(virtual_server)
    # There are many of them: one key is enough for a server that is in the table as it is in the file.
    keys = {item.key: item.key for placement in placed for item in placement.destinations}
    members = []
    for server in virtual_server.real_servers:
        key = DestinationKey(canonical(server.address), server.port)
        members.append(Member(server, keys.get(key, key), weight=server.weight))
    return Pool(
        virtual_server=virtual_server,
        members=tuple(members),
        placements=placed,
        checks=frozenset(use.check for server in virtual_server.real_servers for use in server.checks),
    )


def _judge(member: Member, verdicts: Mapping[str, Heard | None], alpha: bool, wall_ns: int) -> None:
    heard = [(use, verdicts.get(use.check)) for use in member.server.checks]
    down = next(
        (verdict for _, verdict in heard if verdict is not None and verdict.verdict is Verdict.DOWN), None
    )
    waiting = [use for use, verdict in heard if verdict is None or verdict.verdict is Verdict.UNKNOWN]
    before = member.verdict
    member.weight = _effective_weight(member.server.weight, (verdict for _, verdict in heard))
    if down is not None:
        member.verdict, member.alive, member.reason = Verdict.DOWN, False, down.reason
        member.since_ns = down.since_ns
    elif waiting:
        _assume(member, alpha or any(use.alpha for use in waiting))
    else:
        member.verdict, member.alive = Verdict.UP, True
        newest = _newest(verdict for _, verdict in heard if verdict is not None)
        member.reason = "has no check" if newest is None else newest.reason
        if member.weight <= _DOWN_WEIGHT:
            member.verdict, member.alive = Verdict.DOWN, False
            member.reason = f"its checks make its weight {member.weight}"
        if newest is not None:
            member.since_ns = newest.since_ns
    if not member.since_ns or (member.verdict is not before and (waiting or not heard)):
        member.since_ns = wall_ns


def _weighted(destination: Destination, weight: int) -> Destination:
    if weight == destination.weight:
        return destination
    return destination._replace(weight=min(max(0, weight), _MOST_WEIGHT))


def _effective_weight(configured: int, verdicts: Iterable[Heard | None]) -> int:
    """Each check adds to the configured weight: a file its value, a script the way to what it asks for."""
    weight = configured
    for verdict in verdicts:
        if verdict is not None:
            weight += verdict.weight_added
            if verdict.weight is not None:
                weight += verdict.weight - configured
    return weight


def _assume(member: Member, alpha: bool) -> None:
    member.verdict = member.before
    if member.before is not Verdict.UNKNOWN:
        member.alive = member.before is Verdict.UP
        member.reason = f"was {member.before} when ipvs started, not checked since"
    else:
        member.alive = not alpha
        member.reason = (
            "not checked yet, down until then (alpha)" if alpha else "not checked yet, up until then"
        )


def _newest(verdicts: Iterable[Heard]) -> Heard | None:
    return max(verdicts, key=lambda verdict: verdict.since_ns, default=None)
