"""The scripts of MISC_CHECKs under way."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable

from keepbus.config.model.checker import MiscCommand
from keepbus.runtime.loop import Loop
from keepbus.runtime.machine import Event
from keepbus.runtime.scripts import identity, security
from keepbus.runtime.scripts.processes import Ended, Processes
from keepbus_checker.events import Outcome, ProbeEnded

MOST_AT_ONCE = 256
"""Scripts that run at the same time; each needs two descriptors."""
_LEAST_WEIGHT_STATUS, _MOST_STATUS = 2, 255


class Scripts:
    """Starts scripts, and says how they ended."""

    def __init__(self, loop: Loop, wall_ns: Callable[[], int]) -> None:
        self._processes = Processes(loop, self._ended, spares_rest=False)
        self._wall_ns = wall_ns
        self._commands: dict[int, MiscCommand] = {}

    def start(
        self, number: int, command: MiscCommand, default_user: str, *, secure: bool
    ) -> Iterable[Event] | None:
        """Run the command as its own user, else as default_user (USER[:GROUP]).

        Looked at before each start: what was sound when the configuration was loaded may have changed since.
        """
        if len(self._processes) >= MOST_AT_ONCE:
            return self._refused(number, f"{MOST_AT_ONCE} scripts run already; their checks take too long")
        user, group = command.script.user, command.script.group
        if not user:
            user, _, group = default_user.partition(":")
        argv = command.script.argv
        try:
            who = identity.resolve(user, group)
            executable = security.examine(argv[0], who, security=secure)
        except identity.Refused as reason:
            return self._refused(number, str(reason))
        failed = self._processes.start(number, argv, executable.path, who)
        if failed is not None:
            return self._refused(number, failed.last_line)
        self._commands[number] = command
        return None

    def signal(self, number: int, *, forced: bool) -> None:
        """SIGTERM, or SIGKILL, to the script's process group."""
        self._processes.signal(number, forced=forced)

    def kill_all(self) -> None:
        """SIGKILL for whatever runs."""
        for number in self._commands:
            self._processes.signal(number, forced=True)

    def _refused(self, number: int, reason: str) -> Iterable[Event]:
        return (ProbeEnded(number, Outcome.LOCAL, reason, 0, self._wall_ns()),)

    def _ended(self, end: Ended) -> Iterable[Event]:
        command = self._commands.pop(end.run)
        passed, received, weight = judge(end.exit_status, dynamic=command.dynamic)
        if end.last_line:
            received = f"{received}: {end.last_line}"
        outcome = Outcome.PASSED if passed else Outcome.FAILED
        return (ProbeEnded(end.run, outcome, received, end.took_us, self._wall_ns(), weight),)


def judge(exit_status: int, *, dynamic: bool) -> tuple[bool, str, int | None]:
    """Success, what the operator reads, and the weight that the status stands for; None: the configured one.

    The rules are keepalived's (reference: keepalived-features 13.2). A negative status is a signal.
    """
    if exit_status < 0:
        try:
            name = signal.Signals(-exit_status).name
        except ValueError:
            name = f"signal {-exit_status}"
        return False, f"ended by {name}", None
    received = f"exit status {exit_status}"
    if dynamic and _LEAST_WEIGHT_STATUS <= exit_status <= _MOST_STATUS:
        weight = exit_status - _LEAST_WEIGHT_STATUS
        return True, f"{received}, weight {weight}", weight
    return exit_status == 0, received, None
