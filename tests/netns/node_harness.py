"""A whole node, or two on one wire, in network namespaces: what the node tests share."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq

from keepbus.bus.client import Listener
from keepbus.contracts.message import Message
from keepbus.testing.namespaces import remove

VIP = "192.0.2.100"
INTERFACE = "kb0"
SERVICES = ("hub", "audit", "notify", "ipvs", "checker", "vrrp", "watchdog")

_CLONE_NEWNET = 0x40000000
_RTM_GETADDR = 22
_RTM_NEWLINK = 16
_NLM_F_REQUEST = 0x1
_NLM_F_ACK = 0x4
_NLM_F_DUMP = 0x300
_NLMSG_DONE = 3

needs_namespaces = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("ip") is None,
    reason="needs root and iproute2: nothing was tried about whole nodes",
)


def configuration(priority: int, extra: str = "", advert_int: str = "1") -> str:
    """One instance; adverts every advert_int seconds, by version 3 below a second."""
    return f"""
vrrp_instance VI_1 {{
    state BACKUP
    interface {INTERFACE}
    virtual_router_id 51
    priority {priority}
    advert_int {advert_int}
    version {2 if float(advert_int) >= 1 else 3}
    virtual_ipaddress {{
        {VIP}/24 dev {INTERFACE}
    }}
    {extra}
}}
"""


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def eventually(what: str, test: Callable[[], bool], limit_s: float, interval_s: float = 0.02) -> float:
    """Wait until the test holds; how long it took. Fails with `what` after the limit."""
    began = time.monotonic()
    while not test():
        if time.monotonic() - began > limit_s:
            pytest.fail(f"not within {limit_s} s: {what}")
        time.sleep(interval_s)
    return time.monotonic() - began


@contextlib.contextmanager
def wire(count: int = 2) -> Iterator[list[str]]:
    """Namespaces on one bridge, named by this process; each has INTERFACE with 192.0.2.N/24."""
    prefix = f"kbnode{os.getpid()}"
    switch = f"{prefix}sw"
    names = [f"{prefix}d{number}" for number in range(1, count + 1)]
    try:
        ip("netns", "add", switch)
        ip("-n", switch, "link", "add", "br0", "type", "bridge")
        ip("-n", switch, "link", "set", "br0", "up")
        for number, name in enumerate(names, 1):
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
            ip(
                "-n", name, "link", "add", INTERFACE, "type", "veth", "peer", f"p{number}", "netns", switch
            )  # fmt: skip
            ip("-n", switch, "link", "set", f"p{number}", "master", "br0", "up")
            ip("-n", name, "link", "set", INTERFACE, "up")
            ip("-n", name, "address", "add", f"192.0.2.{number}/24", "dev", INTERFACE)
        yield names
    finally:
        for name in (*names, switch):
            remove(name)


class Node:
    """`keepbus up` in a namespace."""

    def __init__(self, namespace: str, text: str, *options: str, prefix: tuple[str, ...] = ()) -> None:
        """prefix is put before the command; options go to `keepbus up`."""
        self.namespace = namespace
        self.directory = Path(tempfile.mkdtemp(prefix=f"kbnode{os.getpid()}-"))
        self.run_dir = self.directory / "run"
        self.file = self.directory / "keepalived.conf"
        self.file.write_text(text, encoding="utf-8")
        self.output = self.directory / "output"
        self._prefix = prefix
        self._options = options
        self._ears: list[Listener] = []
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.process: subprocess.Popen[bytes] | None = None

    def command(self, *words: str) -> list[str]:
        """A keepbus command line."""
        return [sys.executable, "-m", "keepbus.cli", *words, "-r", str(self.run_dir)]

    def start(self, *, named: bool = True) -> None:
        """Start it and wait until it says that it is up. named: by the harness; else the file names it."""
        where = ["ip", "netns", "exec", self.namespace] if self.namespace else []
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [*where, *self._prefix, *self.command("up", "-f", str(self.file)),
                 *(("--node", self.namespace or "alone") if named else ()), *self._options],
                stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        try:
            eventually("the node is up", lambda: "is up:" in self.said(), 20)
        except BaseException:
            print(self.said())
            raise

    def said(self) -> str:
        """All that it wrote so far."""
        return self.output.read_text(encoding="utf-8", errors="replace") if self.output.exists() else ""

    def pid(self, service: str) -> int:
        """Process id of a service, from its lock file."""
        try:
            return int((self.run_dir / "locks" / service).read_text(encoding="ascii"))
        except (OSError, ValueError):
            return 0

    def processes(self) -> list[int]:
        """Every living process of the node: those whose command line names its run directory."""
        wanted = str(self.run_dir).encode()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                with contextlib.suppress(OSError):
                    zombie = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[0] == "Z"
                    if wanted in (entry / "cmdline").read_bytes() and not zombie:
                        found.append(int(entry.name))
        return found

    def listen(self, *topics: str) -> Listener:
        """An ear on its bus."""
        listener = Listener(self._context, self.run_dir, topics)
        self._ears.append(listener)
        return listener

    def hear(self, topic: str, wanted: Callable[[Message], bool], limit_s: float) -> Message:
        """Wait for a message on a topic."""
        listener = self.listen(topic)
        found: list[Message] = []

        others: list[Message] = []

        def look() -> bool:
            for message in listener.receive(repeats=True):
                (found if message.body is not None and wanted(message) else others).append(message)
            return bool(found)

        try:
            eventually(f"a message on {topic}", look, limit_s)
        except BaseException:
            print(f"{self.namespace} heard only {others[-3:]}")
            raise
        return found[0]

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(10)

    def destroy(self) -> None:
        """Leave nothing, whatever happened."""
        for listener in self._ears:
            listener.close()
        self._context.term()
        for _ in range(50):
            left = self.processes()
            if not left:
                break
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)
        if self.process is not None:
            self.process.wait(5)
        shutil.rmtree(self.directory, ignore_errors=True)


@contextlib.contextmanager
def node(namespace: str, text: str, *options: str, prefix: tuple[str, ...] = ()) -> Iterator[Node]:
    """A node that is up, and nothing of it afterwards."""
    made = Node(namespace, text, *options, prefix=prefix)
    try:
        made.start()
        yield made
    finally:
        if sys.exc_info()[0] is not None:
            print(made.said())
        made.destroy()


def hurt(made: Node, service: str, how: signal.Signals, limit_s: float) -> tuple[float, list[str]]:
    """Hurt a service and wait until the watchdog tells that it is back.

    Returns how long it was away, in seconds, and what the watchdog told of it.
    """
    ear = made.listen("event/watchdog/", "state/hub/service")
    eventually("the ear hears", lambda: bool(ear.receive()), 5)
    victim = made.pid(service)
    os.kill(victim, how)
    told: dict[str, Message] = {}

    def is_back() -> bool:
        told.update(
            {
                m.topic.split("/")[2]: m
                for m in ear.receive()
                if m.topic.endswith(f"/{service}") and m.topic.startswith("event/watchdog/")
            }
        )
        return "return" in told and len(told) > 1  # a standby is back before its predecessor is reaped

    eventually(f"{service} is back", is_back, limit_s)
    back = told["return"].body
    assert made.pid(service) == back.pid != victim
    return back.away_us / 1e6, sorted(told)


class Kernel:
    """Notes when this machine's network configuration lock (rtnl) was not to be had for a while.

    It is one for all namespaces, and others' tests hold it for seconds when they make or delete many: then
    no address can be renewed in time, by anybody. What happened during such a pause proves nothing.
    """

    def __init__(self, namespace: str) -> None:
        self._socket = _netlink_in(namespace)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self._longest = 0.0
        self._asked_at = time.monotonic()

    def __enter__(self) -> Kernel:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        self._socket.close()

    def pause(self) -> float:
        """The longest wait for the lock since the last call, seconds; one that still goes on included."""
        longest, self._longest = max(self._longest, time.monotonic() - self._asked_at - 0.02), 0.0
        return longest

    def _ask(self) -> None:
        # Changes nothing: no flag of the loopback interface is in the mask.
        request = struct.pack(
            "=IHHIIBxHiII", 32, _RTM_NEWLINK, _NLM_F_REQUEST | _NLM_F_ACK, 1, 0, 0, 0, 1, 0, 0
        )
        while not self._end.wait(0.02):
            self._asked_at = time.monotonic()
            self._socket.send(request)
            self._socket.recv(4096)
            self._longest = max(self._longest, time.monotonic() - self._asked_at)
            self._asked_at = time.monotonic()


class Witness:
    """Watches who holds the virtual address, a few hundred times a second, in several namespaces at once."""

    def __init__(self, *namespaces: str, address: str = VIP) -> None:
        self._address = socket.inet_aton(address)
        self._sockets = {name: _netlink_in(name) for name in namespaces}
        self.changes: list[tuple[float, frozenset[str]]] = []
        """When who held it, from each moment on; monotonic seconds."""
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Witness:
        self._look()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        for connection in self._sockets.values():
            connection.close()

    def holders(self) -> frozenset[str]:
        """Who holds it now."""
        return self.changes[-1][1]

    def longest(self, holders: int, since: float = 0.0) -> float:
        """The longest time in seconds during which so many held it at once."""
        ends = [at for at, _ in self.changes[1:]] + [time.monotonic()]
        spans = [
            end - max(at, since)
            for (at, names), end in zip(self.changes, ends, strict=True)
            if len(names) == holders and end > since
        ]
        return max(spans, default=0.0)

    def _watch(self) -> None:
        while not self._end.wait(0.002):
            self._look()

    def _look(self) -> None:
        now = time.monotonic()
        names = frozenset(name for name, connection in self._sockets.items() if self._held(connection))
        if not self.changes or self.changes[-1][1] != names:
            self.changes.append((now, names))

    def _held(self, connection: socket.socket) -> bool:
        request = struct.pack(
            "=IHHIIBxxxi", 24, _RTM_GETADDR, _NLM_F_REQUEST | _NLM_F_DUMP, 1, 0, socket.AF_INET, 0
        )
        connection.send(request)
        found = False
        while True:
            answer = connection.recv(65536)
            found = found or self._address in answer
            if struct.unpack_from("=H", answer, 4)[0] == _NLMSG_DONE or _ends_with_done(answer):
                return found


def _ends_with_done(answer: bytes) -> bool:
    """True when the last netlink message of a datagram closes the dump."""
    offset = kind = 0
    while offset + 16 <= len(answer):
        length, kind = struct.unpack_from("=IH", answer, offset)
        offset += (length + 3) & ~3
    return kind == _NLMSG_DONE


def _netlink_in(namespace: str) -> socket.socket:
    """A netlink socket that belongs to a namespace, made by a thread that enters it."""
    made: list[socket.socket] = []

    def enter() -> None:
        with open(f"/run/netns/{namespace}") as handle:
            if ctypes.CDLL(None, use_errno=True).setns(handle.fileno(), _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
        made.append(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    return made[0]
