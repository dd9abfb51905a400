"""Virtual time: machines on a simulated wire, with faults, repeatable from a seed.

A world is one queue of (moment, number, what happens); nothing in it is random but its one seeded
generator. Nodes are machines behind a pretended shell; how their effects touch the wire is the business of
a subclass of `Node`.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterable

from keepbus.runtime.machine import Effect, Event, Machine

_BEGIN_NS = 1_000_000_000_000
_MILLION = 1_000_000


class World:
    """The queue and the wire."""

    def __init__(self, seed: int, *, delay_ns: tuple[int, int] = (50_000, 2_000_000)) -> None:
        """delay_ns is the least and the greatest one-way delay."""
        self.random = random.Random(seed)
        self.now_ns = _BEGIN_NS
        self.nodes: list[Node] = []
        self.delay_ns = delay_ns
        self.loss = 0.0
        """Part of the packets that are lost, for each receiver by itself."""
        self.duplication = 0.0
        """Part of the packets that arrive twice, each time with a delay of its own."""
        self.cut: set[tuple[str, str]] = set()
        """Directed links, sender and receiver, that carry nothing."""
        self.clogged: dict[tuple[str, str], list[bytes]] = {}
        """Directed links that hold everything back until `release`."""
        self.watchers: list[Callable[[], None]] = []
        """Called after every happening."""
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._number = 0

    def at(self, moment_ns: int, action: Callable[[], None]) -> None:
        """Do this at a moment."""
        self._number += 1
        heapq.heappush(self._queue, (max(moment_ns, self.now_ns), self._number, action))

    def after(self, delay_ns: int, action: Callable[[], None]) -> None:
        """Do this so much later."""
        self.at(self.now_ns + delay_ns, action)

    def broadcast(self, sender: Node, octets: bytes) -> None:
        """A packet for everybody else."""
        for node in self.nodes:
            link = (sender.name, node.name)
            if node is sender or link in self.cut or (self.loss and self.random.random() < self.loss):
                continue
            if link in self.clogged:
                self.clogged[link].append(octets)
                continue
            self.deliver(node, octets)
            if self.duplication and self.random.random() < self.duplication:
                self.deliver(node, octets)

    def release(self, link: tuple[str, str]) -> None:
        """What a clogged link held back arrives, in no order."""
        held = self.clogged.pop(link, [])
        for node in self.nodes:
            if node.name == link[1]:
                for octets in held:
                    self.deliver(node, octets)

    def run(self, until_ns: int) -> None:
        """Let everything happen up to a moment."""
        while self._queue and self._queue[0][0] <= until_ns:
            self.now_ns, _, action = heapq.heappop(self._queue)
            action()
            for watch in self.watchers:
                watch()
        self.now_ns = until_ns

    def deliver(self, node: Node, octets: bytes) -> None:
        """A packet for one node, after a random delay."""
        arrival_ns = self.now_ns + self.random.randint(*self.delay_ns)
        self.at(arrival_ns, lambda: node.arrive(octets))


class Node:
    """A process on the wire, and the kernel under it, which lives on when the process does not."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.machine: Machine | None = None
        """None while the process is dead."""
        self.frozen = False
        self.clock_ppm = _MILLION
        """How fast its clock runs: millionths of the world's time."""
        self._inbox: list[Event] = []
        self._awake_at_ns: int | None = None
        world.nodes.append(self)

    def clock_ns(self) -> int:
        """What its clock shows."""
        return _BEGIN_NS + (self.world.now_ns - _BEGIN_NS) * self.clock_ppm // _MILLION

    def moment_ns(self, clock_ns: int) -> int:
        """When its clock shows this, in the world's time."""
        return _BEGIN_NS - (_BEGIN_NS - clock_ns) * _MILLION // self.clock_ppm

    def start(self, machine: Machine, first: Iterable[Event]) -> None:
        """Begin a process."""
        self.machine = machine
        self._inbox = list(first)
        self.turn()

    def crash(self) -> None:
        """kill -9."""
        self.machine = None
        self._inbox.clear()

    def freeze(self) -> None:
        """SIGSTOP: the kernel goes on collecting packets."""
        self.frozen = True

    def thaw(self) -> None:
        """SIGCONT."""
        self.frozen = False
        self.turn()

    def arrive(self, octets: bytes) -> None:
        """The kernel receives a packet; a process that runs gets it now, a frozen one later."""
        if self.machine is not None:
            self._inbox.append(self.received(octets))
            self.turn()

    def turn(self) -> None:
        """What waits, then the clock, as the loop does it."""
        while self.machine is not None and not self.frozen:
            events, self._inbox = self._inbox, []
            for effect in self.machine.turn(self.clock_ns(), events):
                self._inbox.extend(self.perform(effect) or ())
            if not self._inbox:
                self._sleep()
                return

    def received(self, octets: bytes) -> Event:
        """The event for a packet that arrives now."""
        raise NotImplementedError

    def perform(self, effect: Effect) -> Iterable[Event] | None:
        """Carry out an effect; may answer."""
        raise NotImplementedError

    def _sleep(self) -> None:
        machine = self.machine
        if machine is None:
            return
        wake_at_ns = machine.wake_at_ns()
        if wake_at_ns is None or wake_at_ns == self._awake_at_ns:
            return
        self._awake_at_ns = wake_at_ns

        def wake() -> None:
            if self._awake_at_ns == wake_at_ns:
                self._awake_at_ns = None
            # A wake-up of a process that died, or that was moved, is void.
            due = machine.wake_at_ns() if self.machine is machine else None
            if due is not None and due <= self.clock_ns():
                self.turn()

        self.world.at(self.moment_ns(wake_at_ns), wake)
