"""All that a round plays on: the network, the nodes, the web servers, and who watches them."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

from demo.hosts import WebServer
from soak import network
from soak.customer import Customer
from soak.ears import Ears
from soak.evidence import Step
from soak.node import Node
from soak.pauses import Pauses
from soak.peer import Peer
from soak.routers import ROUTERS, SERVICE_VIP, Router, priority
from soak.witness import Witness

_START_S = 30.0


class Stage:
    """Made by `stage`, which also ends it."""

    def __init__(self, work: Path, count: int, peers: int) -> None:
        """count nodes, and after them peers that run keepalived."""
        hosts = [f"d{number}" for number in range(1, count + peers + 1)]
        names = hosts[:count]
        network.build(hosts)
        self.nodes = [Node(name, number, len(hosts), work) for number, name in enumerate(names)]
        self.peers = [
            Peer(host, number, len(hosts), work) for number, host in enumerate(hosts[count:], count)
        ]
        self._routers = len(hosts)
        self.web = {name: WebServer(name, name) for name in network.WEB}
        self.witness = Witness(ROUTERS, hosts)
        self.ears = Ears(self.nodes)
        self.pauses = Pauses()
        self.customer = Customer(SERVICE_VIP)
        self.census: dict[str, dict[str, int]] = {}
        """How many processes of each kind a healthy node has."""

    def node(self, name: str) -> Node:
        """By its name."""
        return next(node for node in self.nodes if node.name == name)

    def others(self, node: Node) -> list[Node]:
        """All but that one."""
        return [other for other in self.nodes if other is not node]

    def start(self) -> None:
        """Everything, until all is well. RuntimeError when it does not become so."""
        for server in self.web.values():
            server.start()
        for node in self.nodes:
            node.start()
        for peer in self.peers:
            peer.start()
        deadline = time.monotonic() + _START_S
        while sentences := self.unsettled():
            if time.monotonic() > deadline:
                raise RuntimeError("the nodes did not become well: " + "; ".join(sentences))
            time.sleep(0.2)
        time.sleep(1)
        self.census = {node.name: dict(node.census()) for node in self.nodes}

    def restart(self, node: Node) -> None:
        """Start a node that ended."""
        self.ears.forget(node.name)
        node.start()

    def unsettled(self) -> list[str]:
        """What is not as it should be now, a sentence each; empty at rest."""
        sentences = []
        for node in self.nodes:
            if not node.up:
                sentences.append(f"{node.name} does not run")
                continue
            picture = self.ears.picture(node.name)
            sentences += [f"{node.name}: {problem}" for problem in picture.problems()]
            if self.census:
                sentences += list(_differences(node, self.census[node.name]))
            wanted = {router.name: "MASTER" if self.first(router) is node else "BACKUP" for router in ROUTERS}
            states = {instance.name: instance.state.value for instance in picture.instances}
            sentences += [
                f"{node.name}: {name} is {states.get(name, 'unknown')}, not {state}"
                for name, state in wanted.items()
                if states.get(name) != state
            ]
            sentences += [
                f"{node.name}: notify has not yet told all of {name}"
                for name, notified in picture.notified.items()
                if notified.pending
            ]
        if not self.customer.served():
            sentences.append(f"the customer gets no pages from {SERVICE_VIP}")
        answering = self.witness.answering()
        for router in ROUTERS:
            expected = {self.first(router).name}
            if answering[router.address] != expected:
                seen = " ".join(sorted(answering[router.address])) or "nobody"
                sentences.append(f"{router.address} ({router.name}) is answered for by {seen}")
        return sentences

    def unwell(self) -> list[str]:
        """What `keepbus status` complains of where it should not; empty at rest."""
        answers = {node.name: node.keepbus("status") for node in self.nodes}
        return [f"{name}: keepbus status: {page}" for name, (status, page) in answers.items() if status]

    def first(self, router: Router) -> Node:
        """The node whose priority for the router is the highest."""
        return max(self.nodes, key=lambda node: priority(router, self.nodes.index(node), self._routers))

    def end(self) -> None:
        """Stop everything; the namespaces that hold it end with their last process."""
        for node in self.nodes:
            node.stop()
        for peer in self.peers:
            peer.stop()
        for server in self.web.values():
            server.kill()


def _differences(node: Node, wanted: dict[str, int]) -> Iterator[str]:
    seen = node.census()
    for what in sorted(wanted.keys() | seen.keys()):
        if seen[what] != wanted.get(what, 0):
            yield f"{node.name}: {seen[what]} processes are {what}, not {wanted.get(what, 0)}"


def untraced(node: Node, steps: list[Step]) -> list[str]:
    """Those of a node's steps that its journal does not have."""
    recorded: set[tuple[str, str, int]] = set()
    folder = node.run_dir / "audit"
    for path in sorted(folder.glob("journal.jsonl*")):
        for line in path.read_text(errors="replace").splitlines():
            if "/vrrp/" not in line:
                continue
            with contextlib.suppress(ValueError, KeyError, TypeError):
                recorded.update(_recorded(json.loads(line)))
    return [
        f"{step.node} {step.name} {step.number}: {step.to_state}"
        for step in steps
        if step.node == node.name and (step.name, step.life, step.number) not in recorded
    ]


def _recorded(line: dict[str, object]) -> Iterator[tuple[str, str, int]]:
    topic, body = str(line.get("topic", "")), line.get("body")
    if not isinstance(body, dict):
        return
    group = "GROUP " if "/group/" in topic else ""
    if topic.startswith(("event/vrrp/transition/", "event/vrrp/group/")):
        yield (
            f"{group}{body.get('instance') or body.get('group')}",
            body["life"],
            body["transition"]["number"],
        )
    elif topic.startswith(("state/vrrp/instance/", "state/vrrp/group/")):
        for transition in body["history"]:
            yield f"{group}{body['name']}", body["life"], transition["number"]


@contextlib.contextmanager
def stage(work: Path, count: int, peers: int) -> Iterator[Stage]:
    """A stage with everything running and well."""
    made = Stage(work, count, peers)
    try:
        with made.witness, made.ears, made.pauses, made.customer:
            made.start()
            yield made
    finally:
        made.end()
