"""What IPVS has once for the whole host: the synchronization of connections, and the time-outs (V20, V21).

Law of this file: what runs is what the configuration and the state of the instance want, and what was there
before keepbus is put back when it is not wanted any more. Nothing is written before it was read; of a daemon
that somebody else started nothing is touched as long as the configuration wants none.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import NamedTuple

from keepbus.config.model.ipvs import IpvsSection, SyncDaemon
from keepbus.contracts import ipvs as contract
from keepbus.contracts.vrrp import Instance, VrrpState

COMPARISON_NS = 3_000_000_000
_FIRST_RETRY_NS = 500_000_000

Seconds = tuple[int, int, int]
"""Time-outs of TCP, of TCP after a FIN, of UDP."""


class Role(enum.IntEnum):
    """The kernel's numbers."""

    MASTER = 1
    """Sends its connections."""
    BACKUP = 2
    """Takes those of others."""


_WORDS = {Role.MASTER: "master", Role.BACKUP: "backup"}


class Daemon(NamedTuple):
    """A sync daemon; 0 and empty: as the kernel has it."""

    role: int
    interface: str
    sync_id: int
    maxlen: int = 0
    port: int = 0
    ttl: int = 0
    group: str = ""


class Act(enum.IntEnum):
    """What is done; the numbers are the kernel's (V2)."""

    START = 9
    STOP = 10
    SET_TIMEOUTS = 12


class Adjustment(NamedTuple):
    """One change."""

    act: Act
    daemon: Daemon | None = None
    seconds: Seconds = (0, 0, 0)


class Settings:
    """Wanted and found."""

    def __init__(self) -> None:
        self._wanted: SyncDaemon | None = None
        self._seconds: Seconds = (0, 0, 0)
        self._state: VrrpState | None = None
        self._found: tuple[Daemon, ...] | None = None
        self._found_seconds: Seconds = (0, 0, 0)
        self._stopping = False
        self.mine = False
        """True when the daemons in the kernel are keepbus's."""
        self.original: Seconds | None = None
        """Time-outs as they were before keepbus; None: it changed none."""
        self.error = ""
        self.read_at_ns = 0
        """When the kernel is to be asked."""

    @property
    def concerned(self) -> bool:
        """True when there is anything to keep, or to put back."""
        return bool(self._wanted or any(self._seconds) or self.mine or self.original)

    @property
    def to_undo(self) -> bool:
        """True when something is as it is because of keepbus."""
        return bool(self.mine or self.original)

    def configure(self, section: IpvsSection) -> None:
        """Take a configuration."""
        wanted, timeouts = section.sync_daemon, section.timeouts
        if wanted is None or self._wanted is None or wanted.instance != self._wanted.instance:
            self._state = None
        self._wanted, self.read_at_ns = wanted, 0
        self._seconds = (timeouts.tcp_s, timeouts.tcpfin_s, timeouts.udp_s)

    def hear(self, body: Instance) -> None:
        """A state of an instance; the one that is followed decides."""
        if self._wanted is not None and body.name == self._wanted.instance:
            self._state = body.state

    def stop(self) -> None:
        """Put everything back."""
        self._stopping = True

    def take(self, daemons: Sequence[Daemon], seconds: Seconds, error: str, now_ns: int) -> None:
        """What the kernel has now."""
        self.read_at_ns = now_ns + COMPARISON_NS
        if error:
            self.error = error
            return
        self._found, self._found_seconds = tuple(daemons), seconds
        if any(self._seconds) and self.original is None:
            self.original = seconds
        if not self.batch():
            self.error = ""

    def written(self, errors: Sequence[str], now_ns: int) -> None:
        """What became of the last batch; what is true is read before anything else is done."""
        self.error = next(filter(None, errors), "")
        self._found = None
        self.read_at_ns = now_ns + _FIRST_RETRY_NS if self.error else 0

    def batch(self) -> tuple[Adjustment, ...]:
        """What is to be done, the other role's end before the own one's beginning; needs a reading."""
        if self._found is None:
            return ()
        changes = []
        wanted = self._daemons()
        if wanted is not None:
            changes += [Adjustment(Act.STOP, each) for each in self._found if not _any_fits(each, wanted)]
            changes += [
                Adjustment(Act.START, each)
                for each in wanted
                if not any(_fits(found, each) for found in self._found)
            ]
        seconds = self._timeouts()
        if seconds != self._found_seconds:
            changes.append(Adjustment(Act.SET_TIMEOUTS, seconds=seconds))
        return tuple(changes)

    def next(self, now_ns: int) -> tuple[Adjustment, ...] | None:
        """What to ask the driver for: to write these, to read when there are none; None: nothing."""
        if not self.concerned:
            return None
        if now_ns >= self.read_at_ns:
            return ()
        self.settle()
        return self.batch() or None

    def settle(self) -> None:
        """Forget what was put back; begin to own what is about to be started."""
        if self._found is None:
            return
        if self._wanted is not None and not self._stopping:
            self.mine = self.mine or bool(self._daemons())
        elif not self.batch():
            self.mine = False
        if (self._stopping or not any(self._seconds)) and self._found_seconds == self.original:
            self.original = None

    def body(self) -> contract.SyncDaemon | None:
        """state/ipvs/sync_daemon; None when the configuration has none."""
        if self._wanted is None:
            return None
        wanted = self._daemons() or ()
        return contract.SyncDaemon(
            interface=self._wanted.interface,
            sync_id=self._wanted.id,
            instance=self._wanted.instance,
            wanted=_roles(wanted),
            running=_roles(self._found or ()),
            error=self.error,
        )

    def _daemons(self) -> tuple[Daemon, ...] | None:
        """Those that should run; None: whatever runs may go on."""
        if self._wanted is None or self._stopping:
            return () if self.mine else None
        wanted = self._wanted
        roles: tuple[Role, ...] = (Role.MASTER, Role.BACKUP)
        if wanted.instance:
            if self._state is None:
                # After a restart the instance is what it was until it says something.
                return None
            roles = (Role.MASTER,) if self._state is VrrpState.MASTER else (Role.BACKUP,)
        return tuple(
            Daemon(role, wanted.interface, wanted.id, wanted.maxlen, wanted.port, wanted.ttl, wanted.group)
            for role in roles
        )

    def _timeouts(self) -> Seconds:
        base = self.original or self._found_seconds
        if self._stopping:
            return base
        tcp, fin, udp = (new or old for new, old in zip(self._seconds, base, strict=True))
        return tcp, fin, udp


def _fits(found: Daemon, wanted: Daemon) -> bool:
    """What the configuration leaves to the kernel may be anything."""
    return all(new in (0, "", old) for new, old in zip(wanted, found, strict=True) if new != old)


def _any_fits(found: Daemon, wanted: Sequence[Daemon]) -> bool:
    return any(_fits(found, each) for each in wanted)


def _roles(daemons: Sequence[Daemon]) -> str:
    return " and ".join(_WORDS[Role(role)] for role in sorted(each.role for each in daemons))
