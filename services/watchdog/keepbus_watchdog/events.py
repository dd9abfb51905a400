"""What the watchdog's machine is told, besides the events that every service has."""

from __future__ import annotations

from typing import NamedTuple


class Process(NamedTuple):
    """A program of supervisord's list."""

    name: str
    pid: int
    """0 when it does not run."""
    state: str
    """supervisord's word: STOPPED, STARTING, RUNNING, BACKOFF, STOPPING, EXITED, FATAL, UNKNOWN."""


class ProcessList(NamedTuple):
    """supervisord's answer to `AskForList`."""

    processes: tuple[Process, ...]


class NoList(NamedTuple):
    """supervisord did not answer."""

    reason: str


class NotHeld(NamedTuple):
    """There was no descriptor for a process that was to be held."""

    service: str
    pid: int


class ProcessDied(NamedTuple):
    """A process that was held ended."""

    service: str
    pid: int
