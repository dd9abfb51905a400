"""The model of what virtual routers track: what vrrp weighs, and what checker runs for it."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from keepbus.config.model.scripts import Script


class TrackerKind(enum.StrEnum):
    """What is tracked. The words are those of the bus, too."""

    INTERFACE = "interface"
    SCRIPT = "script"
    FILE = "file"
    PROCESS = "process"
    BFD = "bfd"


class ParamMatch(enum.StrEnum):
    """`param_match`: which parameters a process must have."""

    ANY = "any"
    """None are compared, and the process is known by its short name."""
    COMMAND = "command"
    """None are compared, and the process is known by the first word of its command line."""
    EXACT = "exact"
    """Exactly those that are given."""
    PARTIAL = "partial"
    """Those that are given come first."""
    INITIAL = "initial"
    """Those that are given come first, and the last one may go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """A line of `track_interface`, `track_script`, `track_file`, `track_process` or `track_bfd`."""

    kind: TrackerKind
    name: str
    weight: int = 0
    """Changes the priority (features 7); 0: what is down puts the instance into FAULT."""
    reverse: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackScript:
    """`vrrp_script`."""

    name: str
    script: Script
    interval_us: int = 1_000_000
    timeout_us: int = 1_000_000
    """Of one run."""
    rise: int = 1
    fall: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackProcess:
    """`vrrp_track_process`."""

    name: str
    path: str
    """Short name, or first word of the command line."""
    params: tuple[str, ...] = ()
    param_match: ParamMatch = ParamMatch.ANY
    quorum: int = 1
    quorum_max: int = 65535
    fork_delay_us: int = 0
    """So long the quorum must hold before it counts."""
    terminate_delay_us: int = 0
    """So long it must be missed before that counts."""
