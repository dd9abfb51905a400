"""One virtual server from verdicts: keepalived-features 12.3 and 12.4, conformance W18 to W20."""

from __future__ import annotations

import pytest
from ipvs_play import WALL_NS, check_of, real, verdict_message, virtual
from keepbus_ipvs.pool import Pool, pool_of

from keepbus.config.model import Forwarding, SorryServer, VirtualServer
from keepbus.contracts.checker import CheckVerdict, Verdict

A, B, C = "172.16.1.3", "172.16.1.4", "172.16.1.5"
SORRY = "172.16.1.99"
UP, DOWN, UNKNOWN = Verdict.UP, Verdict.DOWN, Verdict.UNKNOWN


def verdicts(**states: Verdict) -> dict[str, CheckVerdict]:
    addresses = {"a": A, "b": B, "c": C}
    return {
        check_of(addresses[name]): verdict_message(check_of(addresses[name]), state).body
        for name, state in states.items()
    }


def weights(pool: Pool) -> dict[str, int]:
    return {key.address: destination.weight for key, destination in pool.entry().destinations.items()}


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
    assert pool.evaluate(verdicts(a=DOWN), WALL_NS)
    assert not pool.evaluate(verdicts(a=DOWN), WALL_NS)
    assert pool.changes == 1


@pytest.mark.parametrize("forwarding", [Forwarding.DR, Forwarding.TUN])
def test_port_of_the_service_is_forced_where_the_kernel_cannot_rewrite_it(forwarding: Forwarding) -> None:
    server = type(real(A))(address=A, port=8080, forwarding=forwarding)
    assert [key.port for key in evaluated(virtual(server)).entry().destinations] == [80]


def test_nat_keeps_the_servers_own_port() -> None:
    server = type(real(A))(address=A, port=8080, forwarding=Forwarding.NAT)
    assert [key.port for key in evaluated(virtual(server)).entry().destinations] == [8080]


@pytest.mark.parametrize(("port", "method"), [(80, 3), (8080, 0)])
def test_nat_to_loopback_is_delivered_where_nothing_needs_rewriting(port: int, method: int) -> None:
    sorry_server = SorryServer(address="127.0.0.1", port=port, forwarding=Forwarding.NAT)
    pool = evaluated(
        VirtualServer(address="192.0.2.1", port=80, sorry_server=sorry_server, real_servers=(real(A),)),
        a=DOWN,
    )
    assert [destination.forwarding for destination in pool.entry().destinations.values()] == [method]


def test_persistence_sets_flag_timeout_and_netmask() -> None:
    pool = evaluated(virtual(real(A), persistence_timeout_s=300, persistence_granularity="255.255.255.0"))
    assert (pool.service.flags, pool.service.timeout_s, pool.service.netmask) == (1, 300, "255.255.255.0")


def test_granularity_without_persistence_means_nothing() -> None:
    pool = evaluated(virtual(real(A), persistence_granularity="255.255.255.0"))
    assert (pool.service.flags, pool.service.netmask) == (0, "255.255.255.255")


def test_reason_is_the_evidence() -> None:
    pool = evaluated(virtual(real(A), sorry=SORRY), a=DOWN)
    (key, *_) = (member.destination.key for member in pool.members)
    assert pool.reason_of(key) == "TCP_CHECK 172.16.1.3:80 is down: TCP connect: connected"
    assert pool.quorum_sentence() == "quorum lost: weight 0 is up, 1 is needed"


def test_reload_keeps_a_verdict_whose_check_changed_until_the_new_one_is_known() -> None:
    before = evaluated(virtual(real(A), real(B)), a=DOWN)
    after = pool_of(virtual(real(A), real(B), scheduler="wlc"))
    after.inherit(before)
    after.evaluate({}, WALL_NS)
    assert weights(after) == {B: 1}
