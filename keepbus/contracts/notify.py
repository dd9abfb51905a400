"""What notify publishes: which transitions were notified, and how the scripts ended."""

from __future__ import annotations

from dataclasses import dataclass

from keepbus.contracts.message import Body, contract


@contract("state/notify/object", key="name")
@dataclass(frozen=True, slots=True, kw_only=True)
class Notified(Body):
    """How far the notifications of one object are."""

    name: str
    """Of the instance; `GROUP name`, `VS name` or `RS server virtual-server` for others."""
    life: str
    """Of the object; `notified` counts in it."""
    notified: int
    """Number of the last transition whose scripts have been started (at most once each)."""
    pending: int
    """Transitions whose scripts wait."""
    lost: int
    """Transitions that left the history before they could be notified."""
    runs: int
    """Scripts started since this process started."""
    failures: int
    """Those of them that did not end with 0."""
    last_command: str
    """The script that was started last, with its arguments."""
    last_exit: int | None
    """Exit status; negative for a signal; None while it runs or before the first."""


@contract("state/notify/fifo", key="path")
@dataclass(frozen=True, slots=True, kw_only=True)
class Fifo(Body):
    """A FIFO that is told of changes."""

    path: str
    """Where it is."""
    keyword: str
    """`notify_fifo`, `vrrp_notify_fifo` or `lvs_notify_fifo`."""
    lost: int = 0
    """Lines that nobody read and that did not fit any more, since this process started."""
    error: str = ""
    """What is wrong with it or its script, in a sentence; empty when nothing is."""


@contract("state/notify/mail")
@dataclass(frozen=True, slots=True, kw_only=True)
class Mail(Body):
    """The mail queue."""

    waiting: int
    """Mails that wait, the one on its way included."""
    sent: int
    """Since this process started."""
    lost: int
    """Given up: tried too often, refused for good, or in a full queue; since this process started."""
    last_error: str
    """Why the last try failed; empty when it did not."""


@contract("event/notify/run", key="name")
@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptRun(Body):
    """A script ended, was ended, or could not be started."""

    name: str
    """Of the instance; `GROUP name`, `VS name` or `RS server virtual-server` for others."""
    life: str
    """Of the object."""
    number: int
    """Of the transition, within its life."""
    state: str
    """The state that was entered."""
    script: str
    """Keyword in the file: notify_master, notify, …"""
    command: tuple[str, ...]
    """The script and its arguments."""
    user: str
    """Name of the user that it ran as; empty when it was not started."""
    started_ns: int
    """Wall clock, nanoseconds."""
    took_us: int
    """From its start to its end, microseconds."""
    exit_status: int
    """Exit status; negative for a signal; 127 when it could not be started."""
    timed_out: bool
    """True when it was ended at its time limit."""
    late: bool
    """True when the transition happened before this process started."""
    error: str = ""
    """Why it could not be started or failed: a sentence, or the last line that it printed."""
