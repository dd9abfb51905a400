"""A playbook for checker's machine: virtual time, scripted targets, what happened and when."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from keepbus_checker.effects import AbortProbe, EndScript, RunScript, StartProbe, StartProbes, WatchFile
from keepbus_checker.events import FileRead, Outcome, ProbeEnded, ProbesPassed
from keepbus_checker.machine import Machine

from keepbus.config.model.checker import (
    Check,
    CheckerSection,
    CheckKind,
    MiscCommand,
    StatusRange,
    TrackedFile,
    Url,
)
from keepbus.config.model.scripts import Script
from keepbus.contracts.bfd import Session
from keepbus.contracts.checker import Certificate, CheckVerdict, ProbeFailed, Tracker
from keepbus.contracts.message import Header, Message, topic_of
from keepbus.runtime.machine import BusMessage, Configured, Publish, Report, Withdraw

S = 1_000_000_000
US = 1_000_000
WALL_NS = 1_700_000_000 * S

Target = Callable[[StartProbe, int], Outcome | None]
"""Gets a probe and how many there were of its check; its outcome, None for one that never ends."""


def up(_probe: StartProbe, _count: int) -> Outcome | None:
    """A target that always passes."""
    return Outcome.PASSED


def down(_probe: StartProbe, _count: int) -> Outcome | None:
    """A target that always fails."""
    return Outcome.FAILED


def failing(*numbers: int) -> Target:
    """A target that fails the probes of these numbers, counted from 1."""
    return lambda _probe, count: Outcome.FAILED if count in numbers else Outcome.PASSED


def tcp(name: str = "one", **settings: Any) -> Check:
    """A TCP_CHECK each 2 s without warm-up."""
    return _check(CheckKind.TCP_CHECK, name, settings)


def http(*paths: str, name: str = "one", **settings: Any) -> Check:
    """An HTTP_GET each 2 s without warm-up."""
    urls = tuple(Url(path=path, status_codes=(StatusRange(low=200, high=200),)) for path in paths)
    return _check(CheckKind.HTTP_GET, name, {"urls": urls, **settings})


def smtp(name: str = "one", **settings: Any) -> Check:
    """An SMTP_CHECK each 2 s without warm-up."""
    return _check(CheckKind.SMTP_CHECK, name, settings)


def misc(name: str = "one", *, timeout_us: int = 2 * US, dynamic: bool = False, **settings: Any) -> Check:
    """A MISC_CHECK each 5 s without warm-up."""
    command = MiscCommand(script=Script(argv=("/bin/check",)), timeout_us=timeout_us, dynamic=dynamic)
    defaults = {"address": "", "port": 0, "misc": command, "retry": 0, "delay_loop_us": 5 * US}
    return _check(CheckKind.MISC_CHECK, name, defaults | settings)


def file(name: str = "one", **settings: Any) -> Check:
    """A FILE_CHECK."""
    tracked = TrackedFile(name="load", path="/run/load", **settings)
    return _check(CheckKind.FILE_CHECK, name, {"address": "", "port": 0, "file": tracked, "retry": 0})


def bfd(name: str = "one", session: str = "peer") -> Check:
    """A BFD_CHECK."""
    return _check(CheckKind.BFD_CHECK, name, {"address": "", "port": 0, "bfd": session, "retry": 0})


def _check(kind: CheckKind, name: str, settings: dict[str, Any]) -> Check:
    defaults = {
        "id": name,
        "kind": kind,
        "address": "192.0.2.1",
        "port": 80,
        "connect_timeout_us": 2 * US,
        "delay_loop_us": 2 * US,
        "delay_before_retry_us": 1 * US,
        "warmup_us": 0,
    }
    return Check(**(defaults | settings))


class Play:
    """Runs a machine through virtual time. Times are in seconds since its start."""

    def __init__(self, target: Target = up, *, most_open: int = 1000, seed: int = 1) -> None:
        self.machine = Machine(seed=seed, most_open=most_open)
        self.target = target
        self.now_ns = 1_000 * S
        self._start_ns = self.now_ns
        self.probes: list[tuple[float, str, int]] = []
        """Moment, check, URL of each probe started."""
        self.aborted: list[tuple[float, int]] = []
        self.published: list[tuple[float, Any]] = []
        self.withdrawn: list[str] = []
        self.reports: list[Report] = []
        self.others: list[Any] = []
        self.open: dict[int, StartProbe] = {}
        self.gathers = False
        """Targets that pass answer as TCP_CHECKs do, all in one event, received as `connected`."""
        self.running: dict[int, RunScript] = {}
        """Scripts that were started and have not ended."""
        self.signalled: list[tuple[float, int, bool]] = []
        """Moment, probe and force of each signal."""
        self.watched: list[str] = []
        self._counts: dict[str, int] = {}

    @property
    def seconds(self) -> float:
        return round((self.now_ns - self._start_ns) / S, 3)

    @property
    def wall_ns(self) -> int:
        return WALL_NS + self.now_ns - self._start_ns

    def configure(self, *checks: Check, **trackers: Any) -> Play:
        self.feed(Configured(1, CheckerSection(checks=checks, **trackers), self.wall_ns))
        return self

    def hear(self, *bodies: CheckVerdict | Tracker | Certificate) -> Play:
        """The bus tells states of an earlier process."""
        for body in bodies:
            header = Header(1, "node", "checker", "earlier", 1, 1, 1, 1, "")
            self.feed(BusMessage(Message(topic_of(body, "checker"), header, body), self.wall_ns))
        return self

    def hear_session(self, told: Session) -> Play:
        """Whoever speaks BFD tells a session."""
        header = Header(1, "node", "bfd", "boot", 1, 1, 1, 1, "")
        return self.feed(BusMessage(Message(topic_of(told, "bfd"), header, told), self.wall_ns))

    def feed(self, *events: Any) -> Play:
        """One turn with these events, and those that the scripted targets answer with."""
        waiting: Sequence[Any] = events
        while True:
            answers: list[Any] = []
            for effect in self.machine.turn(self.now_ns, waiting):
                self._perform(effect, answers)
            if not answers:
                return self
            waiting = answers

    def until(self, seconds: float) -> Play:
        """Go on to this moment."""
        end_ns = self._start_ns + round(seconds * S)
        for _ in range(100_000):
            wake_at_ns = self.machine.wake_at_ns()
            if wake_at_ns is None or wake_at_ns > end_ns:
                self.now_ns = end_ns
                return self
            self.now_ns = max(self.now_ns, wake_at_ns)
            self.feed()
        raise AssertionError("the machine wakes without end")

    def end(self, probe: int, outcome: Outcome, received: str = "") -> Play:
        """A probe that the target left open ends now."""
        self.open.pop(probe)
        return self.feed(ProbeEnded(probe, outcome, received, 5, self.wall_ns))

    def script_ends(self, status: Outcome, received: str = "", weight: int | None = None) -> Play:
        """The script that runs ends now."""
        ((probe, _),) = self.running.items()
        del self.running[probe]
        return self.feed(ProbeEnded(probe, status, received, 5, self.wall_ns, weight))

    def reads(self, number: int | None, error: str = "", name: str = "one") -> Play:
        """The file of a FILE_CHECK is read."""
        return self.feed(FileRead(name, number, error, self.wall_ns))

    def last(self, name: str = "one") -> CheckVerdict:
        """The last verdict told."""
        told: CheckVerdict = self.bodies(CheckVerdict, name)[-1]
        return told

    def bodies(self, kind: type, name: str = "one") -> list[Any]:
        return [
            body
            for _, body in self.published
            if isinstance(body, kind) and getattr(body, "check", name) == name
        ]

    def verdicts(self, name: str = "one") -> list[tuple[float, str]]:
        """Moment and verdict of each verdict told that differs from the one before."""
        changes: list[tuple[float, str]] = []
        for at, body in self.published:
            if isinstance(body, CheckVerdict) and body.check == name:
                changes.append((at, body.verdict.value))
        return [one for index, one in enumerate(changes) if not index or changes[index - 1][1] != one[1]]

    def measured(self, name: str = "one") -> list[tuple[float, str]]:
        """The same without what was told as unknown."""
        return [(at, verdict) for at, verdict in self.verdicts(name) if verdict != "unknown"]

    def failures(self, name: str = "one") -> list[tuple[float, int, int]]:
        """Moment, attempt and attempts of each failure told."""
        return [
            (at, body.attempt, body.attempts)
            for at, body in self.published
            if isinstance(body, ProbeFailed) and body.check == name
        ]

    def _gathered(self, ended: list[ProbeEnded]) -> list[Any]:
        """The same as the shell tells of probes in batches: all that passed in one event."""
        others: list[Any] = [event for event in ended if event.outcome is not Outcome.PASSED]
        passed = [event for event in ended if event.outcome is Outcome.PASSED]
        told = [(event.probe, event.took_us, event.received) for event in passed]
        return [*others, ProbesPassed(told, self.wall_ns)]

    def _perform(self, effect: Any, answers: list[Any]) -> None:
        if isinstance(effect, StartProbes):
            ended: list[Any] = []
            for probe in effect.probes:
                self._perform(probe, ended)
            answers += self._gathered(ended) if self.gathers else ended
        elif isinstance(effect, StartProbe):
            name = effect.check.id
            self.probes.append((self.seconds, name, effect.url))
            self._counts[name] = self._counts.get(name, 0) + 1
            outcome = self.target(effect, self._counts[name])
            if outcome is None:
                self.open[effect.probe] = effect
            else:
                answers.append(ProbeEnded(effect.probe, outcome, outcome.value, 5, self.wall_ns))
        elif isinstance(effect, RunScript):
            self.probes.append((self.seconds, "script", 0))
            self.running[effect.probe] = effect
        elif isinstance(effect, EndScript):
            self.signalled.append((self.seconds, effect.probe, effect.forced))
        elif isinstance(effect, WatchFile):
            self.watched.append(effect.watcher)
        elif isinstance(effect, AbortProbe):
            self.aborted.append((self.seconds, effect.probe))
            del self.open[effect.probe]
        elif isinstance(effect, Publish):
            self.published.append((self.seconds, effect.body))
        elif isinstance(effect, Withdraw):
            self.withdrawn.append(effect.topic)
        elif isinstance(effect, Report):
            self.reports.append(effect)
        else:
            self.others.append(effect)
