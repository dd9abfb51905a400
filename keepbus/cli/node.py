"""A node's retained states put together, and what is wrong with it.

Pure: states and a moment in, findings out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from keepbus.cli.gist import certificate_ends
from keepbus.cli.terminal import duration
from keepbus.contracts import audit, checker, common, ipvs, notify, vrrp
from keepbus.contracts.common import Status
from keepbus.contracts.message import Message

BodyT = TypeVar("BodyT")

SERVICES = ("hub", "vrrp", "checker", "ipvs", "notify", "watchdog", "audit")
SILENT_NS = 2_000_000_000
"""A service whose last heartbeat is older says nothing any more; they come every 0.5 s."""
CERTIFICATE_DAYS = 14
"""A certificate that ends so soon is a problem; checker tells it as one."""
_DAY_NS = 86_400_000_000_000
_WELL = (Status.READY, Status.IDLE)


@dataclass(frozen=True, slots=True)
class Beat:
    """A service and its last heartbeat."""

    name: str
    body: common.Service | None
    """None when it was never heard."""
    age_ns: int
    """Since the last heartbeat left the service."""

    @property
    def silent(self) -> bool:
        """True when it was never heard, or not lately."""
        return self.body is None or self.age_ns > SILENT_NS


@dataclass(frozen=True, slots=True)
class Node:
    """What a node says of itself."""

    name: str
    generation: int
    """The newest that a service runs; 0 when none does."""
    services: tuple[Beat, ...]
    instances: tuple[vrrp.Instance, ...]
    groups: tuple[vrrp.SyncGroup, ...]
    adverts: Mapping[str, vrrp.Statistics]
    """Per instance."""
    counted_ns: Mapping[str, int]
    """When that was so, wall clock; they are told every few seconds."""
    virtual_servers: tuple[ipvs.VirtualServer, ...]
    table: ipvs.Table | None
    sync_daemon: ipvs.SyncDaemon | None
    verdicts: Mapping[str, checker.CheckVerdict]
    """Per check."""
    certificates: Mapping[str, checker.Certificate]
    """Per check."""
    trackers: Mapping[str, checker.Tracker]
    """By KIND:NAME."""
    fifos: tuple[notify.Fifo, ...]
    mail: notify.Mail | None
    notified: Mapping[str, notify.Notified]
    """Per instance."""
    journal: audit.Journal | None
    now_ns: int

    def silent(self, service: str) -> bool:
        """True when what stands of this service's states is only what it said last."""
        return any(beat.name == service and beat.silent for beat in self.services)

    def problems(self) -> list[str]:
        """What is not as it should be, a sentence each, worst first."""
        return [
            *self._service_problems(),
            *self._instance_problems(),
            *self._server_problems(),
            *self._certificate_problems(),
            *self._generation_problems(),
        ]

    def _service_problems(self) -> Iterator[str]:
        for beat in self.services:
            if beat.body is None:
                yield f"{beat.name} was never heard: it is not running"
            elif beat.silent:
                yield f"{beat.name} (pid {beat.body.pid}) is silent since {duration(beat.age_ns)}"
            elif beat.body.status not in _WELL:
                yield f"{beat.name} is {beat.body.status}: {beat.body.detail}"

    def _instance_problems(self) -> Iterator[str]:
        for instance in self.instances:
            if instance.state is vrrp.VrrpState.FAULT or instance.faults:
                why = "; ".join(instance.faults) or instance.cause
                yield f"{instance.name} is in {instance.state}: {why}"
            elif instance.state is vrrp.VrrpState.INIT:
                yield f"{instance.name} has not begun: {instance.cause}"
            elif instance.state is vrrp.VrrpState.MASTER and not instance.holds_addresses:
                yield f"{instance.name} is MASTER without its addresses: {instance.cause}"
            if instance.state is vrrp.VrrpState.MASTER:
                for refused in instance.refused:
                    yield f"{instance.name} is MASTER without {refused}"
            for each in instance.trackers:
                told = self.trackers.get(f"{each.kind}:{each.name}")
                if told is not None and told.verdict is checker.Verdict.UNKNOWN and told.evidence is not None:
                    yield f"{instance.name}: {each.kind} {each.name} is unknown: {told.evidence.received}"
            for name in instance.contested:
                yield f"{instance.name}: another program adds or removes {name} again and again"
            for kept in instance.kept:
                yield f"{instance.name} is {instance.state} and still has {kept}"
            for claim in instance.claims:
                yield f"{instance.name}: another host ({claim.mac}) says that it has {claim.address}, too"
            if instance.rivals:
                deaf = ", and it does not hear this node" if instance.unheard else ""
                yield f"{instance.name} is MASTER here and at {' '.join(instance.rivals)}{deaf}"
            statistics = self.adverts.get(instance.name)
            for sentence in statistics.disagreements if statistics is not None else ():
                yield f"{instance.name}: {sentence}"
        for notified in self.notified.values():
            if notified.lost:
                yield f"{notified.lost} transitions of {notified.name} were never notified"
        for fifo in self.fifos:
            if fifo.lost:
                yield f"{fifo.lost} lines for {fifo.keyword} {fifo.path} were lost: nobody read it"
        if self.mail is not None and self.mail.lost:
            yield f"{self.mail.lost} mails were given up: {self.mail.last_error or 'the server is back'}"

    def _server_problems(self) -> Iterator[str]:
        for server in self.virtual_servers:
            if server.error:
                yield f"{server.name}: {server.error}"
            if not server.quorum_up:
                yield f"{server.name} has no quorum: weight {server.weight_up}, {server.quorum} wanted"
        if self.sync_daemon is not None and self.sync_daemon.error:
            yield f"lvs_sync_daemon: {self.sync_daemon.error}"
        for server in self.virtual_servers:
            for real in server.real_servers:
                if real.verdict is checker.Verdict.DOWN:
                    yield f"{real.address} of {server.name} is down: {real.reason}"

    def _certificate_problems(self) -> Iterator[str]:
        for told in self.certificates.values():
            days_left = (told.not_after_ns - self.now_ns) // _DAY_NS
            if days_left < CERTIFICATE_DAYS:
                yield f"the certificate of {told.target} {certificate_ends(days_left)}: {told.subject}"

    def _generation_problems(self) -> Iterator[str]:
        for beat in self.services:
            if beat.body is not None and 0 < beat.body.generation < self.generation:
                yield (
                    f"{beat.name} runs generation {beat.body.generation} of the configuration, "
                    f"others {self.generation}"
                )


def assemble(states: Mapping[str, Message], now_ns: int, generation: int = 0) -> Node:
    """A node from its states by topic. generation is that of the run directory, where it is known."""
    beats = {
        message.header.source: message for message in states.values() if type(message.body) is common.Service
    }
    services = tuple(
        Beat(name, beats[name].body, now_ns - beats[name].header.sent_ns)
        if name in beats
        else Beat(name, None, 0)
        for name in [*SERVICES, *sorted(beats.keys() - set(SERVICES))]
    )
    nodes = [message.header.node for message in states.values()]
    return Node(
        name=max(nodes, key=nodes.count, default=""),
        generation=max([generation, *(beat.body.generation for beat in services if beat.body is not None)]),
        services=services,
        instances=tuple(_bodies(vrrp.Instance, states)),
        groups=tuple(_bodies(vrrp.SyncGroup, states)),
        adverts={body.name: body for body in _bodies(vrrp.Statistics, states)},
        counted_ns={
            message.body.name: message.header.at_ns
            for message in states.values()
            if type(message.body) is vrrp.Statistics
        },
        virtual_servers=tuple(_bodies(ipvs.VirtualServer, states)),
        table=next(_bodies(ipvs.Table, states), None),
        sync_daemon=next(_bodies(ipvs.SyncDaemon, states), None),
        verdicts={body.check: body for body in _bodies(checker.CheckVerdict, states)},
        certificates={body.check: body for body in _bodies(checker.Certificate, states)},
        trackers={body.tracker: body for body in _bodies(checker.Tracker, states)},
        fifos=tuple(_bodies(notify.Fifo, states)),
        mail=next(_bodies(notify.Mail, states), None),
        notified={body.name: body for body in _bodies(notify.Notified, states)},
        journal=next(_bodies(audit.Journal, states), None),
        now_ns=now_ns,
    )


def _bodies(kind: type[BodyT], states: Mapping[str, Message]) -> Iterator[BodyT]:
    """Bodies of one class, in the order of their topics."""
    for _, message in sorted(states.items()):
        if type(message.body) is kind:
            yield message.body
