"""Listening to a node's bus from the command line."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType

import zmq

from keepbus.bus.client import Listener, listen_address
from keepbus.contracts.message import Message

_QUIET_S = 0.15
_LONGEST_S = 1.0


class NoNode(Exception):
    """There is nobody to listen to; the message says what to do."""


class Ear:
    """A listener that waits. Use it in a `with` block; raises NoNode when the node does not run."""

    def __init__(self, run_dir: Path, topics: Iterable[str]) -> None:
        require_hub(run_dir)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.listener = Listener(self._context, run_dir, topics)
        self._poll = select.poll()
        for fd in self.listener.filenos():
            self._poll.register(fd, select.POLLIN)

    def __enter__(self) -> Ear:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.listener.close()
        self._context.term()

    def hear(self, timeout_s: float, *, repeats: bool = False) -> list[Message]:
        """What has come; waits up to timeout_s when that is nothing."""
        messages = self.listener.receive(repeats=repeats)
        if not messages and timeout_s > 0:
            self._poll.poll(timeout_s * 1000)
            messages = self.listener.receive(repeats=repeats)
        return messages


def collect(
    run_dir: Path, topics: Iterable[str] = ("state/",), clock: Callable[[], float] = time.monotonic
) -> dict[str, Message]:
    """The last message of each state topic that stands, by topic. Raises NoNode.

    The hub gives what it retains in one burst; when nothing new has come for 150 ms that was it. It never
    takes longer than a second.
    """
    states: dict[str, Message] = {}
    with Ear(run_dir, topics) as ear:
        began = heard = clock()
        while (now := clock()) - began < _LONGEST_S and (now - heard < _QUIET_S or not states):
            for message in ear.hear(min(_QUIET_S, _LONGEST_S - (now - began)), repeats=True):
                if message.topic not in states:
                    heard = clock()
                states[message.topic] = message
    if not states:
        raise NoNode(f"the hub of {run_dir} says nothing; look at the node's log, or start the node anew")
    return {topic: message for topic, message in states.items() if message.body is not None}


def require_hub(run_dir: Path) -> None:
    """Raise NoNode with the reason when nobody listens on the hub's socket."""
    path = listen_address(run_dir)
    start = f"start the node with `keepbus up -f FILE -r {run_dir}`, or name another run directory with -r"
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_LONGEST_S)  # a hub that stands still takes nobody in
        try:
            probe.connect(str(path))
        except FileNotFoundError:
            if run_dir.is_dir():
                raise NoNode(f"no node runs in {run_dir}; {start}") from None
            raise NoNode(f"there is no directory {run_dir}; {start}") from None
        except PermissionError:
            raise NoNode(
                f"you may not listen to the node in {run_dir}; become root or join its group"
            ) from None
        except ConnectionRefusedError:
            raise NoNode(
                f"the hub of {run_dir} does not answer: the node was stopped or its hub has died; {start}"
            ) from None
        except OSError as error:
            raise NoNode(f"cannot listen on {path}: {error.strerror or error}; {start}") from None
