"""The watchdog's I/O when there is no descriptor left (R-F43)."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator
from pathlib import Path

from keepbus_watchdog.effects import AskForList, Hold
from keepbus_watchdog.events import NoList, NotHeld
from keepbus_watchdog.shell import Shell

from keepbus.runtime.loop import Loop
from keepbus.runtime.supervisord import wake


class Silence:
    """A log that says nothing."""

    def error(self, _text: str) -> None:
        return


@contextlib.contextmanager
def no_descriptor() -> Iterator[Shell]:
    """A watchdog's shell, whose process may open nothing more."""
    made = Shell(Loop(), Silence(), Path("/nowhere"))  # type: ignore[arg-type]
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
    try:
        yield made
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_list_that_cannot_be_asked_for_is_none() -> None:
    with no_descriptor() as shell:
        answer = shell.perform(AskForList(), 0)
    assert answer == [NoList("no socket for /nowhere: Too many open files")]


def test_a_process_that_cannot_be_held_is_told() -> None:
    with no_descriptor() as shell:
        answer = shell.perform(Hold("hub", os.getpid()), 0)
    assert answer == [NotHeld("hub", os.getpid())]


def test_who_cannot_be_woken_is_not_woken() -> None:
    with no_descriptor():
        wake(Path("/nowhere"))
