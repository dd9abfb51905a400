"""What checker wishes besides what every service may."""

from __future__ import annotations

from typing import NamedTuple

from keepbus.config.model.checker import Check, MiscCommand, TrackedFile
from keepbus.config.model.tracking import TrackProcess


class StartProbe(NamedTuple):
    """Probe the target once; ends with ProbeEnded, unless AbortProbe comes first."""

    probe: int
    """Never used twice by a process."""
    check: Check
    url: int
    """Index into check.urls; 0 for checks without."""


class StartProbes(NamedTuple):
    """Start all these, in this order: what is done for each of them is done thousands of times a second."""

    probes: list[StartProbe]


class AbortProbe(NamedTuple):
    """Close the probe's descriptor; no event follows."""

    probe: int


class RunScript(NamedTuple):
    """Run the command of a MISC_CHECK once; ends with ProbeEnded, whatever EndScript comes before."""

    probe: int
    command: MiscCommand
    default_user: str
    """USER[:GROUP] when the command names none."""
    secure: bool
    """enable_script_security: refuse what others could change and root would run."""


class EndScript(NamedTuple):
    """Signal the process group of a running script: SIGTERM, or SIGKILL when `forced`."""

    probe: int
    forced: bool


class WatchFile(NamedTuple):
    """Read a file now and whenever it changes: FileRead, until ForgetCheck."""

    watcher: str
    """Id of a FILE_CHECK, or of a tracker."""
    file: TrackedFile


class WatchProcesses(NamedTuple):
    """From now on count the processes of these and of no others: ProcessesCounted for each."""

    processes: tuple[TrackProcess, ...]


class Confine(NamedTuple):
    """Give up every privilege for good but that of marking packets, and that one, too, without `marks`."""

    marks: bool


class ForgetCheck(NamedTuple):
    """The check, or the tracker of a file, is no longer configured: drop what was prepared for it."""

    check: str
