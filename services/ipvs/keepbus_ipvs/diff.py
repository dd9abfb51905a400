"""The least set of commands that turns what is found into what is wanted.

Law of this file: the order never leaves a service without a target. New destinations come before edits,
edits that give weight before edits that take it, removals last (W18); a changed setting is an edit in
place, because that breaks no connection (W11); nothing is flushed (W10).
"""

from __future__ import annotations

import enum
from typing import NamedTuple

from keepbus_ipvs.table import HASHED, LOCAL, Destination, Entry, Service


class Verb(enum.IntEnum):
    """What a command does; the numbers are the kernel's (V2)."""

    ADD_SERVICE = 1
    EDIT_SERVICE = 2
    REMOVE_SERVICE = 3
    ADD_DESTINATION = 5
    EDIT_DESTINATION = 6
    REMOVE_DESTINATION = 7


class Command(NamedTuple):
    """One change of the table."""

    verb: Verb
    service: Service
    destination: Destination | None = None


def difference(wanted: Entry | None, found: Entry | None) -> list[Command]:
    """Commands for one service; None: there is no such service, or should not be."""
    if wanted is None:
        # The kernel takes the destinations with the service (V12).
        return [] if found is None else [Command(Verb.REMOVE_SERVICE, found.service)]
    service = wanted.service
    commands = []
    if found is None:
        commands.append(Command(Verb.ADD_SERVICE, service))
    elif not same_service(service, found.service):
        commands.append(Command(Verb.EDIT_SERVICE, service))
    there = {} if found is None else found.destinations
    edits = []
    for key, destination in wanted.destinations.items():
        present = there.get(key)
        if present is None:
            commands.append(Command(Verb.ADD_DESTINATION, service, destination))
        elif not same_destination(destination, present):
            edits.append(Command(Verb.EDIT_DESTINATION, service, destination))
    edits.sort(key=_takes_weight)
    commands += edits
    commands += [
        Command(Verb.REMOVE_DESTINATION, service, destination)
        for key, destination in there.items()
        if key not in wanted.destinations
    ]
    return commands


def apply(entry: Entry | None, command: Command) -> Entry | None:
    """The service after a command that succeeded."""
    verb, service, destination = command
    if verb is Verb.REMOVE_SERVICE:
        return None
    destinations = {} if entry is None else dict(entry.destinations)
    if destination is None:
        return Entry(service, destinations)
    if verb is Verb.REMOVE_DESTINATION:
        destinations.pop(destination.key, None)
    else:
        destinations[destination.key] = destination
    return Entry(service if entry is None else entry.service, destinations)


def same_service(wanted: Service, found: Service) -> bool:
    """True when no edit is needed. The flag that the kernel itself adds does not count (V15)."""
    return wanted == found or wanted == found._replace(flags=found.flags & ~HASHED)


def same_destination(wanted: Destination, found: Destination) -> bool:
    """True when no edit is needed. The kernel turns a server of its own addresses into LOCAL (W5)."""
    return wanted == found or (
        found.forwarding == LOCAL and wanted == found._replace(forwarding=wanted.forwarding)
    )


def _takes_weight(command: Command) -> bool:
    return command.destination is not None and command.destination.weight == 0
