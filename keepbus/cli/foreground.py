"""The parent of a node: holds supervisord, passes its output on, stops it within a time limit.

Law of this file: nothing here can keep supervisord from working. Its output is taken at once, whatever the
terminal does; lines that the terminal does not take are dropped and counted. When this process dies,
supervisord gets SIGTERM from the kernel; when supervisord dies, its services do. `keepbus up` becomes this
module by exec, so that what stays in memory is no more than what is here.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import zmq

from keepbus.bus.client import Listener
from keepbus.cli.overseer import SILENCE_S, Overseer
from keepbus.cli.relay import Grumbles, Relay
from keepbus.cli.timed_reload import TimedReload
from keepbus.runtime import prctl, rundir, urgency
from keepbus.runtime.supervisord import wake

STOP_LIMIT_S = 4.5
"""From the first SIGTERM to the SIGKILL of whatever is left."""
_UP_LIMIT_S = 15.0
_WAKE_INTERVAL_S = 0.02
_IDLE_S = 1.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """How a node is to be held."""

    strict: bool
    """Tells the services to refuse surplus privileges."""
    urgent: bool
    """Puts supervisord into the real-time class, but not what it starts."""
    is_up: str
    """The sentence that says the node is up."""


class Foreground:
    """One run of a node, from the start of supervisord to its end."""

    def __init__(self, run_dir: Path, configuration: Path, lock: int, duty: Duty) -> None:
        """configuration is supervisord's; lock the descriptor that holds the run directory."""
        self._run_dir = run_dir
        self._socket = rundir.supervisor_socket(run_dir)
        self._relay = Relay()
        self._grumbles = Grumbles(self._relay)
        self._is_up = duty.is_up
        self._stop_at: float | None = None
        self._status = 0
        self._reloader: subprocess.Popen[bytes] | None = None
        self._reload_again = False
        self._timed = TimedReload(run_dir, self._relay.say)
        prctl.adopt_orphans()
        self._signals = _signal_socket()
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment["KEEPBUS_PRIVILEGES"] = "strict" if duty.strict else ""
        self._supervisord = subprocess.Popen(
            [sys.executable, "-P", "-m", "supervisor.supervisord", "-n", "-c", str(configuration)],
            stdin=subprocess.DEVNULL,
            stdout=self._relay.writer,
            stderr=self._grumbles.writer,
            env=environment,
            pass_fds=(lock,),
            process_group=0,
            preexec_fn=lambda: _become_supervisord(duty.urgent),
        )
        self._pidfd = os.pidfd_open(self._supervisord.pid)
        self._alive = True

    def run(self) -> int:
        """Until supervisord and everything it started are gone; the exit status."""
        arrivals = Arrivals(self._run_dir)
        overseer = Overseer(self._run_dir, time.monotonic())
        own = (self._relay.reader, self._grumbles.reader, self._signals.fileno(), self._pidfd)
        poller = select.poll()
        for fd in (*own, *arrivals.filenos(), *overseer.filenos()):
            poller.register(fd, select.POLLIN)
        give_up_at = time.monotonic() + _UP_LIMIT_S
        waiting = True
        while self._alive or self._leftovers():
            if waiting:
                wake(self._socket)
            wait_s = _WAKE_INTERVAL_S if waiting or self._stop_at is not None else _IDLE_S
            for fd, _ in poller.poll(wait_s * 1000):
                if fd == self._relay.reader:
                    self._relay.fill()
                elif fd == self._grumbles.reader:
                    self._grumbles.fill(time.monotonic())
                elif fd == self._signals.fileno():
                    self._take_signals()
                elif fd == self._pidfd:
                    poller.unregister(fd)
                    self._ended()
            if waiting:
                absent = arrivals.absent()
                late = time.monotonic() > give_up_at
                if not absent:
                    self._relay.say(self._is_up)
                elif late and self._stop_at is None:
                    self._relay.say(
                        f"{', '.join(absent)} did not report within {_UP_LIMIT_S:.0f} s; see the lines above"
                    )
                if not absent or late or self._stop_at is not None:
                    waiting = False
                    for fd in arrivals.filenos():
                        poller.unregister(fd)
                    arrivals.close()
            if (pid := overseer.suspect(time.monotonic())) is not None and self._stop_at is None:
                self._replace_watchdog(pid)
            if self._stop_at is None and self._timed.due(time.time()):
                self._reload()
            self._stop_in_time()
            self._relay.drain()
        overseer.close()
        self._relay.fill()
        self._relay.drain()
        return self._status

    def _take_signals(self) -> None:
        for number in self._signals.recv(64):
            if number in (signal.SIGTERM, signal.SIGINT):
                self._stop()
            elif number == signal.SIGHUP and self._stop_at is None:
                self._reload()
            elif number == signal.SIGCHLD:
                self._reap()
                if self._reload_again and self._stop_at is None:
                    self._reload()

    def _reload(self) -> None:
        """In a process of its own: this one stays small and keeps its time. One runs, one may wait."""
        if self._reloader is not None and self._reloader.poll() is None:
            self._reload_again = True
            return
        self._reload_again = False
        self._relay.say("reloading")
        try:
            self._reloader = subprocess.Popen(
                [sys.executable, "-P", "-m", "keepbus.cli", "reload", "-r", str(self._run_dir)],
                stdin=subprocess.DEVNULL,
                stdout=self._relay.writer,
                stderr=self._relay.writer,
            )
        except OSError as error:  # no process left for it: the node has enough of them
            self._relay.say(f"cannot reload: {error.strerror}; ask again when there is room")

    def _stop(self) -> None:
        if self._stop_at is not None:
            return
        self._relay.say("stopping")
        self._stop_at = time.monotonic() + STOP_LIMIT_S
        if self._alive:
            self._supervisord.send_signal(signal.SIGTERM)

    def _ended(self) -> None:
        """supervisord is gone: what it started is our child now and was told by the kernel to stop."""
        code = self._supervisord.wait()
        self._alive = False
        if self._stop_at is None:
            self._status = 1
            self._stop_at = time.monotonic() + STOP_LIMIT_S
            reason = f"signal {-code}" if code < 0 else f"status {code}"
            self._relay.say(
                f"supervisord ended by itself ({reason}); the node stops, see {self._run_dir}/supervisor/log"
            )

    def _replace_watchdog(self, pid: int) -> None:
        if pid in descendants(os.getpid()):
            self._relay.say(f"watchdog (pid {pid}) made no progress for {SILENCE_S:.0f} s and is replaced")
            _kill(pid)
            wake(self._socket)

    def _stop_in_time(self) -> None:
        if self._stop_at is None:
            return
        if time.monotonic() < self._stop_at:
            wake(self._socket)
            return
        names = []
        for pid in descendants(os.getpid()):
            if pid != self._supervisord.pid:
                names.append(_command(pid))
            _kill(pid)
        if names:
            self._status = 1
            self._relay.say(f"killed what did not stop in time: {', '.join(sorted(names))}")
        self._stop_at = time.monotonic() + STOP_LIMIT_S

    def _leftovers(self) -> bool:
        self._reap()
        return bool(descendants(os.getpid()))

    def _reap(self) -> None:
        """Collect orphans and reloads that have ended; supervisord itself is waited for by its pidfd."""
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None or found.si_pid == self._supervisord.pid:
                return
            if self._reloader is not None and found.si_pid == self._reloader.pid:
                self._reloader.wait()
            else:
                os.waitpid(found.si_pid, 0)


class Arrivals:
    """Who has reported on the bus since the node started."""

    def __init__(self, run_dir: Path) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._services = rundir.services(run_dir)
        self._listener = Listener(
            self._context, run_dir, [f"state/{name}/service" for name in self._services]
        )
        self._absent = set(self._services)

    def filenos(self) -> tuple[int, int]:
        return self._listener.filenos()

    def absent(self) -> list[str]:
        """Services that have not reported, in order of start."""
        for message in self._listener.receive():
            self._absent.discard(message.header.source)
        return [name for name in self._services if name in self._absent]

    def close(self) -> None:
        self._listener.close()
        self._context.term()


def descendants(ancestor: int) -> list[int]:
    """Processes under this one that have not ended, from /proc."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            try:
                stat = Path(f"/proc/{entry}/stat").read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            state, parent = stat.rpartition(")")[2].split()[:2]
            if state != "Z":
                children.setdefault(int(parent), []).append(int(entry))
    found: list[int] = []
    waiting = [ancestor]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def _become_supervisord(urgent: bool) -> None:
    """In the child, before supervisord: end with the parent, and be on time."""
    prctl.end_with_parent()
    if urgent:
        os.sched_setscheduler(
            0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(urgency.STARTING_PRIORITY)
        )


def _command(pid: int) -> str:
    """What a process is, for the operator: its module or program, and its pid."""
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace").split("\0")
    except OSError:
        return str(pid)
    name = arguments[arguments.index("-m") + 1] if "-m" in arguments[:-1] else arguments[0]
    return f"{name} ({pid})"


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _signal_socket() -> socket.socket:
    """Readable when a signal came; its octets are their numbers."""
    reader, writer = socket.socketpair()
    reader.setblocking(False)
    writer.setblocking(False)
    for number in _SIGNALS:
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(writer.detach(), warn_on_full_buffer=False)
    return reader


def arguments(run_dir: Path, configuration: Path, lock: int, duty: Duty) -> list[str]:
    """The interpreter's arguments that make `main` run such a node."""
    return [
        "-m", "keepbus.cli.foreground", str(run_dir), str(configuration), str(lock),
        "strict" if duty.strict else "lax", "urgent" if duty.urgent else "ordinary", duty.is_up,
    ]  # fmt: skip


def main() -> int:
    """What `keepbus up` becomes when the node is ready to start; the exit status."""
    run_dir, configuration, lock, strict, urgent, is_up = sys.argv[1:]
    duty = Duty(strict=strict == "strict", urgent=urgent == "urgent", is_up=is_up)
    os.set_inheritable(int(lock), False)
    status = Foreground(Path(run_dir), Path(configuration), int(lock), duty).run()
    # Not before it is needed: what stays for the whole life of a node stays small.
    from keepbus.cli.parent_scripts import after_services

    after_services(Path(run_dir), _say)
    return status


def _say(sentence: str) -> None:
    print(f"keepbus: {sentence}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
