"""Requests through the virtual addresses, by direct routing and by NAT, on a real IPVS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(300)
DR_VIP, NAT_VIP, WEIGHTED_VIP = "172.16.1.254", "172.16.1.188", "172.16.1.253"


@pytest.fixture
def traffic(scenario: Callable[[str], Any]) -> dict[str, Any]:
    found: dict[str, Any] = scenario("scenario_traffic")
    return found


def table_lines(listing: list[str], service: str) -> list[str]:
    """The service's block of `ipvsadm -Ln` without the counters."""
    start = listing.index(next(line for line in listing if service in line))
    block = [listing[start].rstrip()]
    for line in listing[start + 1 :]:
        if not line.startswith("  ->"):
            break
        block.append(" ".join(line.split()[:4]))
    return block


def test_ipvsadm_shows_what_the_article_shows(traffic: dict[str, Any]) -> None:
    assert table_lines(traffic["listing"], f"{DR_VIP}:80") == [
        "TCP  172.16.1.254:80 rr",
        "-> 172.16.1.3:80 Route 1",
        "-> 172.16.1.4:80 Route 2",
    ]
    assert table_lines(traffic["listing"], f"{NAT_VIP}:80") == [
        "TCP  172.16.1.188:80 rr",
        "-> 192.168.1.3:80 Masq 1",
        "-> 192.168.1.4:80 Masq 2",
    ]


def test_w1_w2_requests_are_spread_evenly_by_rr_and_by_weight_with_wrr(traffic: dict[str, Any]) -> None:
    assert traffic["spread"] == {
        DR_VIP: {"r3": 6, "r4": 6},
        NAT_VIP: {"n3": 6, "n4": 6},
        WEIGHTED_VIP: {"r3": 4, "r4": 8},
    }


def test_w13_kernel_balances_on_while_ipvs_is_dead_and_its_restart_writes_nothing(
    traffic: dict[str, Any],
) -> None:
    assert traffic["without_ipvs"] == traffic["spread"]
    assert traffic["written"] == 3 * 3  # a service and two destinations of each virtual server
    assert traffic["written_by_restart"] == 0
    assert traffic["after_restart"][DR_VIP] == {"172.16.1.3:80": 1, "172.16.1.4:80": 2}


def test_second_director_balances_the_same_way_once_it_has_the_addresses(traffic: dict[str, Any]) -> None:
    assert traffic["through_d2"] == traffic["spread"]


def test_dead_web_server_is_taken_out(traffic: dict[str, Any]) -> None:
    assert traffic["one_dead"] == {DR_VIP: {"r4": 6}, NAT_VIP: {"n4": 6}, WEIGHTED_VIP: {"r4": 6}}


def test_sorry_server_answers_when_all_are_dead(traffic: dict[str, Any]) -> None:
    assert traffic["all_dead"] == {vip: {"sorry d1": 3} for vip in (DR_VIP, NAT_VIP, WEIGHTED_VIP)}
    assert table_lines(traffic["sorry_listing"], f"{DR_VIP}:80") == [
        "TCP  172.16.1.254:80 rr",
        "-> 127.0.0.1:80 Route 1",
    ]


def test_server_that_returns_gets_the_requests_again(traffic: dict[str, Any]) -> None:
    assert traffic["one_back"] == {DR_VIP: {"r4": 3}, NAT_VIP: {"n4": 3}, WEIGHTED_VIP: {"r4": 3}}


def test_stop_leaves_an_empty_table(traffic: dict[str, Any]) -> None:
    assert traffic["after_stop"] == {"d1": {}, "d2": {}}
