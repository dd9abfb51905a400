"""What a node writes, passed on by its parent.

Law of this file: nothing waits for the terminal. Lines that it does not take are dropped and counted.
"""

from __future__ import annotations

import os
import select

_MOST_WAITING_OCTETS = 1 << 18
_OCTETS_PER_WRITE = 4096
"""PIPE_BUF: a pipe that is ready takes so much without blocking."""
_SAME_AGAIN_S = 60.0
_LONGEST_LINE = 4096
_HUNG_UP = b"error: uncaptured python exception, closing channel <supervisor."
"""supervisord says it of a caller that did not wait for the answer, which is nobody's concern."""


class Relay:
    """Copies what the node writes to our standard output."""

    def __init__(self, target: int = 1) -> None:
        self.reader, self.writer = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self.reader, False)
        self._target = target
        self._waiting = bytearray()
        self._dropped = 0

    def say(self, sentence: str) -> None:
        """Put a line of our own between the others."""
        self._keep(f"keepbus: {sentence}\n".encode())

    def fill(self) -> None:
        """Take what waits in the pipe."""
        try:
            octets = os.read(self.reader, 1 << 16)
        except BlockingIOError:
            return
        if _HUNG_UP in octets:
            octets = b"".join(line for line in octets.splitlines(True) if not line.startswith(_HUNG_UP))
        self._keep(octets)

    def drain(self) -> None:
        """Write as much as the target takes now without waiting."""
        poller = select.poll()
        poller.register(self._target, select.POLLOUT)
        while self._waiting and poller.poll(0):
            try:
                written = os.write(self._target, self._waiting[:_OCTETS_PER_WRITE])
            except BlockingIOError:
                return
            except OSError:  # whoever read it is gone
                self._waiting.clear()
                return
            del self._waiting[:written]

    def _keep(self, octets: bytes) -> None:
        if len(self._waiting) + len(octets) > _MOST_WAITING_OCTETS:
            self._dropped += octets.count(b"\n")
            return
        if self._dropped:
            self._waiting += f"keepbus: {self._dropped} lines dropped, the output was not taken\n".encode()
            self._dropped = 0
        self._waiting += octets


class Grumbles:
    """What supervisord writes on its standard error: a traceback for each line that it cannot log. The
    operator gets what failed, once in a minute."""

    def __init__(self, relay: Relay) -> None:
        self.reader, self.writer = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self.reader, False)
        self._relay = relay
        self._rest = b""
        self._told: dict[bytes, float] = {}

    def fill(self, now_s: float) -> None:
        """Take what waits in the pipe."""
        try:
            octets = os.read(self.reader, 1 << 16)
        except BlockingIOError:
            return
        *lines, rest = (self._rest + octets).split(b"\n")
        self._rest = rest[:_LONGEST_LINE]
        self._told = {line: at_s for line, at_s in self._told.items() if now_s - at_s < _SAME_AGAIN_S}
        for line in lines:
            if not line or line[:1].isspace() or line.startswith(b"Traceback") or line in self._told:
                continue
            self._told[line] = now_s
            self._relay.say(f"supervisord: {line.decode(errors='replace')}")
