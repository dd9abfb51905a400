"""What goes into the journal: everything that tells something.

Law of this file: every message is written, but for heartbeats that say what the last one said and
statistics that come often; those alone would fill the disk. What is left out is never a change of state.
"""

from __future__ import annotations

from collections.abc import Sequence

from keepbus.contracts.audit import Journal
from keepbus.contracts.common import Service, Status
from keepbus.contracts.message import Message
from keepbus.runtime.machine import BusMessage, Effect, Event, Exit, Log, Publish, Report, StopRequested
from keepbus_audit.effects import Append, Open
from keepbus_audit.events import Opened, Wrote
from keepbus_audit.line import of_message, of_opening

STATISTICS_NS = 60_000_000_000
"""Of one topic's statistics one message is written in this time."""
TELL_NS = 5_000_000_000
"""The journal's own state is published at most this often, failures at once."""


class Machine:
    """Takes every message; answers with lines."""

    def __init__(self) -> None:
        self._path = ""
        self._heartbeats: dict[str, tuple[object, ...]] = {}
        self._statistics: dict[str, int] = {}
        self._lines = 0
        self._wrote = Wrote(octets=0, rotations=0, lost=0, error="")
        self._told = False
        self._tell_at_ns: int | None = None
        self._next_tell_ns = 0
        self._opening = False

    def wake_at_ns(self) -> int | None:
        """When the journal's state is told next."""
        return self._tell_at_ns

    def turn(self, now_ns: int, events: Sequence[Event]) -> list[Effect]:
        """Make lines of the messages, in order."""
        out: list[Effect] = []
        lines: list[str] = []
        stop = False
        if not self._opening:
            self._opening = True
            out.append(Open())
        for event in events:
            if type(event) is BusMessage:
                if self._tells_something(event.message, now_ns):
                    lines.append(of_message(event.message, event.wall_ns))
            elif type(event) is Opened:
                self._path = event.path
                lines.append(of_opening(event.wall_ns))
            elif type(event) is Wrote:
                self._written(event, now_ns, out)
            elif type(event) is StopRequested:
                stop = True
        if lines:
            self._lines += len(lines)
            out.append(Append(tuple(lines)))
        if self._tell_at_ns is not None and now_ns >= self._tell_at_ns:
            self._tell(now_ns, out)
        if stop:
            out.append(Exit())
        return out

    def _tells_something(self, message: Message, now_ns: int) -> bool:
        kind, _, noun = message.topic.split("/", 3)[:3]
        if kind != "state":
            return True
        if noun == "service":
            return self._is_changed(message)
        if noun == "statistics" and message.body is not None:
            written_ns = self._statistics.get(message.topic)
            if written_ns is not None and now_ns - written_ns < STATISTICS_NS:
                return False
            self._statistics[message.topic] = now_ns
        return True

    def _is_changed(self, message: Message) -> bool:
        body: Service | None = message.body
        said = () if body is None else (body.pid, body.status, body.detail, body.generation)
        if self._heartbeats.get(message.topic) == said:
            return False
        self._heartbeats[message.topic] = said
        return True

    def _written(self, wrote: Wrote, now_ns: int, out: list[Effect]) -> None:
        before, self._wrote = self._wrote, wrote
        failed_now = wrote.error != before.error
        if failed_now and wrote.error:
            sentence = self._sentence()
            out.append(Log("error", sentence))
            out.append(Report(Status.DEGRADED, sentence))
        elif failed_now or not self._told:
            if before.error:
                out.append(Log("info", f"the journal is written again; {wrote.lost} lines are missing"))
            out.append(Report(Status.READY, f"writes {self._path}"))
        if failed_now or not self._told:
            self._tell(now_ns, out)
        elif self._tell_at_ns is None:
            self._tell_at_ns = self._next_tell_ns

    def _sentence(self) -> str:
        return (
            f"the journal cannot be written ({self._wrote.error}), lines are missing from it; "
            "make room in the run directory, or write access for audit"
        )

    def _tell(self, now_ns: int, out: list[Effect]) -> None:
        self._tell_at_ns = None
        self._next_tell_ns = now_ns + TELL_NS
        body = Journal(
            path=self._path,
            lines=self._lines,
            octets=self._wrote.octets,
            rotations=self._wrote.rotations,
            lost=self._wrote.lost,
            error=self._wrote.error,
        )
        self._told = True
        out.append(Publish(body))
