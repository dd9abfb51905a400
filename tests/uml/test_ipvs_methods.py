"""Tunnels, persistence, draining, a flushed table with traffic; the host's own settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(300)
GUE, IPIP, GRE, STICKY, PLAIN = "10.9.0.249", "10.9.0.251", "10.9.0.252", "10.9.0.253", "10.9.0.254"


@pytest.fixture
def methods(scenario: Callable[[str], Any]) -> dict[str, Any]:
    found: dict[str, Any] = scenario("scenario_methods")
    return found


@pytest.mark.parametrize("vip", [IPIP, GRE, GUE, PLAIN])
def test_w3_every_method_carries_requests_to_both_servers(methods: dict[str, Any], vip: str) -> None:
    assert methods[vip] == ["m1", "m1", "m2", "m2"]


def test_w14_a_persistent_client_stays_with_its_server(methods: dict[str, Any]) -> None:
    assert len(set(methods[STICKY])) == 1


def test_w6_drained_server_keeps_its_connections_and_gets_no_new_ones(methods: dict[str, Any]) -> None:
    drained = methods["drained"]
    assert drained["both"] == ["m1", "m2"]
    assert drained["stay"]
    assert drained["new"] == ["m2"] * 4
    assert drained["through_tunnels"] == ["m2"] * 2


def test_w15_servers_at_their_upper_threshold_get_no_new_connection(methods: dict[str, Any]) -> None:
    assert methods["limited"] == ["m1", "m2", "refused"]


def test_w8_w9_a_removed_servers_connections_fall_silent_and_go_on_when_it_is_back_soon(
    methods: dict[str, Any],
) -> None:
    assert methods["removed"] == {"while away": "silence", "back": "m1", "after that": "m1"}


def test_w12_with_every_server_drained_new_connections_are_refused_at_once(methods: dict[str, Any]) -> None:
    assert methods["all drained"] == "refused"


def test_r_f49_flushed_table_heals_and_open_connections_go_on(methods: dict[str, Any]) -> None:
    flushed = methods["flushed"]
    assert flushed["healed_s"] < 5
    assert flushed["stay"]
    assert flushed["new"] == ["m1", "m1", "m2", "m2"]


def sync_daemon(role: str) -> list[str]:
    return [
        f"{role} sync daemon (mcast=eth0, syncid=5, maxlen=1200, group=224.0.0.82, port=8900, ttl=3)",
        "Timeout (tcp tcpfin udp): 77 120 9",
    ]


def test_v21_the_sync_daemon_follows_its_instance(methods: dict[str, Any]) -> None:
    settings = methods["settings"]
    assert settings["BACKUP"] == settings["FAULT"] == sync_daemon("backup")
    assert settings["MASTER"] == settings["after a crash"] == sync_daemon("master")


def test_v20_time_outs_are_as_they_were_after_a_stop_and_no_daemon_is_left(methods: dict[str, Any]) -> None:
    settings = methods["settings"]
    assert settings["stopped"] == settings["before"] == ["Timeout (tcp tcpfin udp): 900 120 300"]
