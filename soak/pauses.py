"""When this machine did not let anybody work: it proves nothing what happened then.

The kernel's lock on network configuration (rtnl) is one for all namespaces; whoever makes or deletes many of
them holds it for seconds, and no node can renew an address meanwhile. A request that changes nothing shows
how long one has to wait for it, and for the processor.
"""

from __future__ import annotations

import socket
import struct
import threading
import time

_NEWLINK, _REQUEST_AND_ACK, _LOOPBACK = 16, 0x5, 1
_INTERVAL_S = 0.03
_NOTED_S = 0.05


class Pauses:
    """Asks from its start to its end; a thread of its own."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._found: list[tuple[float, float]] = []
        self._asked_s = time.monotonic()
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._ask, name="pauses", daemon=True)

    def __enter__(self) -> Pauses:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def since(self, moment_s: float) -> list[tuple[float, float]]:
        """From when to when, of those that ended after that moment; one that goes on included."""
        now_s = time.monotonic()
        with self._lock:
            self._found = [each for each in self._found if each[1] > moment_s]
            going_on = [(self._asked_s, now_s)] if now_s - self._asked_s > _INTERVAL_S + _NOTED_S else []
            return [*self._found, *going_on]

    def _ask(self) -> None:
        # No flag of the loopback interface is in the mask.
        request = struct.pack("=IHHIIBxHiII", 32, _NEWLINK, _REQUEST_AND_ACK, 1, 0, 0, 0, _LOOPBACK, 0, 0)
        while not self._end.is_set():
            begun_s = time.monotonic()
            with self._lock:
                self._asked_s = begun_s
            self._socket.send(request)
            self._socket.recv(4096)
            self._end.wait(_INTERVAL_S)
            done_s = time.monotonic()
            if done_s - begun_s > _INTERVAL_S + _NOTED_S:
                with self._lock:
                    self._found.append((begun_s, done_s))
