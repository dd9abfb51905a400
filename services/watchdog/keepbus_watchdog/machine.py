"""The watchdog: who died, who stands still.

Law of this file: a death is answered at once, a replacement only with proof. A service stands still when
the bus works, the service has been heard before, and its heartbeat has not moved for five seconds. Whether
the bus works is told by the hub's own heartbeat; when that stands still, the hub is the one to replace and
nobody else is judged. After a stall of our own everybody's time starts anew. What there is to tell while
the hub is away is told when its listeners are back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from keepbus.contracts import common
from keepbus.contracts.message import Message
from keepbus.contracts.watchdog import Death, Replacement, Returned
from keepbus.runtime.machine import BusMessage, Effect, Event, Exit, Log, Publish, Report, StopRequested
from keepbus_watchdog.effects import AskForList, Hold, Kill
from keepbus_watchdog.events import NoList, Process, ProcessDied, ProcessList

SILENCE_NS = 5_000_000_000
"""A heartbeat that was heard may stand still for so long."""
START_NS = 35_000_000_000
"""A new process may take so long to its first heartbeat: the longest back-off, and its start."""
REPLACEMENT_NS = 10_000_000_000
"""A service is replaced at most once in this time."""
HUB_FRESH_NS = 2_500_000_000
"""The bus works when the hub's heartbeat moved so recently."""
JUDGEMENT_NS = 1_000_000_000
LIST_NS = 3_000_000_000
"""Without a reason supervisord is asked so often, for processes that somebody else started anew."""
STALL_NS = 3_000_000_000
"""A turn that comes so late after the last shows that this process stood still itself."""
QUICK_NS = 1_000_000_000
MOST_QUICK_DEATHS = 3
"""More deaths in a row at once after the start are left to supervisord's own pace of one a second."""
MOST_ASKS = 50
"""Times that supervisord is asked again about one death before its own pace is awaited."""

RETURN_NS = 1_000_000_000
"""After the return of the hub its listeners are connected again within this time."""
MOST_HELD_BACK = 100

_ON_PURPOSE = ("STOPPED", "STOPPING")
_HUB = "hub"


@dataclass(slots=True)
class _Watched:
    """A program of supervisord."""

    pid: int = 0
    held_at_ns: int = 0
    died_at_ns: int | None = None
    """When the last process ended, until its successor was heard."""
    undecided: int = 0
    """Pid of an end of which it is not known yet whether somebody wished it."""
    asks: int = 0
    quick_deaths: int = 0
    replaced_at_ns: int | None = None
    killed: int = 0
    """Pid that this watchdog killed."""


@dataclass(slots=True)
class _Beat:
    """The last heartbeat of a service that showed progress."""

    pid: int
    progress: int
    at_ns: int


class Machine:
    """Feed it lists, deaths and heartbeats."""

    def __init__(self, expected: Iterable[str]) -> None:
        """expected names the services that must be heard; other programs are only restarted faster."""
        self._expected = frozenset(expected)
        self._watched: dict[str, _Watched] = {}
        self._beats: dict[str, _Beat] = {}
        self._ears_at_ns = 0
        """Since when everybody's heartbeat would have been heard."""
        self._turned_at_ns = 0
        self._held_back: list[Effect] = []
        self._hub_away = False
        self._tell_at_ns = 0
        self._list_at_ns = 0
        self._judge_at_ns = 0
        self._report = Report(common.Status.STARTING, "starting")

    def turn(self, now_ns: int, events: Sequence[Event]) -> Iterable[Effect]:
        """One turn; see keepbus.runtime.machine."""
        if now_ns - self._turned_at_ns > STALL_NS:
            self._ears_at_ns = now_ns
        self._turned_at_ns = now_ns
        effects: list[Effect] = []
        for event in events:
            kind = type(event)
            if kind is BusMessage:
                effects += self._hear(now_ns, event.message)
            elif kind is ProcessDied:
                effects += self._died(now_ns, event)
            elif kind is ProcessList:
                effects += self._compare(now_ns, event)
            elif kind is NoList:
                effects += self._unanswered(event)
            elif kind is StopRequested:
                return [*effects, Exit()]
        if now_ns >= self._list_at_ns:
            self._list_at_ns = now_ns + LIST_NS
            effects.append(AskForList())
        if now_ns >= self._judge_at_ns:
            self._judge_at_ns = now_ns + JUDGEMENT_NS
            effects += self._judge(now_ns)
        return self._hold_back(now_ns, effects)

    def wake_at_ns(self) -> int | None:
        """The next list or judgement, or the moment to tell what was held back."""
        due_at_ns = min(self._list_at_ns, self._judge_at_ns)
        if self._held_back and not self._hub_away:
            return min(due_at_ns, self._tell_at_ns)
        return due_at_ns

    def _hold_back(self, now_ns: int, effects: list[Effect]) -> list[Effect]:
        """Keep what nobody could hear now."""
        if self._hub_away or now_ns < self._tell_at_ns:
            self._held_back += [effect for effect in effects if type(effect) is Publish]
            del self._held_back[MOST_HELD_BACK:]
            return [effect for effect in effects if type(effect) is not Publish]
        told, self._held_back = self._held_back, []
        return told + effects

    # Heartbeats

    def _hear(self, now_ns: int, message: Message) -> Iterable[Effect]:
        body = message.body
        if type(body) is not common.Service:
            return
        name = message.header.source
        beat = self._beats.get(name)
        if beat is not None and beat.pid == body.pid and beat.progress >= body.progress:
            return
        first = beat is None or beat.pid != body.pid
        self._beats[name] = _Beat(body.pid, body.progress, now_ns)
        if first and name == _HUB:
            self._ears_at_ns = now_ns
            if self._hub_away:
                self._hub_away = False
                self._tell_at_ns = now_ns + RETURN_NS
        watched = self._watched.get(name)
        if first and watched is not None and watched.died_at_ns is not None:
            away_us = (now_ns - watched.died_at_ns) // 1000
            watched.died_at_ns = None
            yield Publish(Returned(service=name, pid=body.pid, away_us=away_us), message.header.id)
            yield Log("info", f"{name} is back", {"pid": body.pid, "away_us": away_us})

    # Deaths

    def _died(self, now_ns: int, event: ProcessDied) -> Iterable[Effect]:
        watched = self._watched.get(event.service)
        if watched is None or watched.pid != event.pid:
            return
        quick = now_ns - watched.held_at_ns < QUICK_NS
        watched.quick_deaths = watched.quick_deaths + 1 if quick else 0
        watched.died_at_ns = now_ns
        watched.undecided = event.pid
        watched.pid = 0
        watched.asks = 0
        if event.service == _HUB:
            self._hub_away = True
        if watched.quick_deaths <= MOST_QUICK_DEATHS:
            yield AskForList()

    def _compare(self, now_ns: int, event: ProcessList) -> Iterable[Effect]:
        again = False
        for process in event.processes:
            watched = self._watched.setdefault(process.name, _Watched())
            if watched.undecided:
                yield from self._decide(process, watched)
            if process.state in _ON_PURPOSE:
                watched.died_at_ns = None
            elif process.pid and process.pid not in (watched.pid, watched.undecided):
                watched.pid, watched.held_at_ns = process.pid, now_ns
                watched.undecided = 0
                yield Hold(process.name, process.pid)
            elif watched.pid == 0 and watched.quick_deaths <= MOST_QUICK_DEATHS and watched.asks < MOST_ASKS:
                watched.asks += 1
                again = True
        for name in self._watched.keys() - {process.name for process in event.processes}:
            del self._watched[name]
        if again:
            yield AskForList()
        yield from self._say(Report(common.Status.READY, f"watches {len(self._watched)} services"))

    def _decide(self, process: Process, watched: _Watched) -> Iterable[Effect]:
        """Tell of an end, unless somebody wished it."""
        pid = watched.undecided
        if process.pid == pid and process.state not in _ON_PURPOSE:
            return  # supervisord has not reaped it yet
        watched.undecided = 0
        if process.state in _ON_PURPOSE or pid == watched.killed:
            return
        yield Publish(Death(service=process.name, pid=pid))
        yield Log("warning", f"{process.name} died", {"pid": pid})

    def _unanswered(self, event: NoList) -> Iterable[Effect]:
        for name, watched in self._watched.items():
            if watched.undecided:
                if watched.undecided != watched.killed:
                    yield Publish(Death(service=name, pid=watched.undecided))
                watched.undecided = 0
        yield from self._say(
            Report(
                common.Status.DEGRADED,
                f"supervisord does not answer ({event.reason}); what dies stays dead until it does",
            )
        )

    # Standstill

    def _judge(self, now_ns: int) -> Iterable[Effect]:
        hub = self._watched.get(_HUB)
        if hub is None:
            return
        if now_ns - self._heard_at_ns(_HUB, hub) > HUB_FRESH_NS:
            yield from self._judge_one(now_ns, _HUB, hub)
            return
        for name, watched in self._watched.items():
            if name in self._expected or name in self._beats:
                yield from self._judge_one(now_ns, name, watched)

    def _heard_at_ns(self, name: str, watched: _Watched) -> int:
        """When its present process was last heard; when it was started, if never."""
        beat = self._beats.get(name)
        return beat.at_ns if beat is not None and beat.pid == watched.pid else watched.held_at_ns

    def _judge_one(self, now_ns: int, name: str, watched: _Watched) -> Iterable[Effect]:
        if not watched.pid:
            return
        beat = self._beats.get(name)
        begun = beat is not None and beat.pid == watched.pid
        silent_ns = now_ns - max(self._heard_at_ns(name, watched), self._ears_at_ns)
        if silent_ns <= (SILENCE_NS if begun else START_NS):
            return
        if watched.replaced_at_ns is not None and now_ns - watched.replaced_at_ns < REPLACEMENT_NS:
            return
        watched.replaced_at_ns = now_ns
        watched.killed = watched.pid
        if name == _HUB:
            self._hub_away = True
        reason = (
            f"its heartbeat has not moved for {silent_ns / 1e9:.1f} s"
            if begun
            else f"no heartbeat within {silent_ns / 1e9:.1f} s of its start"
        )
        yield Kill(name, watched.pid)
        yield Publish(Replacement(service=name, pid=watched.pid, silent_us=silent_ns // 1000, reason=reason))
        yield Log("warning", f"replaced {name}: {reason}", {"pid": watched.pid})

    def _say(self, report: Report) -> Iterable[Effect]:
        if report != self._report:
            self._report = report
            yield report
