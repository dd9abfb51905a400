"""The kernel driver against a real IPVS (conformance sections 16 and 17)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(300)
Scenario = Callable[[str], Any]
VECTORS = json.loads((Path(__file__).parents[1] / "contract" / "ipvs-vectors.json").read_text())


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_kernel_answers_each_vector_as_recorded(scenario: Scenario, vector: dict[str, Any]) -> None:
    assert scenario("scenario_vectors")[vector["name"]] == vector["kernel_6_1"]


FOREIGN = "-A -t 203.0.113.7:443 -s rr"


@pytest.fixture
def driver(scenario: Scenario) -> dict[str, Any]:
    found: dict[str, Any] = scenario("scenario_driver")
    return found


def test_first_start_writes_every_server_at_once_because_unknown_counts_as_up(driver: dict[str, Any]) -> None:
    assert driver["created"] == [
        "-A -t 192.0.2.1:80 -s wrr",
        FOREIGN,
        "-a -t 192.0.2.1:80 -r 198.51.100.1:80 -m -w 1",
        "-a -t 192.0.2.1:80 -r 198.51.100.2:8080 -m -w 2",
    ]
    assert driver["report"] == "keeps 1 virtual server with the ipvs driver"


def test_w18_sorry_server_enters_before_the_last_server_leaves_and_leaves_after_one_came_back(
    driver: dict[str, Any],
) -> None:
    assert driver["one_down"] == ["-d -t 192.0.2.1:80 -r 198.51.100.1:80"]
    assert driver["all_down"] == [
        "-a -t 192.0.2.1:80 -r 127.0.0.1:80 -g -w 1",
        "-d -t 192.0.2.1:80 -r 198.51.100.2:8080",
    ]
    assert driver["sorry_active"]
    assert driver["one_back"] == [
        "-a -t 192.0.2.1:80 -r 198.51.100.1:80 -m -w 1",
        "-d -t 192.0.2.1:80 -r 127.0.0.1:80",
    ]


def test_flushed_table_is_back_within_five_seconds_and_told(driver: dict[str, Any]) -> None:
    assert driver["healed_s"] < 5
    assert driver["healed"] == driver["created"]
    assert driver["drift"][0] == "no service"


def test_changed_weight_is_edited_back_in_place(driver: dict[str, Any]) -> None:
    assert driver["weight_repair"] == ["-e -t 192.0.2.1:80 -r 198.51.100.1:80 -m -w 1"]


def test_w24_foreign_service_is_counted_and_never_touched(driver: dict[str, Any]) -> None:
    assert driver["foreign"] == 1
    for table in ("healed", "reload_table", "after_absence", "stopped"):
        assert FOREIGN in driver[table]


def test_w10_restart_sends_nothing_when_nothing_changed(driver: dict[str, Any]) -> None:
    assert driver["restart_commands"] == []


def test_w11_reload_edits_in_place_and_one_bad_service_blocks_no_other(driver: dict[str, Any]) -> None:
    assert driver["reload_commands"][:4] == [
        "-E -t 192.0.2.1:80 -s wlc",
        "-a -t 192.0.2.1:80 -r 198.51.100.3:80 -m -w 1",
        "-e -t 192.0.2.1:80 -r 198.51.100.1:80 -m -w 5",
        "-d -t 192.0.2.1:80 -r 198.51.100.2:8080",
    ]
    assert driver["reload_table"] == [
        "-A -t 192.0.2.1:80 -s wlc",
        FOREIGN,
        "-A -u 192.0.2.2:53 -s rr -p 60 -M 255.255.255.0",
        "-a -t 192.0.2.1:80 -r 198.51.100.1:80 -m -w 5",
        "-a -t 192.0.2.1:80 -r 198.51.100.3:80 -m -w 1",
        "-a -u 192.0.2.2:53 -r 198.51.100.9:53 -i -w 1 --tun-type ipip",
    ]
    assert driver["error"] == "the kernel has no scheduler nosuch; load it with `modprobe ip_vs_nosuch`"
    assert "[192.0.2.3]:tcp:80" in driver["reload_status"]


def test_service_removed_from_the_file_while_ipvs_was_down_is_removed(driver: dict[str, Any]) -> None:
    assert [line for line in driver["after_absence"] if line.startswith("-A")] == [
        "-A -t 192.0.2.4:80 -s wrr",
        FOREIGN,
    ]


def test_stop_removes_what_is_ours_and_nothing_else(driver: dict[str, Any]) -> None:
    assert driver["stopped"] == [FOREIGN]


def test_same_file_makes_the_same_table_as_keepalived(scenario: Scenario) -> None:
    found = scenario("scenario_keepalived")
    assert len(found["keepalived"]) > 20
    assert found["keepbus"] == found["keepalived"]


def test_quorum_lost_makes_the_same_table_as_keepalived(scenario: Scenario) -> None:
    found = scenario("scenario_keepalived")
    # The one wanted difference: with NAT the kernel drops what it would have to rewrite to loopback.
    rewritten = "-a -t 172.16.1.188:80 -r 127.0.0.1:80 -m -w 1"
    delivered = "-a -t 172.16.1.188:80 -r 127.0.0.1:80 -g -w 1"
    assert rewritten in found["keepalived_failed"]
    assert found["keepbus_failed"] == [
        delivered if line == rewritten else line for line in found["keepalived_failed"]
    ]


def test_r_f47_module_that_was_removed_is_loaded_again_and_the_table_rebuilt(scenario: Scenario) -> None:
    found = scenario("scenario_module")
    assert found["after"] == found["before"]
    assert found["healed_s"] < 5


def test_v13_user_namespace_is_told_from_a_kernel_without_ipvs(scenario: Scenario) -> None:
    found = scenario("scenario_module")
    assert found["as_root"] == ""
    assert found["in_user_namespace"] == (
        "this process may not use the kernel's IPVS: run the node as root, outside user namespaces"
    )


def test_v11_slices_are_the_whole_table_and_a_service_that_was_removed_meanwhile_is_not_empty_but_gone(
    scenario: Scenario,
) -> None:
    found = scenario("scenario_slices")
    assert found["errors"] == []
    assert found["lengths"] == [1] * 40 + [0]
    assert found["more"] == [True] * 40 + [False]
    # In the order of the kernel's table, which is by hash.
    assert sorted(found["destinations"]) == [0] + [1] * 39
    assert len(found["after_removals"]) in (38, 39)
    assert found["after_removals"].count(0) <= 1
