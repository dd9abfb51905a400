"""The contract between a service's pure core and the shell that runs it.

A machine takes what happened and the moment of looking, and answers with what it wishes to be done. It has
no clock, no socket, no randomness of its own: time and random seeds are arguments. Events and effects are
NamedTuples or frozen dataclasses from the service's `events.py` and `effects.py`, and those below, which
every service has. This module is pure; a core may import it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from keepbus.contracts.common import Status
from keepbus.contracts.message import Body, Message

Event = Any
Effect = Any


class Machine(Protocol):
    """A service's core."""

    def turn(self, now_ns: int, events: Sequence[Event], /) -> Iterable[Effect]:
        """Take all events in order, then whatever is due at `now_ns`; answer with effects in order.

        now_ns is CLOCK_BOOTTIME in nanoseconds, taken before the sockets were read, so that an event that
        arrived before now_ns is among `events`. Never raises for anything that came from outside.
        """
        ...

    def wake_at_ns(self) -> int | None:
        """When the next turn is due without any event, CLOCK_BOOTTIME nanoseconds; None: never."""
        ...


class Configured(NamedTuple):
    """Event: the configuration to run from now on; the first event of every machine, and each reload."""

    generation: int
    section: Any
    """The service's section of keepbus.config.model.Configuration."""
    wall_ns: int


class BusMessage(NamedTuple):
    """Event: a message came from the bus; repeats of a known state do not come."""

    message: Message
    wall_ns: int


class StopRequested(NamedTuple):
    """Event: SIGTERM or SIGINT. The machine cleans up and ends with `Exit`."""

    wall_ns: int


class Publish(NamedTuple):
    """Effect: put a body on the bus under its own topic. State is retained and repeated by the shell."""

    body: Body
    cause: str = ""
    """Id of the message that led to it."""


class Withdraw(NamedTuple):
    """Effect: the object of this state topic is no more."""

    topic: str
    cause: str = ""


class Report(NamedTuple):
    """Effect: what the service says of itself from now on, in its heartbeat."""

    status: Status
    detail: str


class Log(NamedTuple):
    """Effect: a line for the operator. level is debug, info, warning or error."""

    level: str
    text: str
    fields: Mapping[str, object] = {}


class Exit(NamedTuple):
    """Effect: everything is cleaned up; leave the loop."""

    status: int = 0
