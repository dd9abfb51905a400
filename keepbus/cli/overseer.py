"""Who watches the watchdog: `keepbus up`, by the same sign, the progress in its heartbeat.

A watchdog that died is started again by supervisord; one that is frozen would be noticed by nobody, and the
next service that dies would be away for a second instead of a moment, or for ever when it is frozen too.
"""

from __future__ import annotations

from pathlib import Path

import zmq

from keepbus.bus.client import Listener

SILENCE_S = 15.0
"""Three times what the watchdog itself grants others: it is the one to act first."""
_HUB_SILENCE_S = 2.0
_WATCHDOG = "state/watchdog/service"
_HUB = "state/hub/service"


class Overseer:
    """Reads the heartbeats of hub and watchdog."""

    def __init__(self, run_dir: Path, now_s: float) -> None:
        """now_s is of the clock that `suspect` is asked with."""
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._listener = Listener(self._context, run_dir, [_WATCHDOG, _HUB])
        self._progress = -1
        self._pid = 0
        self._watchdog_at_s = now_s
        self._hub_at_s = now_s - _HUB_SILENCE_S

    def filenos(self) -> tuple[int, int]:
        """Descriptors that are readable when a heartbeat came."""
        return self._listener.filenos()

    def suspect(self, now_s: float) -> int | None:
        """The pid of a watchdog that makes no progress while the hub passes messages on, told once."""
        for message in self._listener.receive():
            if message.body is None:
                continue
            if message.topic == _HUB:
                self._hub_at_s = now_s
            elif message.body.progress != self._progress or message.body.pid != self._pid:
                self._progress, self._pid = message.body.progress, message.body.pid
                self._watchdog_at_s = now_s
        if now_s - self._hub_at_s >= _HUB_SILENCE_S:
            # Nothing can be heard: that says nothing of the watchdog, whose time begins anew.
            self._watchdog_at_s = now_s
        if not self._pid or now_s - self._watchdog_at_s < SILENCE_S:
            return None
        self._watchdog_at_s = now_s
        return self._pid

    def close(self) -> None:
        """Close without waiting."""
        self._listener.close()
        self._context.term()
