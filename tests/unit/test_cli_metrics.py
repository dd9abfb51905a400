"""`keepbus metrics`: what Prometheus reads of a node."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from test_cli_status import INSTANCE, NOTIFIED, NOW_NS, SERVER, STATISTICS, change, node

from keepbus.cli import metrics
from keepbus.cli.__main__ import main
from keepbus.cli.node import Node
from keepbus.contracts import checker

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(of: Node) -> Samples:
    """By name and labels, as Prometheus' own parser reads them."""
    text = generate_latest(metrics._registry(lambda: metrics.families(of))).decode()
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, "Prometheus refuses a scrape with a sample twice"
            found[key] = sample.value
    return found


def value(found: Samples, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


def test_an_instance_is_in_one_state() -> None:
    found = samples(node(("vrrp", INSTANCE)))
    states = {
        dict(labels)["state"]: value
        for (name, labels), value in found.items()
        if name == "keepbus_vrrp_state"
    }
    assert states["MASTER"] == 1
    assert sum(states.values()) == 1
    assert value(found, "keepbus_vrrp_state_since_seconds", instance="VI_1") == (NOW_NS - 12 * 10**9) / 1e9
    assert value(found, "keepbus_vrrp_transitions_total", instance="VI_1") == 2
    assert value(found, "keepbus_up") == 1


def test_counters_and_their_reasons() -> None:
    counted = change(STATISTICS, adverts_sent=7, dropped={"bad_ttl": 3, 'odd "one"\n': 1})
    found = samples(node(("vrrp", counted)))
    assert value(found, "keepbus_vrrp_adverts_sent_total", instance="VI_1") == 7
    assert value(found, "keepbus_vrrp_dropped_total", instance="VI_1", reason="bad_ttl") == 3
    assert value(found, "keepbus_vrrp_dropped_total", instance="VI_1", reason='odd "one"\n') == 1


def test_lateness_is_a_histogram_in_seconds() -> None:
    # Two below 1 µs, none below 2, five below 4.
    found = samples(node(("vrrp", change(STATISTICS, lateness_us_counts=(2, 0, 5)))))
    below = {
        dict(labels)["le"]: value
        for (name, labels), value in found.items()
        if name == "keepbus_vrrp_timer_lateness_seconds_bucket"
    }
    assert below == {"1e-06": 2, "2e-06": 2, "4e-06": 7, "+Inf": 7}


def test_servers() -> None:
    down = change(SERVER.real_servers[0], verdict=checker.Verdict.DOWN, alive=False, total_connections=4)
    found = samples(node(("ipvs", change(SERVER, real_servers=(down,), quorum_up=False))))
    who = {"virtual_server": SERVER.name, "real_server": "172.16.1.3:80"}
    assert value(found, "keepbus_real_server_up", **who) == 0
    assert value(found, "keepbus_real_server_connections_total", **who) == 4
    assert value(found, "keepbus_virtual_server_quorum_up", virtual_server=SERVER.name) == 0
    assert value(found, "keepbus_problems") > 0


def test_what_was_not_notified() -> None:
    found = samples(node(("notify", change(NOTIFIED, lost=2))))
    assert value(found, "keepbus_notify_lost_total", object="VI_1") == 2


def test_services_that_are_silent_or_missing_are_down() -> None:
    found = samples(node(silent="checker", missing="ipvs"))
    up = {name: value(found, "keepbus_service_up", service=name) for name in ("checker", "ipvs", "vrrp")}
    assert up == {"checker": 0, "ipvs": 0, "vrrp": 1}


def test_a_node_that_is_down(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["metrics", "-r", str(tmp_path)]) == 1
    assert "keepbus up" in capsys.readouterr().err
    assert [family.name for family in metrics._of_now(tmp_path)] == ["keepbus_up"]


@pytest.mark.parametrize("text", ["9650", "127.0.0.1:", ":9650", "127.0.0.1:0", "127.0.0.1:65536"])
def test_an_endpoint_that_is_none(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["metrics", "-r", str(tmp_path), "--listen", text])
    assert "write for example 127.0.0.1:9650" in capsys.readouterr().err


def test_an_endpoint_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "keepbus.cli", "metrics", "-r", str(tmp_path)]
        ended = subprocess.run(
            [*command, "--listen", f"127.0.0.1:{port}"], capture_output=True, text=True, check=False
        )
    assert ended.returncode == 1
    assert f"cannot listen on 127.0.0.1 port {port}: Address already in use" in ended.stderr
    assert "Traceback" not in ended.stderr
