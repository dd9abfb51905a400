"""One virtual server from verdicts: keepalived-features 12.3 and 12.4, conformance W18 to W20."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ipvs_play import WALL_NS, check_of, only_entry, real, verdict_message, virtual
from keepbus_ipvs.heard import Heard, heard
from keepbus_ipvs.pool import Pool, pool_of
from keepbus_ipvs.table import AF_INET, AF_INET6

from keepbus.config.model.ipvs import (
    CheckUse,
    Forwarding,
    GroupMember,
    RealServer,
    SorryServer,
    VirtualServer,
)
from keepbus.contracts.checker import Verdict

A, B, C = "172.16.1.3", "172.16.1.4", "172.16.1.5"
SORRY = "172.16.1.99"
UP, DOWN, UNKNOWN = Verdict.UP, Verdict.DOWN, Verdict.UNKNOWN


def verdicts(**states: Verdict) -> dict[str, Heard]:
    addresses = {"a": A, "b": B, "c": C}
    return {
        check_of(addresses[name]): heard(verdict_message(check_of(addresses[name]), state).body)
        for name, state in states.items()
    }


def weights(pool: Pool) -> dict[str, int]:
    return {key.address: destination.weight for key, destination in only_entry(pool).destinations.items()}


def evaluated(virtual_server: VirtualServer, **states: Verdict) -> Pool:
    pool = pool_of(virtual_server)
    pool.evaluate(verdicts(**states), WALL_NS)
    return pool


def test_unknown_counts_as_up_without_alpha() -> None:
    pool = evaluated(virtual(real(A), real(B)))
    assert weights(pool) == {A: 1, B: 1}
    assert pool.members[0].verdict is UNKNOWN


def test_unknown_counts_as_down_with_alpha_of_the_virtual_server() -> None:
    assert weights(evaluated(virtual(real(A), alpha=True))) == {}


def test_unknown_counts_as_down_with_alpha_of_one_check() -> None:
    assert weights(evaluated(virtual(real(A, alpha=True), real(B)))) == {B: 1}


def test_real_server_without_checks_is_always_alive() -> None:
    assert weights(evaluated(virtual(real(A, checked=False), alpha=True))) == {A: 1}


def test_down_takes_out_and_up_puts_in() -> None:
    pool = evaluated(virtual(real(A), real(B)), a=DOWN)
    assert weights(pool) == {B: 1}
    pool.evaluate(verdicts(a=UP), WALL_NS)
    assert weights(pool) == {A: 1, B: 1}


def test_one_failed_check_of_two_is_enough() -> None:
    server = real(A)
    twice = type(server)(
        address=A, port=80, forwarding=Forwarding.DR, checks=(*server.checks, *real(B).checks)
    )
    assert weights(evaluated(virtual(twice), a=UP, b=DOWN)) == {}
    assert weights(evaluated(virtual(twice), a=UP, b=UP)) == {A: 1}


def test_w20_inhibit_on_failure_keeps_the_server_with_weight_0() -> None:
    assert weights(evaluated(virtual(real(A, inhibit_on_failure=True), real(B)), a=DOWN)) == {A: 0, B: 1}


def test_w18_sorry_server_serves_alone_while_the_quorum_is_lost() -> None:
    pool = evaluated(virtual(real(A), real(B), sorry=SORRY, quorum=2), a=DOWN)
    assert not pool.quorum_up
    assert weights(pool) == {SORRY: 1}


def test_without_sorry_server_the_living_stay_below_the_quorum() -> None:
    pool = evaluated(virtual(real(A), real(B), quorum=2), a=DOWN)
    assert not pool.quorum_up
    assert weights(pool) == {B: 1}


def test_inhibited_living_server_gets_weight_0_while_the_sorry_server_serves() -> None:
    servers = (real(A), real(B, inhibit_on_failure=True))
    assert weights(evaluated(virtual(*servers, sorry=SORRY, quorum=2), a=DOWN)) == {B: 0, SORRY: 1}


def test_inhibited_sorry_server_is_there_with_weight_0_from_the_start() -> None:
    assert weights(evaluated(virtual(real(A), sorry=SORRY, sorry_inhibit=True))) == {A: 1, SORRY: 0}


# quorum 3, hysteresis 1: up at 4 and more, down below 2, and in between as it was.
@pytest.mark.parametrize(
    ("before", "now", "up"),
    [
        ({}, {}, True),
        ({}, {"a": DOWN}, True),
        ({}, {"a": DOWN, "b": DOWN}, False),
        ({"a": DOWN, "b": DOWN}, {"a": DOWN}, False),
        ({"a": DOWN, "b": DOWN}, {}, True),
    ],
)
def test_w19_hysteresis(before: dict[str, Verdict], now: dict[str, Verdict], up: bool) -> None:
    pool = evaluated(
        virtual(real(A, 2), real(B, 2), real(C, 1), sorry=SORRY, quorum=3, hysteresis=1), **before
    )
    pool.evaluate(verdicts(**{"a": UP, "b": UP, "c": UP} | now), WALL_NS)
    assert pool.quorum_up is up


def test_w19_first_evaluation_within_the_band_is_down() -> None:
    assert not evaluated(virtual(real(A, 3), quorum=3, hysteresis=1)).quorum_up


def test_change_of_the_quorum_is_told_once() -> None:
    pool = pool_of(virtual(real(A), sorry=SORRY))
    assert not pool.evaluate(verdicts(a=UP), WALL_NS)
    assert pool.changes == 1
    assert pool.evaluate(verdicts(a=DOWN), WALL_NS)
    assert not pool.evaluate(verdicts(a=DOWN), WALL_NS)
    assert pool.changes == 2


@pytest.mark.parametrize(
    ("sorry", "verdict", "changes", "told"),
    [("", UP, 1, False), (SORRY, UP, 1, False), ("", DOWN, 0, False), (SORRY, DOWN, 1, True)],
)
def test_how_a_quorum_begins_is_news_unless_it_is_missing_without_a_sorry_server(
    sorry: str, verdict: Verdict, changes: int, told: bool
) -> None:
    """As keepalived's FIFO has it (tests/uml/scenario_notices.py)."""
    pool = pool_of(virtual(real(A), sorry=sorry))
    assert pool.evaluate(verdicts(a=verdict), WALL_NS) is told
    assert pool.changes == changes


def test_with_alpha_the_first_failure_is_news_and_the_next_is_not() -> None:
    """Features 12.3."""
    pool = pool_of(virtual(real(A, alpha=True)))
    (member,) = pool.members
    pool.evaluate({}, WALL_NS)
    assert (member.alive, member.changes, pool.news) == (False, 0, [])
    pool.evaluate(verdicts(a=DOWN), WALL_NS)
    assert (member.alive, member.changes, pool.news) == (False, 1, [member])
    pool.evaluate(verdicts(a=DOWN), WALL_NS)
    assert (member.alive, member.changes, pool.news) == (False, 1, [])


@pytest.mark.parametrize(("init_notifies", "changes"), [(False, [0, 0]), (True, [1, 0])])
def test_rs_init_notifies_makes_news_of_who_is_up_at_the_start(
    init_notifies: bool, changes: list[int]
) -> None:
    pool = pool_of(virtual(real(A), real(B, alpha=True)))
    for _ in range(2):
        pool.evaluate({}, WALL_NS, init_notifies=init_notifies)
        assert [member.changes for member in pool.members] == changes


def test_weight_above_what_16_bits_hold_reaches_the_table() -> None:
    """Features 12.2: up to 2147483647 by what checks add; more is cut (V19)."""
    heavy = heard(verdict_message(check_of(A), UP).body)
    for added, weight in ((69_999, 70_000), (1 << 31, (1 << 31) - 1)):
        pool = pool_of(virtual(real(A)))
        pool.evaluate({check_of(A): heavy._replace(weight_added=added)}, WALL_NS)
        (destination,) = only_entry(pool).destinations.values()
        assert destination.weight == weight


@pytest.mark.parametrize("forwarding", [Forwarding.DR, Forwarding.TUN])
def test_port_of_the_service_is_forced_where_the_kernel_cannot_rewrite_it(forwarding: Forwarding) -> None:
    server = type(real(A))(address=A, port=8080, forwarding=forwarding)
    assert [key.port for key in only_entry(evaluated(virtual(server))).destinations] == [80]


def test_nat_keeps_the_servers_own_port() -> None:
    server = type(real(A))(address=A, port=8080, forwarding=Forwarding.NAT)
    assert [key.port for key in only_entry(evaluated(virtual(server))).destinations] == [8080]


@pytest.mark.parametrize(("port", "method"), [(80, 3), (8080, 0)])
def test_nat_to_loopback_is_delivered_where_nothing_needs_rewriting(port: int, method: int) -> None:
    sorry_server = SorryServer(address="127.0.0.1", port=port, forwarding=Forwarding.NAT)
    pool = evaluated(
        VirtualServer(address="192.0.2.1", port=80, sorry_server=sorry_server, real_servers=(real(A),)),
        a=DOWN,
    )
    assert [destination.forwarding for destination in only_entry(pool).destinations.values()] == [method]


def test_persistence_sets_flag_timeout_and_netmask() -> None:
    pool = evaluated(virtual(real(A), persistence_timeout_s=300, persistence_granularity="255.255.255.0"))
    service = only_entry(pool).service
    assert (service.flags, service.timeout_s, service.netmask) == (1, 300, "255.255.255.0")


@pytest.mark.parametrize(
    ("granularity", "netmasks"),
    [("255.255.255.0", ["255.255.255.0", "128"]), ("64", ["255.255.255.255", "64"])],
)
def test_w14_granularity_of_a_group_of_both_families_is_of_one_of_them(
    granularity: str, netmasks: list[str]
) -> None:
    """A netmask is of one family; in the other each client address stays by itself."""
    members = (GroupMember(address="192.0.2.1", port=80), GroupMember(address="2001:db8::9", port=80))
    pool = pool_of(
        VirtualServer(
            group="G", members=members, real_servers=(real(A, forwarding=Forwarding.TUN),),
            persistence_timeout_s=60, persistence_granularity=granularity,
        )
    )  # fmt: skip
    services = [placement.service for placement in pool.placements]
    assert [service.key.family for service in services] == [AF_INET, AF_INET6]
    assert [service.netmask for service in services] == netmasks
    assert [service.timeout_s for service in services] == [60, 60]


def test_granularity_without_persistence_means_nothing() -> None:
    pool = evaluated(virtual(real(A), persistence_granularity="255.255.255.0"))
    assert (only_entry(pool).service.flags, only_entry(pool).service.netmask) == (0, "255.255.255.255")


def test_reason_is_the_evidence() -> None:
    pool = evaluated(virtual(real(A), sorry=SORRY), a=DOWN)
    (placement,) = pool.placements
    reason = pool.reason_of(placement.service.key, placement.destinations[0].key)
    assert reason == "TCP_CHECK 172.16.1.3:80 is down: TCP connect: connected"
    assert pool.quorum_sentence() == "quorum lost: weight 0 is up, 1 is needed"


def test_reload_keeps_a_verdict_whose_check_changed_until_the_new_one_is_known() -> None:
    before = evaluated(virtual(real(A), real(B)), a=DOWN)
    after = pool_of(virtual(real(A), real(B), scheduler="wlc"))
    after.inherit(before)
    after.evaluate({}, WALL_NS)
    assert weights(after) == {B: 1}


class TestWeights:
    """Effective weight = configured + contributions of MISC and FILE checks (keepalived-features 12.2)."""

    def pool(self, *told: dict[str, int], state: Verdict = UP, inhibit: bool = False, **fields: Any) -> Pool:
        """One real server of weight 10 with a check for each verdict, and one of weight 1."""
        names = [f"MISC_CHECK:{number}" for number in range(len(told))]
        server = RealServer(
            address=A,
            port=80,
            weight=10,
            forwarding=Forwarding.DR,
            checks=tuple(CheckUse(check=name) for name in names),
            inhibit_on_failure=inhibit,
        )
        pool = pool_of(virtual(server, real(B, checked=False), **fields))
        pool.evaluate(
            {name: self.verdict(name, state, weight) for name, weight in zip(names, told, strict=True)},
            WALL_NS,
        )
        return pool

    def verdict(self, name: str, state: Verdict, weight: dict[str, int]) -> Heard:
        return heard(replace(verdict_message(name, state).body, **weight))

    @pytest.mark.parametrize(
        ("told", "weight"),
        [
            ([{}], 10),
            ([{"weight": 8}], 8),
            ([{"weight": 0}], 0),
            ([{"weight": 253}], 253),
            ([{"weight_added": 5}], 15),
            ([{"weight_added": -10}], 0),
            ([{"weight_added": -50}], 0),
            ([{"weight_added": 2147483647}], 2147483647),
            ([{"weight": 8}, {"weight_added": 5}], 13),
            # keepalived's manual: each adds exit status - 2 - configured weight.
            ([{"weight": 8}, {"weight": 13}], 11),
            ([{"weight": 2}, {"weight": 3}], 0),
            ([{}, {"weight_added": 1}, {"weight_added": 2}], 13),
        ],
    )
    def test_what_the_kernel_gets(self, told: list[dict[str, int]], weight: int) -> None:
        assert weights(self.pool(*told)) == {A: weight, B: 1}

    def test_the_quorum_counts_effective_weights_that_are_not_negative(self) -> None:
        assert self.pool({"weight": 4}).weight_up == 5
        assert self.pool({"weight_added": -50}).weight_up == 1
        assert not self.pool({"weight": 4}, quorum=6, sorry=SORRY).quorum_up
        assert self.pool({"weight": 5}, quorum=6, sorry=SORRY).quorum_up

    def test_a_server_that_is_down_has_no_weight(self) -> None:
        assert weights(self.pool({"weight": 8}, state=DOWN)) == {B: 1}
        assert weights(self.pool({"weight": 8}, state=DOWN, inhibit=True)) == {A: 0, B: 1}

    def test_below_the_reserved_minimum_it_is_down(self) -> None:
        lowest = self.pool({"weight_added": -2147483647}, {"weight_added": -11})
        assert weights(lowest) == {B: 1}
        assert lowest.members[0].reason == "its checks make its weight -2147483648"
        assert weights(self.pool({"weight_added": -2147483647}, {"weight_added": -10})) == {A: 0, B: 1}

    def test_a_verdict_that_is_heard_again_changes_the_weight(self) -> None:
        pool = self.pool({"weight": 8})
        pool.evaluate({"MISC_CHECK:0": self.verdict("MISC_CHECK:0", UP, {"weight": 9})}, WALL_NS)
        assert weights(pool)[A] == 9
        pool.evaluate({"MISC_CHECK:0": self.verdict("MISC_CHECK:0", UP, {})}, WALL_NS)
        assert weights(pool)[A] == 10, "exit status 0 restores the configured one"
