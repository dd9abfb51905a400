"""Plays a story and holds the invariants of reliability section 9 against it.

As a program it plays one seed again and tells what happened: `python tests/simulation/vrrp_run.py SEED`.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from keepbus_vrrp.timers import master_down_interval_us, skew_time_us
from vrrp_invariants import Holders, lease_bound_ns, settled, transitions
from vrrp_peers import Peer
from vrrp_story import FAULT_PHASE, OF_THE_WIRE, Fault, Story, story_of
from vrrp_world import MS, Router, S, Told

from keepbus.config.model.vrrp import GratuitousArp
from keepbus.contracts.vrrp import VrrpState
from keepbus.testing.wire import World

_MOST_TRANSITIONS_PER_FAULT = 6
_ROUNDING_NS = 4
"""Of moments between two clocks."""
_TTL, _CHECKSUM, _FIRST, _VRID = 8, 26, 20, 21


class Run:
    """One story, played."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.unit_ns = story.interval_us * 1000
        least_ns = min(config.advert_interval_us for config in story.configs) * 1000
        self.world = World(story.seed, delay_ns=(50_000, min(2 * MS, least_ns // 20)))
        self.usual_delay_ns = self.world.delay_ns
        self.routers = [
            Peer(self.world, number, config, kind) if kind else Router(self.world, number, config)
            for number, (config, kind) in enumerate(zip(story.configs, story.kinds, strict=True))
        ]
        self.ours = [router for router in self.routers if router.ours]
        for router, clock_ppm in zip(self.routers, story.clocks_ppm, strict=True):
            router.clock_ppm = clock_ppm
        slowest_ns = self.unit_ns * 1_000_000 // min(story.clocks_ppm)
        self.core = [router for number, router in enumerate(self.routers) if number not in story.outside]
        self.wrongs: list[str] = []
        preempt_delay_ns = max(config.preempt_delay_us for config in story.configs) * 1000
        preempt_delay_ns = preempt_delay_ns * 1_000_000 // min(story.clocks_ppm)
        # Somebody takes over; where preemption is delayed, the best one listens once more after the delay.
        intervals = 9 if preempt_delay_ns else 5
        self.settle_ns = intervals * slowest_ns + preempt_delay_ns + 2 * self.usual_delay_ns[1]
        self.holders = Holders(
            self.world,
            self.routers,
            together_ns=lease_bound_ns(self.ours),
            nobody_ns=4 * slowest_ns + S // 4 + self.usual_delay_ns[1],
        )
        self._judged: dict[str, int] = {}
        self.world.watchers.append(self._judge_takeovers)
        self._last_datagram = b""
        self._tap()

    def play(self) -> list[str]:
        """What went wrong, a sentence each."""
        story, world = self.story, self.world
        for router, boot in zip(self.routers, story.boots, strict=True):
            self._at(boot, partial(self._boot, router))
        for fault in story.faults:
            self._at(fault.at, partial(self._begin, fault))
            self._at(min(fault.at + fault.hold, FAULT_PHASE), partial(self._end, fault))
        self._at(FAULT_PHASE, self._heal)
        start_ns = world.now_ns
        healed_ns = start_ns + int(FAULT_PHASE * self.unit_ns)
        world.run(healed_ns)
        masters = [router for router in self.core if router.state is VrrpState.MASTER]
        world.run(healed_ns + self.settle_ns)
        self._judge_settled(masters[0] if len(masters) == 1 else None)
        before = [len(router.told) for router in self.core]
        world.run(world.now_ns + 10 * self.unit_ns)
        if [len(router.told) for router in self.core] != before and story.agrees:
            self.wrongs.append("R-I3: settled routers made transitions without a cause")
        self.holders.end()
        if story.agrees:
            self.wrongs += self.holders.wrongs
        most = 6 + _MOST_TRANSITIONS_PER_FAULT * len(story.faults)
        self.wrongs += transitions(self.ours, most if story.agrees else 1 << 30)
        for router in self.routers:
            self.wrongs += router.wrongs
        return self.wrongs

    def trace(self) -> str:
        """A hash of all that was told (R-I13)."""
        told = [(router.name, str(each)) for router in self.routers for each in router.told]
        return hashlib.sha256(repr(told).encode()).hexdigest()[:16]

    # Faults

    def _at(self, unit: float, action: Callable[[], None]) -> None:
        self.world.after(int(unit * self.unit_ns), action)

    def _boot(self, router: Router) -> None:
        self.holders.caused_at_ns = self.world.now_ns
        router.boot()

    def _begin(self, fault: Fault) -> None:
        world, router = self.world, self.routers[fault.router]
        self.holders.caused_at_ns = world.now_ns
        if fault.kind in OF_THE_WIRE:
            after_ns = int(fault.hold * self.unit_ns) + self.settle_ns
            self.holders.excuse(world.now_ns + after_ns + 8 * self.unit_ns)
        match fault.kind:
            case "crash" | "restart":
                router.crash()
                if fault.kind == "restart":
                    self._at(fault.hold * 0.1, partial(self._boot, router))
            case "freeze" | "pause":
                router.freeze()
            case "stop":
                router.stop()
            case "link":
                router.set_link(False)
            case "loss":
                world.loss = fault.value / 400
            case "duplicates":
                world.duplication = 1.0
            case "delays":
                world.delay_ns = (self.usual_delay_ns[0], max(self.unit_ns * fault.value // 128, 100_000))
            case "clog":
                world.clogged.setdefault(self._link(fault), [])
            case "one way" | "isolate" | "split":
                world.cut |= self._links(fault)
            case "priority":
                if router.config.priority != 255:
                    router.reload(replace(router.config, priority=fault.value))
            case "reload":
                garp = GratuitousArp(master_delay_us=fault.value * 1_000_000)
                self._undisturbed(router, lambda: router.reload(replace(router.config, garp=garp)))
            case "clock":
                router.step_wall_clock((fault.value - 128) * 3600 * S)
            case "rejected":
                self._reject(router, fault.value)
            case "resign":
                self._resign(router)

    def _end(self, fault: Fault) -> None:
        world, router = self.world, self.routers[fault.router]
        self.holders.caused_at_ns = world.now_ns
        match fault.kind:
            case "crash" | "stop":
                router.boot()
            case "freeze" | "pause":
                router.thaw()
            case "link":
                router.set_link(True)
            case "loss":
                world.loss = 0.0
            case "duplicates":
                world.duplication = 0.0
            case "delays":
                world.delay_ns = self.usual_delay_ns
            case "clog":
                world.release(self._link(fault))
            case "one way" | "isolate" | "split":
                world.cut -= self._links(fault)
            case "priority":
                router.reload(replace(router.config, priority=self.story.configs[fault.router].priority))

    def _heal(self) -> None:
        """The core is whole from now on; the others stay dead, or hear and are not heard."""
        world = self.world
        self.holders.caused_at_ns = world.now_ns
        world.loss, world.duplication, world.delay_ns = 0.0, 0.0, self.usual_delay_ns
        world.cut.clear()
        for link in list(world.clogged):
            world.release(link)
        outside = [router for router in self.routers if router not in self.core]
        for router in outside:
            if self.story.outside_dead:
                router.crash()
            else:
                world.cut |= {(router.name, other.name) for other in self.core}
        if outside:
            self.holders.excuse(1 << 62)
        for router in self.core:
            if not router.link_up:
                router.set_link(True)
            router.thaw()
            router.boot()

    def _link(self, fault: Fault) -> tuple[str, str]:
        count = len(self.routers)
        other = (fault.router + 1 + fault.value % (count - 1)) % count
        return self.routers[fault.router].name, self.routers[other].name

    def _links(self, fault: Fault) -> set[tuple[str, str]]:
        if fault.kind == "one way":
            return {self._link(fault)}
        here = {fault.router}
        if fault.kind == "split":
            here |= {number for number in range(len(self.routers)) if fault.value >> number & 1}
        return {
            (one.name, other.name)
            for at, one in enumerate(self.routers)
            for to, other in enumerate(self.routers)
            if (at in here) != (to in here)
        }

    # Packets of nobody

    def _tap(self) -> None:
        broadcast = self.world.broadcast

        def keep(sender: Router, octets: bytes) -> None:
            self._last_datagram = octets
            broadcast(sender, octets)

        self.world.broadcast = keep  # type: ignore[assignment, method-assign]

    def _reject(self, router: Router, value: int) -> None:
        """R-I7: a packet that is refused changes nothing."""
        octets = bytearray(self._last_datagram)
        if not octets or router.instance is None or not router.works:
            return
        octets[12:16] = bytes((192, 0, 2, 200))
        place, mask = ((_TTL, 1), (_CHECKSUM, 0x55), (_FIRST, 0x70), (_FIRST, 0x02), (_VRID, 0x04))[value % 5]
        octets[place] ^= mask
        if value % 7 == 0:
            del octets[-1]
        self._undisturbed(router, lambda: router.arrive(bytes(octets)))
        if router.heard:
            del router.heard[-1]

    def _undisturbed(self, router: Router, action: Callable[[], None]) -> None:
        if router.instance is None or router.frozen:
            action()
            return
        before = router.protocol_state()
        advert_due = router.instance.timer.due_at_ns <= router.clock_ns()
        action()
        after = router.protocol_state()
        if before != after and not advert_due and router.state is not VrrpState.MASTER:
            self.wrongs.append(f"R-I7: {router.name} went from {before} to {after}")

    def _resign(self, router: Router) -> None:
        """Somebody says in a router's name that it resigns (R-F73): a weakness of the protocol."""
        if len(self._last_datagram) < 28 or router.config.version != 2:
            return
        other = self.routers[(self.routers.index(router) + 1) % len(self.routers)]
        forged = bytearray(self._last_datagram)
        forged[12:16] = other.address
        old, forged[22] = forged[22], 0
        total = (forged[26] << 8 | forged[27]) + (old << 8)
        forged[26:28] = ((total & 0xFFFF) + (total >> 16)).to_bytes(2, "big")
        self.world.deliver(router, bytes(forged))
        self.holders.excuse(self.world.now_ns + self.settle_ns + self.unit_ns)

    # Judgements

    def _judge_settled(self, was_master: Router | None) -> None:
        if not self.story.agrees or not self.core:
            return
        nopreempt = [config.nopreempt for config in self.story.configs]
        self.wrongs += settled(
            self.core,
            was_master=was_master if all(nopreempt) else None,
            preempts=not any(nopreempt),
        )

    def _judge_takeovers(self) -> None:
        for router in self.ours:
            seen = self._judged.get(router.name, 0)
            for index in range(seen, len(router.told)):
                self._judge_takeover(router, index)
            self._judged[router.name] = len(router.told)

    def _judge_takeover(self, router: Router, index: int) -> None:
        """R-I5: three intervals without an advert that counts, or a resignation and the skew time."""
        told = router.told[index]
        if (told.transition.from_state, told.transition.to_state) != (VrrpState.BACKUP, VrrpState.MASTER):
            return
        since_ns = router.told[index - 1].at_ns if index else 0
        if (
            index
            and router.told[index - 1].transition.from_state is VrrpState.FAULT
            and router.config.priority == 255
        ):
            return
        shortest_us = min(config.advert_interval_us for config in self.story.configs)
        priority = told.transition.priority
        counted = [heard for heard in router.heard if heard.priority == 0 or heard.priority >= priority]
        last = counted[-1] if counted else None
        if last is not None and last.priority == 0:
            wait_us = skew_time_us(router.config.version, 255, shortest_us)
        else:
            # The skew time is of the priority at the start of the wait, which a reload may change (B8).
            wait_us = master_down_interval_us(router.config.version, 255, shortest_us)
        from_ns = max(since_ns, last.at_ns if last else 0)
        waited_ns = (told.at_ns - from_ns) * router.clock_ppm // 1_000_000
        if self.story.agrees and waited_ns < wait_us * 1000 - _ROUNDING_NS:
            self.wrongs.append(
                f"R-I5: {router.name} took over {waited_ns / MS:.3f} ms after {last}, "
                f"not before {wait_us / 1000:.3f} ms"
            )


def play(seed: int) -> list[str]:
    """What went wrong with a seed; an exception of the machine is a wrong too."""
    try:
        return Run(story_of(seed)).play()
    except Exception as error:
        return [f"{type(error).__name__}: {error}"]


def shortest(story: Story) -> Story:
    """The story without the faults that it goes wrong without, too."""
    index = 0
    while index < len(story.faults):
        shorter = story.without(index)
        if Run(shorter).play():
            story = shorter
        else:
            index += 1
    return story


def describe(seed: int) -> str:
    """A failing seed: its story cut down, what was told, what went wrong, and how to see it again."""
    run = Run(shortest(story_of(seed)))
    wrongs = run.play()
    start_ns = 1_000_000_000_000
    told: list[tuple[str, Told]] = [(router.name, each) for router in run.routers for each in router.told]
    lines = [*run.story.tell(), ""]
    for name, each in sorted(told, key=lambda pair: pair[1].at_ns):
        moment = (each.at_ns - start_ns) / run.unit_ns
        lines.append(f"{moment:7.3f}  {name} -> {each.transition.to_state}: {each.transition.cause}")
    lines += ["", *wrongs, "", f"again: python tests/simulation/vrrp_run.py {seed}"]
    return "\n".join(lines)


if __name__ == "__main__":
    print(describe(int(sys.argv[1])))
