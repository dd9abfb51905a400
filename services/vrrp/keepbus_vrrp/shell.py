"""Performs the machine's effects: the one owner of sockets, kernel and memory file."""

from __future__ import annotations

import contextlib
import errno
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from keepbus.runtime.loop import Loop, boottime_ns
from keepbus.runtime.machine import Effect, Event
from keepbus_vrrp import effects, events, family, record
from keepbus_vrrp.accept_filter import AcceptFilter
from keepbus_vrrp.claim_sockets import ClaimSockets
from keepbus_vrrp.effects import Endpoint
from keepbus_vrrp.gate import Gate
from keepbus_vrrp.kernel import Kernel
from keepbus_vrrp.memory import Memory
from keepbus_vrrp.nfnetlink import ABSENT, why
from keepbus_vrrp.route_news import RouteNews
from keepbus_vrrp.router_locks import RouterLocks
from keepbus_vrrp.sockets import AdvertSocket, AnnounceSocket, open_ah_socket, open_socket
from keepbus_vrrp.sysctls import Sysctls

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_NS_PER_MS = 1_000_000
_NO_NFTABLES = (*ABSENT, errno.EINVAL, errno.EPERM)
_CLOCK_TOLERANCE_NS = 1_000_000


class Shell:
    """Everything that touches the world. An effect never waits; what can fail answers with an event."""

    def __init__(self, run_dir: Path, node: str, loop: Loop, complain: Callable[[str], None]) -> None:
        """node is the node's name; complain logs one sentence. Raises OSError for kernel or directory."""
        self._loop = loop
        self._complain = complain
        self._kernel = Kernel()
        self._memory = Memory(run_dir / "vrrp" / "memory")
        self._announcements = AnnounceSocket()
        self._sockets: dict[Endpoint, AdvertSocket] = {}
        self._ah_sockets: dict[Endpoint, AdvertSocket] = {}
        self._route_news: RouteNews | None = None
        self._claims: ClaimSockets | None = None
        self._locks = RouterLocks()
        self._sysctls = Sysctls(run_dir / "vrrp" / "sysctls")
        self._failing: set[str] = set()
        self._node = node
        self._gate: Gate | None = None
        self._accept_filter = AcceptFilter(run_dir / "vrrp" / "accept")
        self._wall_offset_ns = 0
        loop.watch(self._kernel.fileno(), self._kernel.news)
        self._perform: dict[type, Callable[[Any], Iterable[Event] | None]] = {
            effects.Advertise: self._advertise,
            effects.Install: self._install,
            effects.Remove: self._remove,
            effects.Announce: self._announce,
            effects.Remember: self._remember,
            effects.Count: self._count,
            effects.Forget: self._forget,
            effects.Listen: self._listen,
            effects.Unlisten: self._unlisten,
            effects.ReadKernel: self._read_kernel,
            effects.Recall: self._recall,
            effects.Gather: self._gather,
            effects.Ask: self._ask,
            effects.WatchRoutes: self._watch_routes,
            effects.WatchClaims: self._watch_claims,
            effects.Sysctls: self._set_sysctls,
            effects.Occupy: self._occupy,
            effects.Guard: self._guard,
            effects.Deny: self._deny,
            effects.OpenGate: self._open_gate,
        }

    def perform(self, effect: Effect, _now_ns: int) -> Iterable[Event] | None:
        """Carry out one effect."""
        return self._perform[type(effect)](effect)

    def look_at_wall_clock(self, _now_ns: int) -> list[Event]:
        """An event when the wall clock was changed."""
        offset_ns = time.time_ns() - boottime_ns()
        if abs(offset_ns - self._wall_offset_ns) < _CLOCK_TOLERANCE_NS:
            return []
        self._wall_offset_ns = offset_ns
        return [events.WallClock(offset_ns)]

    def look_at_locks(self, _now_ns: int) -> list[Event]:
        """An event when a virtual router of a dead predecessor went to another node."""
        taken = self._locks.settle()
        return [] if taken is None else [events.Occupied(taken)]

    def look_at_sysctls(self, _now_ns: int) -> list[Event]:
        """Complain of kernel settings that somebody else changed (R-F50)."""
        for complaint in self._sysctls.changed():
            self._complain(complaint)
        return []

    def close(self) -> None:
        """Close everything."""
        for each in (*self._sockets.values(), *self._ah_sockets.values()):
            each.close()
        self._announcements.close()
        self._close_claims()
        self._accept_filter.close()
        if self._route_news is not None:
            self._route_news.close()
        self._kernel.close()
        self._locks.close()
        self._memory.close()

    def _advertise(self, effect: effects.Advertise) -> list[Event] | None:
        key = effect.instance
        now_ns = boottime_ns()
        try:
            if now_ns > effect.not_after_ns:
                raise TimeoutError("this process was held up")
            self._sockets[effect.endpoint].send(effect.copies)
        except (OSError, KeyError) as failure:
            self._failing.add(key)
            text = "no socket" if isinstance(failure, KeyError) else failure.strerror or str(failure)
            return [events.TransmitFailed(key, text)]
        if effect.lease_end_ns:
            self._memory.renew(key, now_ns, effect.lease_end_ns)
        answers: list[Event] = []
        if key in self._failing:
            self._failing.discard(key)
            answers.append(events.TransmitRecovered(key))
        if effect.addresses:
            for address, error in self._kernel.install(effect.addresses, effect.valid_s):
                answers.append(events.InstallFailed(key, address.address, error))
        if effect.confirm:
            announce = tuple(address.address for address in effect.addresses)
            answers.append(events.Installed(key, announce))
        return answers

    def _deny(self, effect: effects.Deny) -> list[Event]:
        try:
            self._accept_filter.want(effect)
        except OSError as error:
            return [events.DenyChanged(why(error))]
        return [events.DenyChanged("")]

    def _guard(self, effect: effects.Guard) -> list[Event]:
        try:
            if self._gate is None:
                self._gate = Gate(self._node)
            self._gate.guard(effect.addresses)
        except OSError as error:
            # Without nftables there is nothing left of an earlier gate.
            if not effect.addresses and error.errno not in _NO_NFTABLES:
                self._complain(f"the tables of the gate could not be removed: {error.strerror}")
            return [events.GateChanged(why(error) if effect.addresses else "")]
        return [events.GateChanged("")]

    def _open_gate(self, effect: effects.OpenGate) -> list[Event] | None:
        now_ns = boottime_ns()
        if self._gate is None:
            return None
        try:
            self._gate.open([(us, (end_ns - now_ns) // _NS_PER_MS) for us, end_ns in effect.leases])
        except OSError as error:
            # An open gate is better than one that nobody passes.
            with contextlib.suppress(OSError):
                self._gate.remove()
            self._gate = None
            return [events.GateChanged(why(error))]
        return None

    def _install(self, effect: effects.Install) -> list[Event]:
        answers: list[Event] = [
            events.InstallFailed(effect.instance, address.address, error)
            for address, error in self._kernel.install(effect.addresses, effect.valid_s)
        ]
        answers.append(events.Installed(effect.instance, effect.announce))
        return answers

    def _remove(self, effect: effects.Remove) -> list[Event] | None:
        refused = tuple(self._kernel.remove(effect.addresses))
        if not refused and not effect.again:
            return None
        for address, error in () if effect.again else refused:
            self._complain(f"{family.text(address.address)}/{address.prefix} could not be removed: {error}")
        return [events.Removed(effect.instance, effect.addresses, refused)]

    def _ask(self, effect: effects.Ask) -> list[Event]:
        return [
            events.Refused(effect.holder, request.name, error)
            for request, error in self._kernel.ask(effect.requests)
        ]

    def _set_sysctls(self, effect: effects.Sysctls) -> None:
        for complaint in self._sysctls.want(dict(effect.wanted)):
            self._complain(complaint)

    def _occupy(self, effect: effects.Occupy) -> list[Event]:
        return [events.Occupied(self._locks.want(effect.keys))]

    def _watch_routes(self, effect: effects.WatchRoutes) -> None:
        if effect.wanted and self._route_news is None:
            self._route_news = RouteNews(self._kernel.port)
            self._loop.watch(self._route_news.fileno(), self._route_news.news)
        elif not effect.wanted and self._route_news is not None:
            self._loop.unwatch(self._route_news.fileno())
            self._route_news.close()
            self._route_news = None

    def _watch_claims(self, effect: effects.WatchClaims) -> None:
        self._close_claims()
        try:
            self._claims = ClaimSockets(effect.addresses)
        except OSError as error:
            self._complain(f"nobody watches for other hosts with our addresses: {error.strerror}")
            return
        for opened, read in (
            (self._claims.arp, self._claims.read_arp),
            (self._claims.neighbours, self._claims.read_neighbours),
        ):
            if opened is not None:
                self._loop.watch(opened.fileno(), read)

    def _close_claims(self) -> None:
        claims, self._claims = self._claims, None
        if claims is not None:
            for opened in (claims.arp, claims.neighbours):
                if opened is not None:
                    self._loop.unwatch(opened.fileno())
            claims.close()

    def _announce(self, effect: effects.Announce) -> None:
        for interface, frame in effect.frames:
            try:
                self._announcements.send(interface, frame)
            except OSError as error:
                self._complain(f"an announcement could not be sent: {error.strerror}")
                return

    def _remember(self, effect: effects.Remember) -> None:
        try:
            self._memory.write(effect.instance, record.dump(effect.record), holds_lease=effect.holds_lease)
        except OSError as error:
            self._complain(f"{effect.instance} is forgotten when this process ends: {error.strerror}")

    def _count(self, effect: effects.Count) -> None:
        self._memory.count(effect.instance, effect.counters)

    def _forget(self, effect: effects.Forget) -> None:
        self._memory.forget(effect.instance)

    def _listen(self, effect: effects.Listen) -> list[Event] | None:
        endpoint = effect.endpoint
        try:
            self._hear(self._sockets, open_socket, effect)
            if effect.ah:
                self._hear(self._ah_sockets, open_ah_socket, effect)
            else:
                self._close(self._ah_sockets, endpoint)
        except OSError as error:
            self._close(self._sockets, endpoint)
            self._close(self._ah_sockets, endpoint)
            return [events.ListenFailed(endpoint, error.strerror or str(error))]
        return None

    def _hear(
        self,
        sockets: dict[Endpoint, AdvertSocket],
        open_: Callable[[Endpoint, str], AdvertSocket],
        effect: effects.Listen,
    ) -> None:
        opened = sockets.get(effect.endpoint)
        if opened is None:
            opened = open_(effect.endpoint, effect.interface)
            sockets[effect.endpoint] = opened
            self._loop.watch(opened.fileno(), opened.read, patient=True)
        opened.join(set(effect.groups))

    def _unlisten(self, effect: effects.Unlisten) -> None:
        self._close(self._sockets, effect.endpoint)
        self._close(self._ah_sockets, effect.endpoint)

    def _close(self, sockets: dict[Endpoint, AdvertSocket], endpoint: Endpoint) -> None:
        opened = sockets.pop(endpoint, None)
        if opened is not None:
            self._loop.unwatch(opened.fileno())
            opened.close()

    def _read_kernel(self, _effect: effects.ReadKernel) -> list[Event]:
        return [self._kernel.read()]

    def _gather(self, effect: effects.Gather) -> None:
        self._loop.gather_ns = effect.gather_ns

    def _recall(self, _effect: effects.Recall) -> list[Event]:
        boot_id = _BOOT_ID.read_text(encoding="ascii").strip()
        return [events.Remembered(boot_id, tuple(self._memory.read()))]
