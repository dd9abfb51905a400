"""Record the turns of a loop; feed a recording to a fresh machine.

A recording is a file of msgpack objects, one per turn: `[now_ns, [event, …]]`, an event being its class
name and its fields. Fed to a fresh machine in the same order it gives the same effects.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgpack

from keepbus.contracts.message import Header, Message, body_class
from keepbus.contracts.schema import from_plain, to_plain
from keepbus.runtime.machine import BusMessage, Effect, Event, Machine


class Recorder:
    """Appends turns to a file, until one cannot be written: a recording never costs its service anything."""

    def __init__(self, path: Path, complain: Callable[[str], object] = lambda _sentence: None) -> None:
        """complain is told why the recording ends. Raises OSError when the file cannot be made."""
        self._path = path
        self._complain = complain
        self._ended = False
        # It holds the configuration, passwords and keys included (A7).
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._file = os.fdopen(descriptor, "ab", buffering=0)
        self._packer = msgpack.Packer()

    def turn(self, now_ns: int, events: Sequence[Event]) -> None:
        """Write one turn; it is in the kernel's hands when this returns."""
        if self._ended:
            return
        octets = self._packer.pack([now_ns, [_event_to_plain(event) for event in events]])
        try:
            whole = self._file.write(octets) == len(octets)
            reason = "there is no room for a whole turn"
        except OSError as error:
            whole, reason = False, error.strerror or str(error)
        if not whole:
            self._ended = True
            self._complain(f"the recording {self._path} ends here: {reason}; make room and start again")


def turns(
    path: Path, events: Mapping[str, Callable[..., Event]], section: type | None
) -> Iterator[tuple[int, list[Event]]]:
    """The turns of a recording.

    events maps the name of an event class to what builds it from its fields: the class, or a function where
    a field holds more than plain values and tuples of them. section is the class in `Configured`.
    """
    with path.open("rb") as file:
        for now_ns, plain in msgpack.Unpacker(file, strict_map_key=False, max_buffer_size=0):
            yield now_ns, [_event_from_plain(item, events, section) for item in plain]


def replay(
    machine: Machine, recording: Iterable[tuple[int, Sequence[Event]]]
) -> Iterator[tuple[int, Effect]]:
    """Feed the turns to a machine; its effects, each with the moment of its turn."""
    for now_ns, events in recording:
        for effect in machine.turn(now_ns, events):
            yield now_ns, effect


def _event_to_plain(event: Event) -> list[Any]:
    if isinstance(event, BusMessage):
        message = event.message
        body = None if message.body is None else to_plain(message.body)
        return ["BusMessage", message.topic, to_plain(message.header), body, event.wall_ns]
    return [type(event).__name__, *(_field_to_plain(value) for value in _fields(event))]


def _fields(event: Event) -> Iterable[Any]:
    if isinstance(event, tuple):
        return event
    return [getattr(event, field.name) for field in dataclasses.fields(event)]


def _field_to_plain(value: Any) -> Any:
    return to_plain(value) if dataclasses.is_dataclass(value) else value


def _event_from_plain(
    plain: list[Any], events: Mapping[str, Callable[..., Event]], section: type | None
) -> Event:
    name, *fields = plain
    if name == "BusMessage":
        topic, header, body, wall_ns = fields
        cls = body_class(topic)
        decoded = None if body is None or cls is None else from_plain(cls, body)
        return BusMessage(Message(topic, from_plain(Header, header), decoded), wall_ns)
    if name == "Configured" and section is not None:
        fields[1] = from_plain(section, fields[1])
    return events[name](*(tuple(field) if isinstance(field, list) else field for field in fields))
