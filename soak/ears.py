"""What the nodes' buses say: the states as they stand, and every transition."""

from __future__ import annotations

import threading
import time

import zmq

from keepbus.bus.client import Listener
from keepbus.cli.live import learn
from keepbus.cli.node import Node as Picture
from keepbus.cli.node import assemble
from keepbus.contracts.message import Message
from keepbus.contracts.vrrp import GroupTransitioned, Instance, SyncGroup, Transition, Transitioned
from soak.evidence import Step
from soak.node import Node

_INTERVAL_S = 0.05


class Ears:
    """Listens to every node from its start to its end; a thread of its own."""

    def __init__(self, nodes: list[Node]) -> None:
        self._nodes = nodes
        self._lock = threading.Lock()
        self._states: dict[str, dict[str, Message]] = {node.name: {} for node in nodes}
        self._known: set[tuple[str, str, str, int]] = set()
        self._steps: list[Step] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="ears", daemon=True)

    def __enter__(self) -> Ears:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def picture(self, node: str) -> Picture:
        """The node as its states show it."""
        with self._lock:
            return assemble(dict(self._states[node]), time.time_ns())

    def forget(self, node: str) -> None:
        """Its states are those of a life that ended."""
        with self._lock:
            self._states[node].clear()

    def steps(self, already: int) -> list[Step]:
        """Transitions but for the first `already`, in the order in which they were told."""
        with self._lock:
            return self._steps[already:]

    def _listen(self) -> None:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        listeners = [
            (node.name, Listener(context, node.run_dir, ["state/", "event/vrrp/"])) for node in self._nodes
        ]
        while not self._end.wait(_INTERVAL_S):
            for name, listener in listeners:
                messages = listener.receive(repeats=True)
                with self._lock:
                    learn(self._states[name], (m for m in messages if m.topic.startswith("state/")))
                    for message in messages:
                        self._hear(name, message.body)
        for _, listener in listeners:
            listener.close()
        context.term()

    def _hear(self, node: str, body: object) -> None:
        match body:
            case Instance():
                self._add(node, body.name, body.life, body.history)
            case SyncGroup():
                self._add(node, f"GROUP {body.name}", body.life, body.history)
            case Transitioned():
                self._add(node, body.instance, body.life, (body.transition,))
            case GroupTransitioned():
                self._add(node, f"GROUP {body.group}", body.life, (body.transition,))

    def _add(self, node: str, name: str, life: str, transitions: tuple[Transition, ...]) -> None:
        for each in transitions:
            key = (node, name, life, each.number)
            if key not in self._known:
                self._known.add(key)
                self._steps.append(
                    Step(
                        node, name, life, each.number, each.from_state.value, each.to_state.value, each.cause,
                        each.at_ns,
                    )
                )  # fmt: skip
