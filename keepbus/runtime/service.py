"""From a command line to a running service: options, lock, privileges, log, bus, loop, heartbeat, signals.

Every service's `__main__.py` makes one `Service`, builds its machine and I/O around it, and calls `run`.
"""

from __future__ import annotations

import argparse
import gc
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import zmq

from keepbus.bus.client import Listener, Speaker
from keepbus.contracts.common import Service as ServiceState
from keepbus.contracts.common import Status
from keepbus.runtime import collector, generation, oom, prctl, privileges, urgency
from keepbus.runtime.backoff import SETTLED_NS, Backoff
from keepbus.runtime.loader import Loader
from keepbus.runtime.lock import Lock
from keepbus.runtime.log import Logger
from keepbus.runtime.loop import Loop, Perform, boottime_ns
from keepbus.runtime.machine import (
    BusMessage,
    Configured,
    Event,
    Exit,
    Log,
    Machine,
    Publish,
    Report,
    StopRequested,
    Withdraw,
)
from keepbus.runtime.recorder import Recorder
from keepbus.runtime.standby import BEAT_NS, Standby, name_of

_REPEAT_NS = 1_000_000_000
_ADOPTION_NS = 10_000_000_000
_LOCK_WAIT_S = 0.9
EXIT_USAGE = 64
EXIT_CONFIGURATION = 78
EXIT_LOCKED = 75
EXIT_PRIVILEGES = 77


class Service:
    """One service process: what its I/O needs while it is built, and `run`."""

    def __init__(
        self,
        name: str,
        *,
        about: str,
        section: type[Any] | None = None,
        topics: Iterable[str] = (),
        needs: Iterable[str] = (),
        may_need: Iterable[str] = (),
        options: Callable[[argparse.ArgumentParser], None] | None = None,
        standby: bool = False,
        urgent: bool = False,
        of: str = "",
        part: Callable[[Any], Any] = lambda section: section,
        argv: Sequence[str] | None = None,
    ) -> None:
        """Parse options, take the service's lock, check privileges, connect to the bus.

        section is the class of the service's part of the configuration, None when it has none; topics are
        the prefixes it hears besides its own state; needs names capabilities (`NET_ADMIN`), may_need
        those that it can begin without and may hold. standby: with the option `--standby` a second process
        waits here until it is the service (runtime/standby.py). urgent: when memory runs out, others go first
        (runtime/oom.py), and in the real-time class it goes first itself as soon as it is ready
        (runtime/urgency.py). of: the service whose section and
        states these are, when this process is one of several that share them (`checker-2` of checker); part
        makes of the section what is this process's. Ends the process with one sentence on
        standard error when one of these fails.
        """
        parser = argparse.ArgumentParser(prog=f"keepbus-{name}", description=about)
        parser.add_argument("-r", "--run-dir", type=Path, required=True, help="run directory of the node")
        parser.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])
        parser.add_argument("--log-json", action="store_true", help="log JSON lines")
        parser.add_argument("--record", type=Path, help="write every turn to this file, for replay")
        if standby:
            parser.add_argument(
                "--standby", action="store_true", help="wait to take the place of one that runs already"
            )
        if options is not None:
            options(parser)
        self.options = parser.parse_args(argv)
        self.name = name
        self.run_dir: Path = self.options.run_dir
        self.started_wall_ns = time.time_ns()
        os.umask(0o027)  # a group may listen, and change nothing (decision 0401)
        _die_with_parent()
        if not urgent:
            oom.volunteer()
        if "SUPERVISOR_ENABLED" in os.environ and _is_orphan(self.run_dir):
            sys.exit(1)
        self.log = Logger(name, level=self.options.log_level, as_json=self.options.log_json)
        self._backoff: Backoff | None = Backoff(self.run_dir, name)
        self._backoff.begin(self.log.warning)
        self._started_at_ns = boottime_ns()
        self._lock, own = self._take_lock(waits=standby and self.options.standby)
        self._urgent = urgent
        self._needs = frozenset(needs)
        self._check_privileges(frozenset((urgency.CAPABILITY,) if urgent else ()).union(may_need))
        self._section: type[Any] | None = section
        of = of or name
        self._part = part
        self._loader = Loader(self.run_dir, of, section or object)
        self._generation = 0
        self._told_generation = 0
        self._status = Status.STARTING
        self._detail = "starting"
        self._exit_status = 0
        self._stopped = False
        self.loop = Loop()
        self.node = node_name(self.run_dir)
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        """For a service with ZeroMQ sockets of its own."""
        self.closing: list[Callable[[], None]] = []
        """Called when the loop has ended, before the context is: whoever made sockets in it closes them."""
        self._own_states = f"state/{of}/"
        self.boot = f"{self.started_wall_ns:x}"
        self.listener = Listener(
            self.context,
            self.run_dir,
            topics,
            own_states=self._own_states,
            own_boot=self.boot,
        )
        self.speaker = Speaker(self.context, self.run_dir, node=self.node, source=name, boot=self.boot)
        self._inherited: set[str] | None = set()
        """States of a predecessor; None when they have been taken over or withdrawn."""
        self._hears_itself = False
        self._first: list[Event] = []
        if own is not None:
            self._first = Standby(self, self._lock, own).wait()
        self.listener.subscribe(self._own_states)

    def run(self, machine: Machine, perform: Perform) -> None:
        """Run the machine until SIGTERM; `perform` carries out the effects that are not common to all."""
        recorder = self._recorder(self.options.record) if self.options.record else None
        self._machine_perform = perform
        for fd in self.listener.filenos():
            self.loop.watch(fd, self.read_bus)
        self.loop.watch(self.signals(), self.read_signals)
        self.loop.every(BEAT_NS, self._beat)
        self.loop.every(_REPEAT_NS, lambda _now_ns: void(self.speaker.repeat()))
        self._adopt_until_ns = boottime_ns() + _ADOPTION_NS
        collector.watch()
        first = self._first
        if not first or self._generation != generation.current(self.run_dir):
            collector.settle()
            with collector.building():
                first = [*self.load(), *(event for event in first if type(event) is BusMessage)]
            gc.freeze()
        if self._section is not None and not any(type(event) is Configured for event in first):
            sys.exit(EXIT_CONFIGURATION)
        self.ready()
        try:
            self.loop.run(machine, self.perform, first, on_turn=recorder.turn if recorder else None)
        finally:
            self._status, self._detail = Status.STOPPING, "stopped"
            self._beat(0)
            if self._stopped and self._exit_status == 0:
                self._lock.sign_off()
                if self._backoff is not None:
                    self._backoff.settled()
            for close in self.closing:
                close()
            self.disconnect()
        sys.exit(self._exit_status)

    def ready(self) -> None:
        """The start is over: what was only for it is given up."""
        if self._urgent:
            urgency.get_ahead()
            if privileges.strict():
                privileges.reduce_to(self._needs)

    def disconnect(self) -> None:
        """Close what is connected to the bus."""
        self.listener.close()
        self.speaker.close()
        self.context.term()

    def settle(self, now_ns: int) -> None:
        """This process lives long enough that its start is no part of a crash loop."""
        if self._backoff is not None and now_ns > self._started_at_ns + SETTLED_NS:
            self._backoff.settled()
            self._backoff = None

    def perform(self, effect: Any, now_ns: int) -> Iterable[Event] | None:
        """Carry out a common effect, or hand it to the service's own `perform`."""
        if type(effect) is Publish:
            self.speaker.publish(effect.body, effect.cause)
        elif type(effect) is Withdraw:
            self.speaker.withdraw(effect.topic, effect.cause)
        elif type(effect) is Log:
            getattr(self.log, effect.level)(effect.text, **effect.fields)
        elif type(effect) is Report:
            self._report(effect)
        elif type(effect) is Exit:
            self._exit_status = effect.status
            self.loop.stop()
        else:
            return self._machine_perform(effect, now_ns)
        return None

    def _report(self, report: Report) -> None:
        now = report.status, report.detail, self._generation
        if now != (self._status, self._detail, self._told_generation):
            self._status, self._detail, _ = now
            self._beat(0)

    def _beat(self, now_ns: int) -> None:
        self._told_generation = self._generation
        counters = self.listener.counters
        for gap in self.listener.gaps:
            self.speaker.publish(gap)
        for reject in self.listener.rejects:
            self.speaker.publish(reject)
        self.listener.gaps.clear()
        self.listener.rejects.clear()
        self.speaker.publish(
            ServiceState(
                pid=os.getpid(),
                started_ns=self.started_wall_ns,
                generation=self._generation,
                status=self._status,
                detail=self._detail,
                progress=self.loop.rounds,
                lateness_us_max=self.loop.take_lateness_us(),
                lost=counters.lost,
                rejected=counters.rejected,
                unsent=self.speaker.counters.unsent,
            )
        )
        self.settle(now_ns)
        if self._inherited is not None and self._hears_itself and now_ns > self._adopt_until_ns:
            # States of an earlier process that this one did not take over describe nothing any more.
            for topic in self._inherited - self.speaker.states():
                self.speaker.withdraw(topic)
            self._inherited = None
            self.listener.unsubscribe(self._own_states)
        # Counts from the next beat on: what the hub had retained comes no later than that.
        self._hears_itself = self.listener.heard_own

    def read_bus(self, _mask: int) -> list[BusMessage]:
        """What was said."""
        wall_ns = time.time_ns()
        events: list[BusMessage] = []
        for message in self.listener.receive():
            own = message.topic.startswith(self._own_states) and message.header.source == self.name
            if own and self._inherited is not None and message.body is not None:
                self._inherited.add(message.topic)  # a predecessor's
            events.append(BusMessage(message, wall_ns))
        return events

    def signals(self) -> int:
        """A descriptor that is readable when a signal came; `read_signals` serves it."""
        return _signal_descriptor()

    def read_signals(self, _mask: int) -> list[Event]:
        """SIGTERM and SIGHUP as events."""
        events: list[Event] = []
        for number in os.read(_signal_descriptor(), 64):
            if number in (signal.SIGTERM, signal.SIGINT):
                self._stopped = True
                self._report(Report(Status.STOPPING, "stopping"))
                events.append(StopRequested(time.time_ns()))
            elif number == signal.SIGHUP:
                events.extend(self.load())
                if self._section is None:
                    self._beat(0)  # Of the others the machine has to take it first.
        return events

    def load(self) -> list[Event]:
        """The current configuration as an event; nothing, and a log line, when it cannot be used."""
        if self._section is None:
            self._generation = generation.current(self.run_dir)
            return []
        try:
            number, section = self._loader.load()
        except generation.NoConfigurationError as error:
            self.log.error(str(error))
            return []
        self._generation = number
        return [Configured(number, self._part(section), time.time_ns())]

    def _take_lock(self, *, waits: bool) -> tuple[Lock, Lock | None]:
        """The service's lock, held for the life of the process; or, if it may wait, the lock of the standby
        with it, held instead."""
        try:
            lock = Lock(self.run_dir, self.name)
            if lock.take(0.0 if waits else _LOCK_WAIT_S):
                return lock, None
            own = Lock(self.run_dir, name_of(self.name)) if waits else None
        except OSError as error:
            path = self.run_dir / "locks" / self.name
            self.fail(
                f"cannot make {path} ({error.strerror}); name the node's run directory with -r", EXIT_USAGE
            )
        if own is None or not own.take(_LOCK_WAIT_S):
            others = f"another keepbus-{self.name} (pid {lock.signature() or 'unknown'}) runs"
            if own is not None:
                others += f", and one (pid {own.signature() or 'unknown'}) stands by,"
            self.fail(f"{others} in {self.run_dir}; stop it first", EXIT_LOCKED)
        return lock, own

    def _recorder(self, path: Path) -> Recorder:
        try:
            return Recorder(path, self.log.error)
        except OSError as error:
            self.fail(
                f"cannot record to {path}: {error.strerror}; name another file with --record", EXIT_USAGE
            )

    def _check_privileges(self, may_need: frozenset[str]) -> None:
        held = privileges.effective()
        if absent := privileges.missing(self._needs, held):
            self.fail(
                f"lacks {', '.join('CAP_' + name for name in absent)}; run the node as root, "
                "or in a user namespace with `unshare -Urnm`",
                EXIT_PRIVILEGES,
            )
        if privileges.surplus(self._needs | may_need, held):
            if privileges.strict():
                self.fail(
                    "holds more privileges than its service needs; start it through deploy/programs",
                    EXIT_PRIVILEGES,
                )
            self.log.debug("runs with more privileges than it needs")

    def fail(self, sentence: str, status: int = 1) -> NoReturn:
        """End the process with one sentence on standard error."""
        self.log.error(sentence)
        sys.exit(status)


def node_name(run_dir: Path) -> str:
    """The node's name: RUNDIR/node, else the host name."""
    try:
        name = (run_dir / "node").read_text(encoding="utf-8").strip()
    except OSError:
        name = ""
    return name or socket.gethostname()


def void(_value: object) -> None:
    """Drop a value."""


def _die_with_parent() -> None:
    """Ask the kernel for SIGTERM when the supervisor dies, so that no orphan keeps an address."""
    parent = os.getppid()
    prctl.end_with_parent()
    if os.getppid() != parent:
        sys.exit(1)


def _is_orphan(run_dir: Path) -> bool:
    """True when the node's supervisord died before this process could ask the kernel to tell it."""
    try:
        pid = int((run_dir / "supervisor" / "pid").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return False
    try:
        os.kill(pid, 0)
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except ProcessLookupError:
        return True
    except OSError:
        return False  # it is another user's, or /proc does not show it: it lives
    return stat.rpartition(")")[2].split()[0] == "Z"


_signals: socket.socket | None = None


def _signal_descriptor() -> int:
    """A descriptor that is readable when SIGTERM, SIGINT or SIGHUP came; their numbers are its octets."""
    global _signals
    if _signals is None:
        reader, writer = socket.socketpair()
        reader.setblocking(False)
        writer.setblocking(False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(writer.detach(), warn_on_full_buffer=False)
        _signals = reader
    return _signals.fileno()
