"""The rounds: a trouble, its end, the wait for rest, the judgement, in a line or two each."""

from __future__ import annotations

import argparse
import random
import subprocess
import time

from soak.evidence import Finding, Round, Size, Step, Terms, Watched
from soak.judge import growth, held_up, judge, notifications, word
from soak.routers import ROUTERS
from soak.stage import Stage, untraced
from soak.troubles import TROUBLES, Act

REST_LIMIT_S = 25.0
"""From the end of a trouble until all is as it should be; what is frozen is replaced after 5 s to 15 s."""
_QUIET_S = 2.0
"""How long all must stay as it should be."""
_SCRIPTS_S = 1.5
"""What happened just now has not been told yet."""
_SERVICE = "pages"
_WATCHED = (
    *(Watched(router.address, router.name, router.interval_s) for router in ROUTERS),
    # A dead server is found out after a second or two, a flushed table after three.
    Watched(_SERVICE, "SLOW", 1.0, slack_s=4.0),
)


class Soak:
    """A run, and what it found."""

    def __init__(self, stage: Stage, chance: random.Random, options: argparse.Namespace) -> None:
        self.number = 0
        self._stage, self._chance = stage, chance
        self._seed, self._logs = options.seed, options.logs
        self._names = sorted(options.only or TROUBLES)
        self._bag: list[str] = []
        self._findings: list[tuple[int, str, Finding]] = []
        self._sizes: dict[str, list[Size]] = {}
        self._heard = len(stage.ears.steps(0))
        self._began_s = time.monotonic()
        for node in stage.nodes:
            node.cries()
            node.told()
        self._measure()

    def play(self, until_s: float) -> None:
        """One round."""
        self.number += 1
        seen = self._happen(self._draw())
        found = judge(seen)
        rest = (
            f"rest after {seen.settled_s - seen.ended_s:.1f} s" if seen.settled_s is not None else "no rest"
        )
        steps = f", {len(seen.steps)} transitions" if seen.steps else ""
        paused = (
            f", not judged where the machine stood still: {' '.join(each)}" if (each := held_up(seen)) else ""
        )
        print(f"{self._clock()} #{self.number} {seen.trouble}: {rest}{steps}{paused}", flush=True)
        for finding in found:
            self._tell(seen.trouble, finding)
        with (self._logs / "transitions").open("a") as file:
            file.writelines(f"#{self.number} {seen.trouble}: {word(step)}\n" for step in seen.steps)
        self._measure()

    def finish(self) -> None:
        """What only the whole run shows."""
        for finding in growth(self._sizes):
            self._tell("the whole run", finding)

    def report(self) -> int:
        """The last lines; 0 when nothing was found."""
        minutes = (time.monotonic() - self._began_s) / 60
        found = f"{len(self._findings)} findings, seed {self._seed}"
        print(f"{self.number} rounds in {minutes:.1f} minutes, {found}")
        for number, trouble, finding in self._findings:
            print(f"  #{number} {trouble}: {finding.rule}; {finding.expected}; seen: {finding.seen[:200]}")
        return 1 if self._findings else 0

    def _draw(self) -> str:
        """Every trouble once before one comes again."""
        if not self._bag:
            self._bag = list(self._names)
            self._chance.shuffle(self._bag)
        return self._bag.pop()

    def _happen(self, name: str) -> Round:
        stage = self._stage
        began_s = time.monotonic()
        stage.witness.forget(began_s)
        acts = TROUBLES[name](stage, self._chance)
        act = Act("was not done")
        problems = []
        try:
            act = next(acts)
            time.sleep(act.lasts_s)
            next(acts, None)
        except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
            problems.append(str(error))
        ended_s = time.monotonic()
        settled_s = self._rest(ended_s + REST_LIMIT_S, act.terms)
        until_s = time.monotonic()
        unsettled = stage.unsettled() if settled_s is None else stage.unwell()
        steps, told = self._told()
        return Round(
            trouble=f"{name}: {act.told}",
            terms=act.terms,
            began_s=began_s,
            ended_s=ended_s,
            settled_s=settled_s,
            until_s=until_s,
            watched=_WATCHED,
            answers={**stage.witness.since(began_s), _SERVICE: stage.customer.since(began_s)},
            blind=[*stage.witness.blind(began_s), *stage.pauses.since(began_s)],
            steps=steps,
            told=told,
            unsettled=[*problems, *unsettled],
            cries=[cry for node in stage.nodes for cry in node.cries()],
            untraced=[]
            if act.terms.unrecorded
            else [line for node in stage.nodes for line in untraced(node, steps)],
        )

    def _told(self) -> tuple[list[Step], dict[str, list[tuple[str, str]]]]:
        """Transitions and what scripts were told of since the last time, when the scripts had their time."""
        steps = self._stage.ears.steps(self._heard)
        deadline_s = time.monotonic() + _SCRIPTS_S
        while time.monotonic() < deadline_s:
            told = {node.name: node.told(peek=True) for node in self._stage.nodes}
            if not notifications(steps, told, untold=False):
                break
            time.sleep(0.25)
            steps = self._stage.ears.steps(self._heard)
        self._heard += len(steps)
        return steps, {node.name: node.told() for node in self._stage.nodes}

    def _rest(self, deadline_s: float, terms: Terms) -> float | None:
        """Wait until all has been as it should be for a while; when that began."""
        since: float | None = None
        while time.monotonic() < deadline_s:
            if self._stage.unsettled():
                since = None
            elif since is None:
                since = time.monotonic()
            elif time.monotonic() - since >= _QUIET_S:
                return since
            time.sleep(0.25)
        return None

    def _measure(self) -> None:
        for node in self._stage.nodes:
            for name, size in node.sizes().items():
                self._sizes.setdefault(name, []).append(size)

    def _tell(self, trouble: str, finding: Finding) -> None:
        self._findings.append((self.number, trouble, finding))
        print(
            f"    FOUND (seed {self._seed}, #{self.number}): {finding.rule}\n"
            f"      expected: {finding.expected}\n      seen:     {finding.seen}\n"
            f"      logs:     {self._logs}",
            flush=True,
        )

    def _clock(self) -> str:
        seconds = int(time.monotonic() - self._began_s)
        return f"{seconds // 60:3d}:{seconds % 60:02d}"
