"""Stories: what happens in one simulated run, made from a seed, as data that can be told and cut down.

A story is routers, faults with their moments, and who belongs to the core that must settle in the end
(reliability section 9). Moments and durations are in units of the longest advert interval, so that routers
of 10 ms and of 40 s are treated alike.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

from vrrp_world import configured

from keepbus.config.model.vrrp import VrrpInstance

_V2_INTERVALS_S = (*(1,) * 12, *(2,) * 6, 10, 255)
_V3_INTERVALS_CS = (1, 2, *(10,) * 4, 33, 33, 75, *(100,) * 6, *(125,) * 3, *(200,) * 5, 4095)
PEERS = ("keepalived", "keepalived", "strict", "FRR")
_SIZES = (2, 2, 2, 3, 3, 4, 5, 8)
FAULT_PHASE = 40.0
"""Intervals from the start of the first router to healing."""
KINDS = (
    "crash", "crash", "freeze", "freeze", "pause", "stop", "restart", "link", "loss", "duplicates", "delays",
    "one way", "isolate", "split", "clog", "priority", "priority", "reload", "clock", "rejected", "resign",
)  # fmt: skip
"""What can happen; twice is twice as often."""
OF_THE_WIRE = frozenset({"loss", "duplicates", "delays", "one way", "isolate", "split", "clog"})
"""While one of these lasts, and a master down interval longer, two masters may both be right (R-L10)."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that begins and, after `hold` intervals, ends."""

    at: float
    kind: str
    router: int
    hold: float
    value: int
    """The kind's own: a priority, another router, a vector."""

    def __str__(self) -> str:
        return f"{self.at:7.3f}  {self.kind} router {self.router} for {self.hold:.3f} ({self.value})"


@dataclass(frozen=True, slots=True)
class Story:
    """One run."""

    seed: int
    configs: tuple[VrrpInstance, ...]
    boots: tuple[float, ...]
    """When each router starts, in intervals."""
    faults: tuple[Fault, ...]
    clocks_ppm: tuple[int, ...]
    """How fast each router's clock runs (R-F40)."""
    outside: tuple[int, ...]
    """Routers that stay dead or cut off when the others heal."""
    outside_dead: bool
    kinds: tuple[str, ...]
    """Of each router: empty for one of ours, else the name of a model in vrrp_peers.py."""

    @property
    def interval_us(self) -> int:
        """The longest advert interval."""
        return max(config.advert_interval_us for config in self.configs)

    @property
    def agrees(self) -> bool:
        """True when all routers are configured alike in what adverts are compared by."""
        return len({(each.version, each.advert_interval_us) for each in self.configs}) == 1

    def without(self, index: int) -> Story:
        """The same story, one fault less."""
        return replace(self, faults=self.faults[:index] + self.faults[index + 1 :])

    def tell(self) -> Iterator[str]:
        """What happens, a line each; moments are in units of the longest interval."""
        yield f"seed {self.seed}, longest interval {self.interval_us / 1e6:g} s"
        routers = zip(self.configs, self.boots, self.clocks_ppm, strict=True)
        for number, (config, boot, clock_ppm) in enumerate(routers):
            preempt = (
                "nopreempt" if config.nopreempt else f"preempt_delay {config.preempt_delay_us / 1e6:g} s"
            )
            out = (
                (", stays dead" if self.outside_dead else ", stays cut off") if number in self.outside else ""
            )
            yield (
                f"{boot:7.3f}  router {number} starts: v{config.version}, priority {config.priority}, "
                f"advert_int {config.advert_interval_us / 1e6:g} s, clock {clock_ppm / 1e6:g}, {preempt}{out}"
                f"{self.kinds[number] and ', like ' + self.kinds[number]}"
            )
        for fault in sorted(self.faults, key=lambda each: each.at):
            yield str(fault)


def story_of(seed: int) -> Story:
    """The story of a seed."""
    pick = random.Random(seed)
    count = pick.choice(_SIZES)
    version = pick.choice((2, 3, 3))
    interval_us = _interval_us(pick, version)
    preempt = pick.choice(("on", "on", "on", "off", "mixed", "delayed"))
    configs = []
    for number in range(count):
        nopreempt = preempt == "off" or (preempt == "mixed" and pick.random() < 0.5)
        delayed = preempt == "delayed" and not nopreempt
        configs.append(
            configured(
                version=version,
                advert_interval_us=interval_us,
                priority=pick.choice((1, 50, 100, 100, 150, 200, 254)),
                nopreempt=nopreempt,
                preempt_delay_us=pick.choice((0, 3, 10)) * interval_us if delayed else 0,
            )
        )
        if number == 0 and pick.random() < 0.1:
            configs[0] = replace(configs[0], priority=255, nopreempt=False, preempt_delay_us=0)
    if pick.random() < 0.1:
        configs[-1] = replace(configs[-1], advert_interval_us=_interval_us(pick, version))
    outside = tuple(range(1, count, 2)) if count > 2 and pick.random() < 0.2 else ()
    return Story(
        seed=seed,
        configs=tuple(configs),
        boots=tuple(pick.random() * 3 for _ in range(count)),
        faults=tuple(_fault(pick, count) for _ in range(pick.choice((0, 2, 4, 6, 8)))),
        clocks_ppm=_clocks_ppm(pick, count),
        outside=outside,
        outside_dead=pick.random() < 0.5,
        kinds=_kinds(seed, count),
    )


def _kinds(seed: int, count: int) -> tuple[str, ...]:
    """In one run of three, some are not ours; one always is."""
    pick = random.Random(f"kinds {seed}")
    if seed % 3:
        return ("",) * count
    ours = pick.randrange(count)
    return tuple("" if number == ours else pick.choice(("", *PEERS)) for number in range(count))


def _clocks_ppm(pick: random.Random, count: int) -> tuple[int, ...]:
    """In one run of four, up to 5 % fast or slow, each in its own way."""
    if pick.random() < 0.75:
        return (1_000_000,) * count
    return tuple(pick.choice((950_000, 1_050_000, pick.randint(950_000, 1_050_000))) for _ in range(count))


def _interval_us(pick: random.Random, version: int) -> int:
    if version == 2:
        return pick.choice(_V2_INTERVALS_S) * 1_000_000
    return pick.choice(_V3_INTERVALS_CS) * 10_000


def _fault(pick: random.Random, count: int) -> Fault:
    kind = pick.choice(KINDS)
    hold = pick.random() * (0.9 if kind == "pause" else 8)
    return Fault(
        5 + pick.random() * (FAULT_PHASE - 14), kind, pick.randrange(count), hold, pick.randrange(1, 255)
    )
