"""The hub's two sockets and what the kernel tells about those at the other end."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterable
from pathlib import Path

import zmq

from keepbus.bus.client import configure, listen_address, speak_address
from keepbus.runtime.machine import Event
from keepbus_hub.admission import Admission
from keepbus_hub.effects import Forward, Inspect
from keepbus_hub.events import Inspected, Owners, Peer, Received, Subscribed

_MOST_MESSAGES_PER_READ = 500


class Shell:
    """PULL to hear everybody who speaks, XPUB to speak to everybody who listens.

    The XPUB is in manual mode: a subscription counts only when `Admission` says so, asked before the socket
    is used for anything else.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], run_dir: Path) -> None:
        """Bind both. Raises zmq.ZMQError or OSError when a path cannot be bound."""
        _raise_file_limit()
        self._admission = Admission()
        self._locks = run_dir / "locks"
        self._locks_seen_ns = 0
        self._uids: dict[str, int] = {}
        self._speak = _Bound("speak", context.socket(zmq.PULL), speak_address(run_dir))
        listen = context.socket(zmq.XPUB)
        listen.setsockopt(zmq.XPUB_MANUAL, 1)
        self._listen_directory = listen_address(run_dir).parent
        self._listen = _Bound("listen", listen, listen_address(run_dir))
        # ZeroMQ's descriptors tell of a change only once; this one keeps the loop awake for what was left.
        self._leftover = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def filenos(self) -> tuple[int, ...]:
        """Descriptors to watch for reading; `read` serves all."""
        return self._speak.fileno(), self._listen.fileno(), self._leftover

    def read(self, _mask: int) -> list[Event]:
        """What waits in the sockets, each up to a limit."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._leftover)
        events: list[Event] = list(self._read_owners())
        events += self._read_messages()
        events += self._read_subscriptions()
        self._stay_awake()
        return events

    def perform(self, effect: object, _now_ns: int) -> Iterable[Event] | None:
        """Carry out one effect of the hub's machine."""
        if type(effect) is Forward:
            for frames in effect.messages:
                # A listener that does not read loses messages at its high-water mark; nobody waits for it.
                self._listen.socket.send_multipart(frames, zmq.NOBLOCK)
            self._stay_awake()
        elif type(effect) is Inspect:
            return [*self._read_owners(always=True), self._inspect()]
        return None

    def close(self) -> None:
        """Close both; what is on its way may leave."""
        self._speak.socket.close(0)
        self._listen.socket.close(200)
        os.close(self._leftover)

    def _read_messages(self) -> Iterable[Event]:
        for _ in range(_MOST_MESSAGES_PER_READ):
            try:
                frames = self._speak.socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            yield Received(tuple(frame.bytes for frame in frames), _peer(frames[0]))

    def _read_subscriptions(self) -> Iterable[Event]:
        socket = self._listen.socket
        for _ in range(_MOST_MESSAGES_PER_READ):
            try:
                first, *more = socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            octets = bytes(first.bytes)
            if more or octets[:1] not in (b"\x00", b"\x01"):
                continue
            prefix, peer = octets[1:], _peer(first)
            pid = None if peer is None else peer.pid
            if octets.startswith(b"\x00"):
                self._admission.give_back(prefix, pid)
                socket.setsockopt(zmq.UNSUBSCRIBE, prefix)
                continue
            refusal = "uid" if self._is_stranger(peer) else self._admission.ask(prefix, pid)
            if not refusal:
                socket.setsockopt(zmq.SUBSCRIBE, prefix)
            yield Subscribed(prefix, peer, refusal)

    def _is_stranger(self, peer: Peer | None) -> bool:
        """Whom the modes of the directory would have kept out, had nobody opened them (reliability R-B7).

        They are the barrier, this is the second one: whom nothing is known of passes.
        """
        if peer is None or peer.uid == 0 or peer.uid in self._uids.values():
            return False
        try:
            owner = os.stat(self._listen_directory)
            if peer.uid == owner.st_uid or peer.gid == owner.st_gid:
                return False
            return owner.st_gid not in _groups(peer.pid)
        except OSError:
            return False

    def _read_owners(self, *, always: bool = False) -> Iterable[Event]:
        """Owners of the lock files when the directory changed, so that a new service is known at once.

        Who was an owner stays one: somebody may delete the directory under running services.
        """
        with contextlib.suppress(OSError):
            changed_ns = os.stat(self._locks).st_mtime_ns
            if changed_ns == self._locks_seen_ns and not always:
                return
            with os.scandir(self._locks) as entries:
                found = {entry.name: entry.stat(follow_symlinks=False).st_uid for entry in entries}
            self._locks_seen_ns = changed_ns
            if not found.items() <= self._uids.items():
                self._uids = self._uids | found
                yield Owners(self._uids)

    def _inspect(self) -> Inspected:
        for pid in self._admission.pids():
            if not os.path.exists(f"/proc/{pid}"):
                self._admission.forget(pid)
        rebound = tuple(bound.name for bound in (self._speak, self._listen) if bound.restore())
        return Inspected(rebound, _descriptors(), self._admission.count())

    def _stay_awake(self) -> None:
        """Sending and receiving eat the socket's wake-up; make one when something still waits."""
        for bound in (self._speak, self._listen):
            if int(bound.socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
                os.eventfd_write(self._leftover, 1)
                return


class _Bound:
    """A socket bound to a path that it keeps its own (reliability R-B3)."""

    def __init__(self, name: str, socket: zmq.Socket[bytes], path: Path) -> None:
        self.name = name
        self.socket = socket
        self._path = path
        configure(socket)
        self._identity = self._bind()

    def fileno(self) -> int:
        return int(self.socket.getsockopt(zmq.FD))

    def restore(self) -> bool:
        """Bind again when the path is not what was bound; True when that was done."""
        if _identity(self._path) == self._identity:
            return False
        # Beside the old listener, whose connections live on: unbinding it would remove the new path later.
        try:
            self._identity = self._bind()
        except (OSError, zmq.ZMQError):
            return False  # those who are connected are served; the next inspection tries again
        return True

    def _bind(self) -> tuple[int, int] | None:
        self._path.parent.parent.mkdir(mode=0o751, parents=True, exist_ok=True)
        self._path.parent.mkdir(mode=0o750, exist_ok=True)
        self.socket.bind(f"ipc://{self._path}")
        # To connect is to write; who may come this far is the directory's matter.
        os.chmod(self._path, 0o770)
        return _identity(self._path)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _peer(frame: zmq.Frame) -> Peer | None:
    """The peer of a frame: libzmq writes `NAME:UID:GID:PID` for a Unix socket (SO_PEERCRED)."""
    try:
        address = str(frame.get("Peer-Address"))
        uid, gid, pid = map(int, address.rsplit(":", 3)[1:])
    except (zmq.ZMQError, ValueError):
        return None
    return Peer(uid, gid, pid)


def _groups(pid: int) -> frozenset[int]:
    """Supplementary groups, which the kernel does not tell with a connection. Raises OSError."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    return frozenset(map(int, status.partition("\nGroups:")[2].partition("\n")[0].split()))


def _descriptors() -> int:
    """How many this process has open."""
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:
        # There is none left to look with.
        return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _raise_file_limit() -> None:
    """libzmq ends the process when accept fails for want of descriptors: have as many as allowed."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
