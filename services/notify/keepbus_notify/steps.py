"""What happened to an object, whatever it is: the numbered steps in what the bus says of it. Pure.

Law of this file: a step has the number that its owner gave it, within the owner's life. Instances and groups
keep their last transitions, so that several steps can come at once; of servers only the newest is known.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from keepbus.config.model.notify import NotifyKind, real_server_name
from keepbus.contracts import ipvs, vrrp

UP, DOWN = "UP", "DOWN"
RX_LOWER_PRI = "MASTER_RX_LOWER_PRI"


class Step(NamedTuple):
    """One change of one object."""

    number: int
    state: str
    """What was entered, in keepalived's words; UP or DOWN of servers."""
    priority: int
    """Of an instance at that moment; 0 for the others."""
    at_ns: int
    """Wall clock, nanoseconds; 0 when it is not known."""
    detail: str = ""
    """What a mail adds: the reason."""


class Object(NamedTuple):
    """An object, and how far it is."""

    kind: NotifyKind
    name: str
    """As NotifyTarget.name has it."""
    life: str
    newest: int
    """Number of its newest step; 0: none yet."""
    state: str
    """Now."""
    steps: tuple[Step, ...]
    """Oldest first."""

    @property
    def key(self) -> str:
        """As NotifyTarget.object has it."""
        return self.name if self.kind is NotifyKind.INSTANCE else f"{self.kind} {self.name}"


def objects(body: object) -> Iterator[Object]:
    """What a state tells of: one object, or a virtual server and all of its real servers."""
    if isinstance(body, vrrp.Instance):
        yield _vrrp(NotifyKind.INSTANCE, body)
    elif isinstance(body, vrrp.SyncGroup):
        yield _vrrp(NotifyKind.GROUP, body)
    elif isinstance(body, ipvs.VirtualServer):
        for server in body.real_servers:
            name = real_server_name(server.address, body.name, body.protocol)
            step = Step(server.changes, UP if server.alive else DOWN, 0, server.since_ns, server.reason)
            yield _server(NotifyKind.REAL_SERVER, name, body.life, step)
        detail = f"{body.quorum} {'<=' if body.quorum_up else '>'} {body.weight_up}"
        step = Step(body.changes, UP if body.quorum_up else DOWN, 0, body.since_ns, detail)
        yield _server(NotifyKind.VIRTUAL_SERVER, body.name, body.life, step)


def _server(kind: NotifyKind, name: str, life: str, step: Step) -> Object:
    """Without a change there is no step: it is what it was at the start."""
    return Object(kind, name, life, step.number, step.state, (step,) if step.number else ())


def _vrrp(kind: NotifyKind, body: vrrp.Instance | vrrp.SyncGroup) -> Object:
    steps = tuple(
        Step(each.number, _word(each), each.priority, each.at_ns, each.cause) for each in body.history
    )
    return Object(kind, body.name, body.life, body.transitions, body.state.value, steps)


def _word(transition: vrrp.Transition) -> str:
    # A master that stays master has answered a lower one.
    if transition.from_state is transition.to_state is vrrp.VrrpState.MASTER:
        return RX_LOWER_PRI
    return transition.to_state.value


def is_flap(kind: NotifyKind, known: int, step: Step) -> bool:
    """A server that is again what it was at the step `known`: there is nothing new to tell.

    How a quorum begins is a step of its own; before the first one it was nothing.
    """
    if not known and kind is NotifyKind.VIRTUAL_SERVER:
        return False
    return step.state in (UP, DOWN) and (step.number - known) % 2 == 0
