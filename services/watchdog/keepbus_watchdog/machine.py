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
from keepbus_watchdog.events import NoList, NotHeld, Process, ProcessDied, ProcessList

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
    """A program of supervisord. Its process may be another service than the program's name says: a standby
    that took over is the service, and the program that died becomes the standby."""

    pid: int = 0
    held_at_ns: int = 0
    service: str = ""
    """What the last process was when it ended."""
    undecided: int = 0
    """Pid of an end of which it is not known yet whether somebody wished it."""
    asks: int = 0
    quick_deaths: int = 0
    replaced_at_ns: int | None = None
    killed: int = 0
    """Pid that this watchdog killed."""


@dataclass(slots=True)
class _Beat:
    """The last heartbeat of a process that showed progress."""

    service: str
    progress: int
    at_ns: int


class Machine:
    """Feed it lists, deaths and heartbeats."""

    def __init__(self, expected: Iterable[str]) -> None:
        """expected names the services that must be heard; other programs are only restarted faster."""
        self._expected = frozenset(expected)
        self._watched: dict[str, _Watched] = {}
        self._beats: dict[int, _Beat] = {}
        """By pid."""
        self._away_since_ns: dict[str, int] = {}
        """When the process of a service ended, until a successor was heard."""
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
            elif kind is NotHeld:
                self._not_held(event)
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
        beat = self._beats.get(body.pid)
        first = beat is None or beat.service != name
        if beat is not None and not first and beat.progress >= body.progress:
            return
        self._beats[body.pid] = _Beat(name, body.progress, now_ns)
        if first and name == _HUB:
            self._ears_at_ns = now_ns
            if self._hub_away:
                self._hub_away = False
                self._tell_at_ns = now_ns + RETURN_NS
        if first and name in self._away_since_ns:
            away_us = (now_ns - self._away_since_ns.pop(name)) // 1000
            yield Publish(Returned(service=name, pid=body.pid, away_us=away_us), message.header.id)
            yield Log("info", f"{name} is back", {"pid": body.pid, "away_us": away_us})

    # Deaths

    def _died(self, now_ns: int, event: ProcessDied) -> Iterable[Effect]:
        watched = self._watched.get(event.service)
        if watched is None or watched.pid != event.pid:
            return
        quick = now_ns - watched.held_at_ns < QUICK_NS
        watched.quick_deaths = watched.quick_deaths + 1 if quick else 0
        watched.service = self._service_of(event.service, event.pid)
        if not any(
            each.pid in self._beats and self._beats[each.pid].service == watched.service
            for each in self._watched.values()
            if each is not watched
        ):
            self._away_since_ns[watched.service] = now_ns
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
                self._away_since_ns.pop(watched.service, None)
            elif process.pid and process.pid not in (watched.pid, watched.undecided):
                watched.pid, watched.held_at_ns = process.pid, now_ns
                watched.undecided = 0
                yield Hold(process.name, process.pid)
            elif watched.pid == 0 and watched.quick_deaths <= MOST_QUICK_DEATHS and watched.asks < MOST_ASKS:
                watched.asks += 1
                again = True
        for name in self._watched.keys() - {process.name for process in event.processes}:
            del self._watched[name]
        self._forget_beats(now_ns)
        if again:
            yield AskForList()
        yield from self._say(Report(common.Status.READY, f"watches {len(self._watched)} services"))

    def _not_held(self, event: NotHeld) -> None:
        """The next list finds it as if it were new."""
        watched = self._watched.get(event.service)
        if watched is not None and watched.pid == event.pid:
            watched.pid = 0

    def _decide(self, process: Process, watched: _Watched) -> Iterable[Effect]:
        """Tell of an end, unless somebody wished it."""
        pid = watched.undecided
        if process.pid == pid and process.state not in _ON_PURPOSE:
            return  # supervisord has not reaped it yet
        watched.undecided = 0
        if process.state in _ON_PURPOSE or pid == watched.killed:
            return
        yield Publish(Death(service=watched.service, pid=pid))
        yield Log("warning", f"{watched.service} died", {"pid": pid})

    def _service_of(self, program: str, pid: int) -> str:
        """What a process says that it is; the program's name as long as it has said nothing."""
        beat = self._beats.get(pid)
        return program if beat is None else beat.service

    def _forget_beats(self, now_ns: int) -> None:
        """Those of processes that are gone for long: a late heartbeat of one must not look like a new one."""
        living = {watched.pid for watched in self._watched.values()}
        for pid in [
            pid for pid, beat in self._beats.items() if pid not in living and now_ns - beat.at_ns > START_NS
        ]:
            del self._beats[pid]

    def _unanswered(self, event: NoList) -> Iterable[Effect]:
        for watched in self._watched.values():
            if watched.undecided:
                if watched.undecided != watched.killed:
                    yield Publish(Death(service=watched.service, pid=watched.undecided))
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
        if now_ns - self._heard_at_ns(hub) > HUB_FRESH_NS:
            yield from self._judge_one(now_ns, _HUB, hub)
            return
        for name, watched in self._watched.items():
            if name in self._expected or watched.pid in self._beats:
                yield from self._judge_one(now_ns, name, watched)

    def _heard_at_ns(self, watched: _Watched) -> int:
        """When its present process was last heard; when it was started, if never."""
        beat = self._beats.get(watched.pid)
        return watched.held_at_ns if beat is None else max(beat.at_ns, watched.held_at_ns)

    def _judge_one(self, now_ns: int, name: str, watched: _Watched) -> Iterable[Effect]:
        if not watched.pid:
            return
        beat = self._beats.get(watched.pid)
        begun = beat is not None and beat.at_ns >= watched.held_at_ns  # else of an older process of that pid
        silent_ns = now_ns - max(self._heard_at_ns(watched), self._ears_at_ns)
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
        service = self._service_of(name, watched.pid)
        yield Kill(name, watched.pid)
        yield Publish(
            Replacement(service=service, pid=watched.pid, silent_us=silent_ns // 1000, reason=reason)
        )
        yield Log("warning", f"replaced {service}: {reason}", {"pid": watched.pid})

    def _say(self, report: Report) -> Iterable[Effect]:
        if report != self._report:
            self._report = report
            yield report
