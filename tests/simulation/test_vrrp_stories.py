"""Thousands of random stories, each held against the invariants of reliability section 9.

R-I1 to R-I11, R-I13, R-I14 and N1; in some, clocks run up to 5 % fast or slow (R-F40). In one of three, some
routers are like keepalived, FRR or a strict RFC 9568 one (vrrp_peers.py): then ours must keep the rules.
What is wrong with a seed is told with its story, cut down to the faults that matter, and the command that
plays it again.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter
from functools import partial

import pytest
from keepbus_vrrp import election, terms
from keepbus_vrrp.instance import Instance
from vrrp_invariants import Holders
from vrrp_run import Run, describe, play
from vrrp_story import story_of
from vrrp_world import MS, Router, S, configured

from keepbus.contracts.vrrp import VrrpState
from keepbus.testing.wire import World

SEEDS = 10_000 if os.environ.get("KEEPBUS_TESTS") == "complete" else 500
_TOLD = 3


@pytest.mark.timeout(600)
def test_no_story_breaks_an_invariant() -> None:
    """R-I1 to R-I11, N1."""
    processes = os.cpu_count() or 1
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        results = pool.map(play, range(SEEDS), chunksize=50)
    failed = [seed for seed, wrongs in enumerate(results) if wrongs]
    assert not failed, "\n\n".join(describe(seed) for seed in failed[:_TOLD])


def test_the_same_seed_tells_the_same_story() -> None:
    """R-I13."""

    def trace(seed: int) -> str:
        run = Run(story_of(seed))
        run.play()
        return run.trace()

    assert [trace(seed) for seed in range(20)] == [trace(seed) for seed in range(20)]
    assert trace(7) != trace(8)


def test_every_row_of_the_election_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """Conformance section 8: each state with each rank of an advert."""
    reached: Counter[object] = Counter()

    def counted(row: object, rule: election.Rule, *arguments: object) -> None:
        reached[row] += 1
        rule(*arguments)  # type: ignore[arg-type]

    for row, rule in list(election.RULES.items()):
        monkeypatch.setitem(election.RULES, row, partial(counted, row, rule))
    for seed in range(1000):
        if len(reached) == len(election.RULES):
            return
        assert not play(seed)
    raise AssertionError(f"never reached: {election.RULES.keys() - reached.keys()}")


@pytest.mark.parametrize(
    ("defect", "found"),
    [
        ((terms, "lease_us", lambda interval_us, **_kw: 8 * interval_us), "R-I2"),
        ((terms, "gate_can_lease", lambda _interval_us: False), "R-I2"),
        ((Instance, "master_down_interval_us", property(lambda one: one.terms.interval_us)), "R-I5"),
        ((Instance, "_leave_master", lambda *_args, **_kw: None), "R-I9"),
    ],
)
def test_a_broken_machine_is_found_out(
    defect: tuple[object, str, object], found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The invariants bite: a lease too long, or none; impatience; addresses that stay with a backup."""
    monkeypatch.setattr(*defect)
    assert any(wrong.startswith(found) for seed in range(100) for wrong in play(seed))


def test_a_restart_within_the_lease_is_seen_by_nobody() -> None:
    """R-I14, R-F2: crashes of at most half an interval; nobody else is ever master."""
    for seed in range(30):
        world = World(seed)
        routers = [
            Router(
                world,
                number,
                configured(
                    version=2 + seed % 2,
                    priority=100 + number,
                ),
            )
            for number in range(3)
        ]
        for router in routers:
            router.boot()
        world.run(world.now_ns + 10 * S)
        assert routers[2].state is VrrpState.MASTER
        before = routers[2].told[-1]
        holders = Holders(world, routers, together_ns=0, nobody_ns=0)
        for _ in range(20):
            router = world.random.choice(routers)
            router.crash()
            world.run(world.now_ns + world.random.randrange(450 * MS))
            router.boot()
            world.run(world.now_ns + world.random.randrange(2 * S))
        holders.end()
        assert routers[2].told[-1] == before
        assert all(
            told.transition.to_state is VrrpState.BACKUP for router in routers[:2] for told in router.told
        )
        assert not holders.wrongs
