"""When this machine did not let anybody work: it proves nothing what happened then.

The kernel's lock on network configuration (rtnl) is one for all namespaces; whoever makes or deletes many of
them holds it for seconds, and no node can renew an address meanwhile. A request that changes nothing shows
how long one has to wait for it. A thread on each processor, in the real-time class as vrrp is, shows how long
one of them ran nobody, as a virtual machine's does.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
import time
from collections.abc import Callable

_NEWLINK, _REQUEST_AND_ACK, _LOOPBACK = 16, 0x5, 1
_INTERVAL_S = 0.03
_NOTED_S = 0.05


class Pauses:
    """Looks from its start to its end, in threads of its own."""

    def __init__(self) -> None:
        self._found: list[tuple[float, float]] = []
        self._begun_s: dict[str, float] = {}
        """Moment of the last look of each thread."""
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._look, args=("rtnl", _rtnl()), daemon=True)]
        self._threads += [
            threading.Thread(target=self._look_on, args=(processor,), daemon=True)
            for processor in os.sched_getaffinity(0)
        ]

    def __enter__(self) -> Pauses:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def since(self, moment_s: float) -> list[tuple[float, float]]:
        """From when to when, of those that ended after that moment; those that go on included."""
        with self._lock:
            self._found = [each for each in self._found if each[1] > moment_s]
            now_s = time.monotonic()
            going_on = [
                (begun_s, now_s)
                for begun_s in self._begun_s.values()
                if now_s - begun_s > _INTERVAL_S + _NOTED_S
            ]
            return [*self._found, *going_on]

    def _look_on(self, processor: int) -> None:
        os.sched_setaffinity(0, {processor})
        with contextlib.suppress(PermissionError):
            os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
        self._look(f"processor {processor}", lambda: None)

    def _look(self, name: str, work: Callable[[], object]) -> None:
        while not self._end.is_set():
            begun_s = time.monotonic()
            with self._lock:
                self._begun_s[name] = begun_s
            work()
            time.sleep(_INTERVAL_S)
            done_s = time.monotonic()
            if done_s - begun_s > _INTERVAL_S + _NOTED_S:
                with self._lock:
                    self._found.append((begun_s, done_s))


def _rtnl() -> Callable[[], object]:
    """Asks for the lock, and waits for the answer."""
    connection = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    # No flag of the loopback interface is in the mask.
    request = struct.pack("=IHHIIBxHiII", 32, _NEWLINK, _REQUEST_AND_ACK, 1, 0, 0, 0, _LOOPBACK, 0, 0)

    def ask() -> bytes:
        connection.send(request)
        return connection.recv(4096)

    return ask
