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

from keepbus.config.model import Forwarding, Protocol, RealServer, SorryServer, VirtualServer
from keepbus.contracts import ipvs as contract
from keepbus.contracts.checker import CheckVerdict, Verdict
from keepbus_ipvs.table import (
    AF_INET6,
    DIRECT,
    MASQUERADE,
    PERSISTENT,
    TCP,
    TUNNEL,
    UDP,
    WHOLE_ADDRESS,
    Destination,
    DestinationKey,
    Entry,
    FoundService,
    Service,
    ServiceKey,
    canonical,
    endpoint,
    family_of,
    is_loopback,
)

METHODS = {
    Forwarding.NAT: MASQUERADE,
    Forwarding.DR: DIRECT,
    Forwarding.TUN: TUNNEL,
}
_PROTOCOLS = {Protocol.TCP: TCP, Protocol.UDP: UDP}
_SORRY_WEIGHT = 1
_MOST_WEIGHT = (1 << 31) - 1
_DOWN_WEIGHT = -(1 << 31)
"""An effective weight that is not above this means that the server is down (keepalived-features 12.2)."""


@dataclass(slots=True)
class Member:
    """A real server and what is known of it."""

    server: RealServer
    destination: Destination
    """As it is entered while it lives, with the configured weight."""
    verdict: Verdict = Verdict.UNKNOWN
    weight: int = 0
    """Effective: the configured one and what checks make of it."""
    alive: bool = True
    since_ns: int = 0
    reason: str = ""
    before: Verdict = Verdict.UNKNOWN
    """Verdict of an earlier process, for as long as no check has told anything."""


@dataclass(slots=True)
class Pool:
    """The state of one virtual server. `evaluate` is the only writer of it, `adopt…` its memory."""

    virtual_server: VirtualServer
    service: Service
    members: tuple[Member, ...]
    sorry: Destination | None
    quorum_up: bool = True
    weight_up: int = 0
    changes: int = 0
    since_ns: int = 0
    evaluated: bool = False
    error: str = ""
    """Why it is not written at all; empty when it can be."""
    cause: str = ""
    """Id of the message that the last evaluation came from."""
    checks: frozenset[str] = field(default_factory=frozenset)

    @property
    def key(self) -> ServiceKey:
        """Its key in the table."""
        return self.service.key

    def evaluate(self, verdicts: Mapping[str, CheckVerdict], wall_ns: int) -> bool:
        """Take the verdicts in; True when the quorum was gained or lost, or was missing at the start."""
        for member in self.members:
            _judge(member, verdicts, self.virtual_server.alpha, wall_ns)
        self.weight_up = sum(max(0, member.weight) for member in self.members if member.alive)
        first, self.evaluated = not self.evaluated, True
        enough = self.weight_up >= self.virtual_server.quorum + self.virtual_server.hysteresis
        lost = (
            self.weight_up == 0
            or self.weight_up < self.virtual_server.quorum - self.virtual_server.hysteresis
        )
        # At the start there is no state to stay in: the band counts as down, unless it was inherited.
        up = enough if first and not self.since_ns else enough or (self.quorum_up and not lost)
        changed = up != self.quorum_up
        if changed or not self.since_ns:
            self.since_ns = wall_ns
        if changed:
            self.changes += 1
        self.quorum_up = up
        return changed

    def entry(self) -> Entry:
        """What the table should hold."""
        destinations: dict[DestinationKey, Destination] = {}
        serving = self.quorum_up or self.sorry is None
        for member in self.members:
            if member.alive and serving:
                destinations[member.destination.key] = _weighted(member)
            elif member.server.inhibit_on_failure:
                destinations[member.destination.key] = member.destination._replace(weight=0)
        if self.sorry is not None:
            sorry_server = self.virtual_server.sorry_server
            if not self.quorum_up:
                destinations[self.sorry.key] = self.sorry
            elif sorry_server is not None and sorry_server.inhibit:
                destinations.setdefault(self.sorry.key, self.sorry._replace(weight=0))
        return Entry(self.service, destinations)

    def adopt(self, earlier: contract.VirtualServer) -> None:
        """Take over what an earlier process last said of this virtual server."""
        self.quorum_up, self.changes, self.since_ns = earlier.quorum_up, earlier.changes, earlier.since_ns
        verdicts = {server.address: server.verdict for server in earlier.real_servers}
        for member in self.members:
            member.before = verdicts.get(endpoint(*member.destination.key), member.before)

    def adopt_found(self, found: FoundService, wall_ns: int) -> None:
        """Take over what an earlier process left in the kernel: a server that is in there was up."""
        weights = {item.destination.key: item.destination.weight for item in found.destinations}
        for member in self.members:
            weight = weights.get(member.destination.key)
            inhibited = weight == 0 and member.server.inhibit_on_failure and member.server.weight > 0
            if weight is not None and not inhibited and member.before is Verdict.UNKNOWN:
                member.before = Verdict.UP
        if not self.since_ns and self.sorry is not None:
            self.quorum_up = not weights.get(self.sorry.key)
            self.since_ns = wall_ns

    def inherit(self, earlier: Pool) -> None:
        """Take over the state of the same virtual server from before a reload."""
        self.quorum_up, self.changes, self.since_ns = earlier.quorum_up, earlier.changes, earlier.since_ns
        self.evaluated = earlier.evaluated
        before = {member.destination.key: member for member in earlier.members}
        for member in self.members:
            known = before.get(member.destination.key)
            if known is not None:
                member.verdict = member.before = known.verdict
                member.since_ns = known.since_ns

    def reason_of(self, key: DestinationKey) -> str:
        """Why a destination is, or is not, in the table."""
        if self.sorry is not None and key == self.sorry.key:
            return self.quorum_sentence()
        for member in self.members:
            if member.destination.key == key:
                if member.alive and not self.quorum_up and self.sorry is not None:
                    return f"the sorry server serves: {self.quorum_sentence()}"
                return member.reason
        return "not in the configuration"

    def quorum_sentence(self) -> str:
        """`quorum lost: weight 0 of 1 is up`."""
        word = "gained" if self.quorum_up else "lost"
        return f"quorum {word}: weight {self.weight_up} is up, {self.virtual_server.quorum} is needed"


def pool_of(virtual_server: VirtualServer) -> Pool:
    """A pool that knows nothing yet; raises ValueError when an address is none."""
    real_servers: dict[DestinationKey, Member] = {}
    for server in virtual_server.real_servers:
        destination = _destination(virtual_server, server)
        real_servers.setdefault(destination.key, Member(server, destination, weight=server.weight))
    sorry_server = virtual_server.sorry_server
    return Pool(
        virtual_server=virtual_server,
        service=_service(virtual_server),
        members=tuple(real_servers.values()),
        sorry=None if sorry_server is None else _sorry(virtual_server, sorry_server),
        checks=frozenset(use.check for server in virtual_server.real_servers for use in server.checks),
    )


def _service(virtual_server: VirtualServer) -> Service:
    family = family_of(virtual_server.address)
    netmask, flags = WHOLE_ADDRESS[family], 0
    if virtual_server.persistence_timeout_s:
        flags = PERSISTENT
        granularity = virtual_server.persistence_granularity
        if not (family == AF_INET6 and "." in granularity):
            netmask = granularity
    return Service(
        key=ServiceKey(
            family,
            _PROTOCOLS[virtual_server.protocol],
            canonical(virtual_server.address),
            virtual_server.port,
        ),
        scheduler=virtual_server.scheduler,
        flags=flags,
        timeout_s=virtual_server.persistence_timeout_s,
        netmask=netmask,
    )


def _destination(virtual_server: VirtualServer, server: RealServer) -> Destination:
    return Destination(
        key=_destination_key(virtual_server, server.address, server.port, server.forwarding),
        forwarding=_method(virtual_server, server.address, server.port, server.forwarding),
        weight=server.weight,
        upper=server.uthreshold,
        lower=server.lthreshold,
    )


def _sorry(virtual_server: VirtualServer, server: SorryServer) -> Destination:
    return Destination(
        key=_destination_key(virtual_server, server.address, server.port, server.forwarding),
        forwarding=_method(virtual_server, server.address, server.port, server.forwarding),
        weight=_SORRY_WEIGHT,
    )


def _method(virtual_server: VirtualServer, address: str, port: int, forwarding: Forwarding) -> int:
    # The kernel drops what it would have to rewrite to a loopback address for another host; delivered as it
    # came it reaches the server, and nothing else is different as long as the port is the same.
    if METHODS[forwarding] == MASQUERADE and is_loopback(address) and port in (0, virtual_server.port):
        return DIRECT
    return METHODS[forwarding]


def _destination_key(
    virtual_server: VirtualServer, address: str, port: int, forwarding: Forwarding
) -> DestinationKey:
    # Only NAT rewrites ports (W2); keepalived forces the port of the others, and so do we.
    rewritten = forwarding is Forwarding.NAT and port != 0
    return DestinationKey(canonical(address), port if rewritten else virtual_server.port)


def _judge(member: Member, verdicts: Mapping[str, CheckVerdict], alpha: bool, wall_ns: int) -> None:
    heard = [(use, verdicts.get(use.check)) for use in member.server.checks]
    down = next(
        (verdict for _, verdict in heard if verdict is not None and verdict.verdict is Verdict.DOWN), None
    )
    waiting = [use for use, verdict in heard if verdict is None or verdict.verdict is Verdict.UNKNOWN]
    before = member.verdict
    member.weight = _effective_weight(member.server.weight, (verdict for _, verdict in heard))
    if down is not None:
        member.verdict, member.alive, member.reason = Verdict.DOWN, False, _evidence(down)
        member.since_ns = down.since_ns
    elif waiting:
        _assume(member, alpha or any(use.alpha for use in waiting))
    else:
        member.verdict, member.alive = Verdict.UP, True
        newest = _newest(verdict for _, verdict in heard if verdict is not None)
        member.reason = "has no check" if newest is None else _evidence(newest)
        if member.weight <= _DOWN_WEIGHT:
            member.verdict, member.alive = Verdict.DOWN, False
            member.reason = f"its checks make its weight {member.weight}"
        if newest is not None:
            member.since_ns = newest.since_ns
    if not member.since_ns or (member.verdict is not before and (waiting or not heard)):
        member.since_ns = wall_ns


def _weighted(member: Member) -> Destination:
    if member.weight == member.destination.weight:
        return member.destination
    return member.destination._replace(weight=min(max(0, member.weight), _MOST_WEIGHT))


def _effective_weight(configured: int, verdicts: Iterable[CheckVerdict | None]) -> int:
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


def _newest(verdicts: Iterable[CheckVerdict]) -> CheckVerdict | None:
    return max(verdicts, key=lambda verdict: verdict.since_ns, default=None)


def _evidence(verdict: CheckVerdict) -> str:
    what = f"{verdict.kind} {verdict.target} is {verdict.verdict}"
    if verdict.evidence is None:
        return what
    return f"{what}: {verdict.evidence.sent}: {verdict.evidence.received}"
