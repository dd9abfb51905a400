"""What the watchdog's machine wishes, besides the effects that every service has."""

from __future__ import annotations

from typing import NamedTuple


class AskForList(NamedTuple):
    """Ask supervisord for its processes: this also makes it look at them at once. Answers `ProcessList`."""


class Hold(NamedTuple):
    """Hold this process by a descriptor, so that its end is seen at once. Answers `ProcessDied`."""

    service: str
    pid: int


class Kill(NamedTuple):
    """SIGKILL this held process, and no other that may have its number by now."""

    service: str
    pid: int
