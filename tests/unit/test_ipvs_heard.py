"""What is kept of verdicts and of what was told: enough to see every change, no evaluation without one."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from ipvs_play import WALL_NS, check_of, real, verdict_message, virtual
from keepbus_ipvs import account
from keepbus_ipvs.pool import pool_of
from keepbus_ipvs.pools import Pools
from keepbus_ipvs.reconciler import Reconciler

from keepbus.contracts import ipvs as contract
from keepbus.contracts.checker import CheckVerdict, Evidence, Verdict

A = "172.16.1.3"
EVIDENCE = Evidence(sent="TCP connect", received="connected", took_us=1, at_ns=2)


def told(**changed: Any) -> CheckVerdict:
    body: CheckVerdict = verdict_message(check_of(A), Verdict.UP).body
    return replace(body, **{"evidence": EVIDENCE, **changed})


@pytest.mark.parametrize(
    ("changed", "concerns"),
    [
        ({}, False),
        ({"probes": 99, "failures": 3, "changes": 7}, False),
        ({"evidence": replace(EVIDENCE, took_us=5, at_ns=6)}, False),
        ({"verdict": Verdict.UNKNOWN}, False),
        ({"verdict": Verdict.DOWN}, True),
        ({"since_ns": 5}, True),
        ({"weight": 3}, True),
        ({"weight_added": 3}, True),
        ({"evidence": replace(EVIDENCE, received="refused")}, True),
        ({"evidence": None}, True),
    ],
)
def test_a_verdict_that_says_nothing_new_concerns_nobody(changed: dict[str, Any], concerns: bool) -> None:
    pools = Pools()
    pools.replace((virtual(real(A)),))
    assert [pool.name for pool in pools.hear(told(), "first")] == list(pools.by_name)
    assert bool(pools.hear(told(**changed), "second")) is concerns
    (pool,) = pools.by_name.values()
    assert pool.cause == ("second" if concerns else "first")


def test_every_field_of_a_state_shows_in_its_fingerprint() -> None:
    pool = pool_of(virtual(real(A)))
    pool.evaluate({}, WALL_NS)
    body = account.virtual_server(pool, Reconciler())
    before = account.fingerprint(body)
    for each in fields(contract.VirtualServer):
        if each.name != "real_servers":
            other = account.fingerprint(replace(body, **{each.name: "another"}))
            assert (other[0] != before[0], other[1] == before[1]) == (True, True), each.name
    for each in fields(contract.RealServer):
        (server,) = body.real_servers
        changed = replace(body, real_servers=(replace(server, **{each.name: 77}),))
        counter = each.name.endswith("_connections")
        other = account.fingerprint(changed)
        assert (other[0] == before[0], other[1] != before[1]) == (counter, counter), each.name
