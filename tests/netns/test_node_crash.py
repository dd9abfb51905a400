"""A crash is not a failover, and a dead node never keeps the address: two whole nodes on one wire."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Iterator

import pytest
from node_harness import Kernel, Node, Witness, configuration, eventually, needs_namespaces, node, wire

from keepbus.contracts.message import Message
from keepbus.contracts.vrrp import Instance, VrrpState

pytestmark = [needs_namespaces, pytest.mark.timeout(400)]

INSTANCE = "state/vrrp/instance/"
LEASE_S = 2.0
MASTER_DOWN_S = 3.0
"""Three adverts at 1 s; the skew of priority 100 comes on top."""
PAUSE_S = 0.25
"""A wait for the kernel's lock after which a round is made again, at 1 s."""


class Pair:
    """d1 with priority 200 is master, d2 with 100 is backup, and everything is watched."""

    def __init__(
        self, first: Node, second: Node, witness: Witness, kernel: Kernel, interval_s: float
    ) -> None:
        self.first, self.second, self.witness, self.kernel = first, second, witness, kernel
        self.interval_s = interval_s

    def settle(self) -> None:
        """Wait until d1 is master again and d2 is not."""
        eventually("d1 alone holds the address", lambda: self.witness.holders() == {self.first.namespace}, 20)
        assert instance(self.first, VrrpState.MASTER)
        assert instance(self.second, VrrpState.BACKUP)
        self.kernel.pause()


@contextlib.contextmanager
def pair(advert_int: str = "1") -> Iterator[Pair]:
    with (
        wire() as (d1, d2),
        Kernel(d1) as kernel,
        node(d1, configuration(200, advert_int=advert_int)) as first,
        node(d2, configuration(100, advert_int=advert_int)) as second,
        Witness(d1, d2) as witness,
    ):
        made = Pair(first, second, witness, kernel, float(advert_int))
        made.settle()
        yield made


def instance(made: Node, state: VrrpState | None = None) -> Instance:
    """The instance as the node tells it, in this state."""
    body = made.hear(INSTANCE, lambda m: state is None or m.body.state is state, 8).body
    assert isinstance(body, Instance)
    return body


def crash_of_vrrp(nodes: Pair, after_s: float) -> tuple[bool, int]:
    """R-F2: one crash moves nothing; whether that was to be seen, and how long the wire was silent."""
    before = instance(nodes.first)
    peer_before = instance(nodes.second)
    resumed = nodes.first.listen("event/vrrp/resume/")
    nodes.first.hear("state/vrrp-standby/service", lambda m: m.body.pid != nodes.first.pid("vrrp"), 8)
    time.sleep(after_s)  # more than a second: the ear hears by then, and it is a life for vrrp
    began = time.monotonic()
    victim = nodes.first.pid("vrrp")
    os.kill(victim, signal.SIGKILL)
    heard: list[Message] = []
    with contextlib.suppress(pytest.fail.Exception):
        eventually("a resume", lambda: bool(heard.extend(resumed.receive()) or heard), 4)
    time.sleep(0.3)
    if nodes.kernel.pause() > PAUSE_S * nodes.interval_s:
        nodes.settle()
        return False, 0
    assert heard, "the successor did not go on within the lease"
    assert nodes.first.pid("vrrp") != victim
    assert nodes.witness.longest(0, began) == 0, "the address was gone for a moment"
    assert nodes.witness.longest(2, began) == 0
    after, peer_after = instance(nodes.first), instance(nodes.second)
    assert (after.state, after.transitions, after.life) == (VrrpState.MASTER, before.transitions, before.life)
    assert (peer_after.state, peer_after.transitions) == (VrrpState.BACKUP, peer_before.transitions)
    silent_us = heard[0].body.silent_us
    assert silent_us < MASTER_DOWN_S * nodes.interval_s * 1e6
    return True, silent_us


@pytest.mark.parametrize("advert_int", ["1", "0.1"])
def test_twenty_crashes_of_vrrp_on_the_master_move_nothing(advert_int: str) -> None:
    # R-F2: killed at any moment between two adverts, the standby goes on within the lease.
    chance = random.Random(20)
    silent_us: list[int] = []
    with pair(advert_int) as nodes:
        for _ in range(40):
            counted, silent = crash_of_vrrp(nodes, 1.1 + chance.random() * min(1.0, 2 * nodes.interval_s))
            if counted:
                silent_us.append(silent)
            if len(silent_us) == 20:
                break
        else:
            pytest.skip(f"only {len(silent_us)} of 40 crashes met a kernel that answers: 20 were to be shown")
    print(f"silent between 20 processes: at most {max(silent_us) / 1e6:.2f} s, {sorted(silent_us)}")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_node_that_is_dead_or_frozen_loses_the_address_before_the_peer_has_it(how: signal.Signals) -> None:
    # R-F14, R-F19: no process of ours takes the address away; its lifetime ends in the kernel.
    for _ in range(4):
        with pair() as nodes:
            victims = nodes.first.processes()
            assert len(victims) == 11, (
                "up, supervisord, seven services, a standby and the checker's script runner"
            )
            vrrp = nodes.first.pid("vrrp")
            began = time.monotonic()
            for pid in sorted(victims, key=lambda pid: pid != vrrp):
                os.kill(pid, how)
            with contextlib.suppress(pytest.fail.Exception):
                eventually("", lambda nodes=nodes: nodes.witness.holders() == {nodes.second.namespace}, 8)
            took_s = time.monotonic() - began
            overlap_s, gap_s = nodes.witness.longest(2, began), nodes.witness.longest(0, began)
            if nodes.kernel.pause() > PAUSE_S:
                continue
            assert nodes.witness.holders() == {nodes.second.namespace}, nodes.witness.changes
            print(
                f"{how.name}: moved in {took_s:.2f} s, nobody for {gap_s:.2f} s, both for {overlap_s:.3f} s"
            )
            assert overlap_s == 0
            assert took_s < MASTER_DOWN_S + 1 + 1, "later than three adverts, skew and a second"
            if how is signal.SIGSTOP:
                wake_up(nodes, victims)
            return
    pytest.skip("the kernel did not answer in time in any of four rounds: nothing was shown")


def wake_up(nodes: Pair, victims: list[int]) -> None:
    """R-F17: a node that goes on after its lease is backup first; it gets the address back by the rules."""
    resumed_at = time.monotonic()
    for pid in victims:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    nodes.settle()
    # Preemption: the old master hears the new one's first advert and lets go. Nothing like a lease.
    assert nodes.witness.longest(2, resumed_at) < 0.5
    states = [str(transition.to_state) for transition in instance(nodes.first).history]
    assert "BACKUP" in states
    assert states[-1] == "MASTER"
