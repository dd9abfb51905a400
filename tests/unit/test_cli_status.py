"""`keepbus status`: what is shown, and what counts as a problem."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest

from keepbus.cli.node import SERVICES, SILENT_NS, Node, assemble
from keepbus.cli.status import as_json, as_text
from keepbus.cli.terminal import Paint, visible
from keepbus.contracts import checker, common, ipvs, notify, vrrp
from keepbus.contracts.common import Status
from keepbus.contracts.message import Body, Header, Message, topic_of

NOW_NS = 1_795_361_366_348_782_000
S = 1_000_000_000
BEAT = common.Service(
    pid=7, started_ns=NOW_NS - 90 * S, generation=3, status=Status.READY, detail="fine", progress=1
)
INSTANCE = vrrp.Instance(
    name="VI_1", interface="eth0", family="IPv4", virtual_router_id=51, version=2, life="l",
    state=vrrp.VrrpState.MASTER, transitions=2, since_ns=NOW_NS - 12 * S, cause="no advert for 3.4 s",
    base_priority=150, effective_priority=150, advert_interval_us=1_000_000,
    master_down_interval_us=3_400_000,
    master_address="10.0.0.1", master_priority=150, virtual_addresses=("10.0.0.99/24", "10.0.0.98/24"),
    holds_addresses=True, lease_us=2_000_000, lease_kind="lifetime",
)  # fmt: skip
REAL = ipvs.RealServer(
    address="172.16.1.3:80", configured_weight=2, weight=2, verdict=checker.Verdict.UP, in_table=True,
    since_ns=NOW_NS - 5 * S, checks=("c",), reason="TCP connect: connected",
)  # fmt: skip
SERVER = ipvs.VirtualServer(
    name="[172.16.1.254]:tcp:80", address="172.16.1.254:80", protocol="TCP", scheduler="wrr", forwarding="DR",
    persistence_timeout_s=50, quorum=1, quorum_up=True, weight_up=2, changes=0, since_ns=NOW_NS,
    sorry_server="127.0.0.1:80", sorry_server_active=False, real_servers=(REAL,),
)  # fmt: skip
STATISTICS = vrrp.Statistics(name="VI_1", last_advert_ns=NOW_NS - 15 * S)
NOTIFIED = notify.Notified(
    name="VI_1", life="l", notified=2, pending=0, lost=0, runs=2, failures=0, last_command="/x m", last_exit=0
)


def change(body: Any, **fields: Any) -> Any:
    return dataclasses.replace(body, **fields)


def states(*bodies: tuple[str, Body], silent: str = "", missing: str = "") -> dict[str, Message]:
    """The states of a node: a heartbeat of each service, and these bodies of these sources."""
    found = {}
    beats = [(name, change(BEAT)) for name in SERVICES if name != missing]
    for source, body in [*beats, *bodies]:
        heard_ns = NOW_NS - (SILENT_NS + 1 if source == silent else S // 2)
        header = Header(1, "d1", source, "b", 1, 1, heard_ns - 60 * S, heard_ns, "")
        topic = topic_of(body, source)
        found[topic] = Message(topic, header, body)
    return found


WELL = (
    ("vrrp", INSTANCE),
    ("vrrp", STATISTICS),
    ("ipvs", SERVER),
    ("notify", NOTIFIED),
)


def node(*bodies: tuple[str, Body], **options: Any) -> Node:
    return assemble(states(*bodies, **options), NOW_NS, 3)


def text(shown: Node, width: int | None = None, colour: bool = False) -> str:
    return "\n".join(as_text(shown, Path("/run/keepbus"), Paint(colour), width))


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ((3, 9, 40), "weight 2, 3 active and 9 inactive of 40 connections  5.0 s"),
        ((0, 0, 40), "weight 2, 40 connections  5.0 s"),
    ],
)
def test_connections_are_shown(counts: tuple[int, int, int], words: str) -> None:
    active, inactive, total = counts
    real = dataclasses.replace(
        SERVER.real_servers[0],
        active_connections=active,
        inactive_connections=inactive,
        total_connections=total,
    )
    assert words in text(node(("ipvs", dataclasses.replace(SERVER, real_servers=(real,)))))


def test_a_node_that_is_well() -> None:
    shown = node(*WELL)
    assert shown.problems() == []
    page = text(shown)
    for words in (
        "d1 · generation 3 · /run/keepbus",
        "VI_1  MASTER for 12 s  priority 150  eth0 vrid 51 v2",
        "no advert for 3.4 s",
        "10.0.0.99/24 10.0.0.98/24: held (lease 2.0 s by lifetime)",
        "master 10.0.0.1 (this node), last advert of another 15 s ago",
        "/x m succeeded",
        "172.16.1.254:80 TCP wrr DR persistent 50 s  up  weight 2, quorum 1",
        "172.16.1.3:80  up  weight 2  5.0 s  TCP connect: connected",
        "sorry server 127.0.0.1:80 stands by",
        "hub       ready  pid 7  gen 3  up 1 min 30 s  heard 500 ms ago  fine",
        "all is well",
    ):
        assert words in page, words
    for service in SERVICES:
        assert f"  {service} " in page


FAULTY = change(INSTANCE, state=vrrp.VrrpState.FAULT, holds_addresses=False)
DOWN = change(REAL, verdict=checker.Verdict.DOWN, reason="refused")
PROBLEMS = [
    ((("vrrp", change(FAULTY, faults=("eth0 is down",))),), "VI_1 is in FAULT: eth0 is down"),
    ((("vrrp", change(INSTANCE, holds_addresses=False)),), "VI_1 is MASTER without its addresses"),
    ((("ipvs", change(SERVER, quorum_up=False, weight_up=0)),), "has no quorum: weight 0, 1 wanted"),
    ((("ipvs", change(SERVER, error="the kernel has no wrr")),), "the kernel has no wrr"),
    ((("ipvs", change(SERVER, real_servers=(DOWN,))),), "3:80 of [172.16.1.254]:tcp:80 is down: refused"),
    ((("notify", change(NOTIFIED, lost=2)),), "2 transitions of VI_1 were never notified"),
    ((("audit", change(BEAT, status=Status.DEGRADED, detail="disk full")),), "audit is degraded: disk full"),
    ((("audit", change(BEAT, status=Status.STARTING, detail="starting")),), "audit is starting"),
    ((("vrrp", change(BEAT, generation=2)),), "vrrp runs generation 2 of the configuration, others 3"),
]  # fmt: skip


@pytest.mark.parametrize(("bodies", "problem"), PROBLEMS)
def test_problems(bodies: tuple[tuple[str, Body], ...], problem: str) -> None:
    shown = node(*WELL, *bodies)
    assert len(shown.problems()) == 1
    assert problem in shown.problems()[0]
    assert problem in text(shown)
    assert "all is well" not in text(shown)


COUNTED = change(
    STATISTICS, adverts_sent=9, became_master=1, dropped={"ttl": 3, "version": 0},
    lateness_us_counts=(0, 0, 0, 0, 0, 0, 98, 0, 0, 0, 0, 0, 2), lateness_us_max=3500,
)  # fmt: skip


def test_counters_errors_and_lateness_are_shown_without_zeros() -> None:
    page = text(node(("vrrp", INSTANCE), ("vrrp", COUNTED)))
    assert "    adverts: 9 sent, master 1 time, released 0\n" in page
    assert "    refused or odd: ttl 3\n" in page
    # 50 of 100 are within the 98 of 32 to 64 us; the 99th is the first of two between 2048 and 4096 us.
    assert "    timers late: p50 48 us, p99 3.1 ms, max 3.5 ms\n" in page


@pytest.mark.parametrize(
    ("fields", "verbose", "words"),
    [
        (
            {"unicast_peers": ("10.0.0.2", "10.0.0.3")},
            False,
            "    unicast to 10.0.0.2, 10.0.0.3\n",
        ),
        (
            {"unicast_peers": ("10.0.0.2",), "checksum_form": "message"},
            False,
            "    unicast to 10.0.0.2, checksums of the message alone (RFC 9568)\n",
        ),
        ({"checksum_form": "pseudo"}, True, "    checksums with a pseudo-header (RFC 5798)\n"),
    ],
)
def test_where_adverts_go_and_how_they_are_summed_up(
    fields: dict[str, Any], verbose: bool, words: str
) -> None:
    shown = node(("vrrp", change(INSTANCE, **fields)))
    page = "\n".join(as_text(shown, Path("/run/keepbus"), Paint(False), None, verbose=verbose))
    assert words in page
    usual = text(node(("vrrp", change(INSTANCE, checksum_form="pseudo"))))
    assert "unicast" not in usual
    assert "checksums" not in usual


def test_x8_clocks_of_senders_are_shown() -> None:
    skews = {"10.0.0.3": -2_600_000, "10.0.0.2": 850}
    page = text(node(("vrrp", INSTANCE), ("vrrp", change(STATISTICS, clock_skews_us=skews))))
    assert "    clocks of senders: 10.0.0.2 850 us ahead, 10.0.0.3 2.6 s behind\n" in page


def test_the_age_of_a_backups_last_advert_is_that_when_it_was_counted() -> None:
    backup = change(INSTANCE, state=vrrp.VrrpState.BACKUP, holds_addresses=False)
    found = states(("vrrp", backup), ("vrrp", STATISTICS))
    message = found["state/vrrp/statistics/VI_1"]
    header = dataclasses.replace(message.header, at_ns=STATISTICS.last_advert_ns + 3 * S // 10)
    found["state/vrrp/statistics/VI_1"] = dataclasses.replace(message, header=header)
    page = text(assemble(found, NOW_NS, 3))
    assert "master 10.0.0.1 (priority 150), its last advert 300 ms old when counted 14 s ago" in page


def test_verbose_shows_zeros() -> None:
    page = "\n".join(
        as_text(node(*WELL), Path("/run/keepbus"), Paint(False), None, verbose=True),
    )
    assert "adverts: 0 sent, 0 received, 0 resignations sent, 0 resignations received, master 0 times" in page
    assert "refused or odd: none" in page
    assert "timers late" not in page


def test_a_tracked_script_that_cannot_be_run_is_a_problem() -> None:
    tracked = vrrp.Tracked(kind="script", name="chk", verdict="unknown", weight=-10)
    evidence = checker.Evidence(sent="/x", received="/x cannot be run: No such file", took_us=1, at_ns=NOW_NS)
    told = checker.Tracker(
        tracker="script:chk",
        kind="script",
        name="chk",
        verdict=checker.Verdict.UNKNOWN,
        changes=0,
        since_ns=0,
    )
    tracking = ("vrrp", change(INSTANCE, trackers=(tracked,)))
    assert node(*WELL, tracking, ("checker", told)).problems() == []  # not run yet
    shown = node(*WELL, tracking, ("checker", change(told, evidence=evidence)))
    assert shown.problems() == ["VI_1: script chk is unknown: /x cannot be run: No such file"]


def test_another_configuration_of_a_peer_is_a_standing_warning() -> None:
    """R-F88."""
    sentence = "10.0.0.2 sends adverts that are refused: VRRP version 3, 2 expected"
    shown = node(*WELL, ("vrrp", change(STATISTICS, disagreements=(sentence,))))
    assert shown.problems() == [f"VI_1: {sentence}"]
    assert sentence in text(shown)


def test_idle_is_well_and_generation_0_is_no_other_generation() -> None:
    idle = change(BEAT, status=Status.IDLE, generation=0)
    assert node(*WELL, ("checker", idle)).problems() == []


def test_a_missing_service_is_seen() -> None:
    shown = node(*WELL, missing="watchdog")
    assert shown.problems() == ["watchdog was never heard: it is not running"]
    assert "watchdog  MISSING" in text(shown)


def test_a_silent_service_is_seen_and_its_states_are_called_old() -> None:
    shown = node(*WELL, silent="vrrp")
    assert shown.problems() == ["vrrp (pid 7) is silent since 2.0 s"]
    assert "instances  (as vrrp said last: it is silent)" in text(shown)
    assert "virtual servers\n" in text(shown)
    shown = node(*WELL, silent="ipvs")
    assert "virtual servers  (as ipvs said last: it is silent)" in text(shown)


def test_a_service_of_your_own_is_shown_too() -> None:
    assert "  metrics " in text(node(*WELL, ("metrics", BEAT)))


def test_without_instances_and_servers_there_are_no_headings_for_them() -> None:
    page = text(node())
    assert "instances" not in page
    assert "virtual servers" not in page


@pytest.mark.parametrize("width", [20, 40, 60])
def test_sentences_are_wrapped_to_the_terminal(width: int) -> None:
    shown = node(*WELL, ("audit", change(BEAT, status=Status.DEGRADED, detail="many words " * 20)))
    problem = [line for line in text(shown, width).splitlines() if line.startswith(("  ! ", "    many"))]
    assert all(visible(line) <= width for line in problem)


def test_nothing_from_the_bus_reaches_the_terminal_raw() -> None:
    evil = "\x1b[2J"
    shown = node(
        (
            "vrrp",
            change(
                INSTANCE, name=evil, cause=evil, interface=evil, virtual_addresses=(evil,), faults=(evil,)
            ),
        ),
        ("ipvs", change(SERVER, address=evil, scheduler=evil, error=evil, sorry_server=evil)),
        ("audit", change(BEAT, detail=evil)),
        ("notify", change(NOTIFIED, name=evil, last_command=evil, lost=1)),
    )
    assert "\x1b" not in text(shown)


def test_json_holds_the_contracts_and_the_findings() -> None:
    shown = node(*WELL, missing="watchdog")
    data = json.loads(json.dumps(as_json(shown)))
    assert data["well"] is False
    assert data["problems"] == shown.problems()
    assert data["services"]["hub"]["heartbeat"]["pid"] == 7
    assert data["services"]["watchdog"] == {"silent": True, "age_ns": None, "heartbeat": None}
    assert data["instances"]["VI_1"]["state"] == "MASTER"
    assert data["instances"]["VI_1"]["notified"]["last_exit"] == 0
    assert (data["sync_daemon"], data["fifos"], data["mail"]) == (None, {}, None)
    assert data["virtual_servers"]["[172.16.1.254]:tcp:80"]["real_servers"][0]["weight"] == 2


def test_colours_change_nothing_but_colour() -> None:
    shown = node(*WELL, missing="watchdog")
    assert re.sub(r"\x1b\[[0-9;]*m", "", text(shown, colour=True)) == text(shown)


def test_sync_groups_are_shown() -> None:
    cause = "VI_2 is in FAULT: interface eth1 is down"
    group = vrrp.SyncGroup(
        name="VG_1", members=("VI_1", "VI_2"), life="l", state=vrrp.VrrpState.FAULT, transitions=3,
        since_ns=NOW_NS - 12 * S, cause=cause,
    )  # fmt: skip
    shown = node(*WELL, ("vrrp", group))
    lines = text(shown).splitlines()
    at = lines.index("sync groups")
    assert lines[at + 1] == "  VG_1  FAULT for 12 s  VI_1, VI_2"
    assert lines[at + 2].endswith(f": {cause}")
    assert as_json(shown)["groups"]["VG_1"]["members"] == ["VI_1", "VI_2"]


def tracked(**fields: Any) -> vrrp.Tracked:
    given = {"kind": "script", "name": "chk_haproxy", "verdict": "up", "weight": 50, "contribution": 50}
    return vrrp.Tracked(**(given | {"since_ns": NOW_NS - 12 * S, "detail": "exit status 0"} | fields))


@pytest.mark.parametrize(
    ("base", "effective", "contributions", "shown"),
    [
        (100, 150, (50,), "priority 150 = 100 + 50 chk_haproxy "),
        (100, 130, (50, -20), "priority 130 = 100 + 50 chk_haproxy - 20 chk_haproxy "),
        (100, 254, (200,), "priority 254 = 100 + 200 chk_haproxy (within 1 to 254) "),
        (100, 100, (0,), "priority 100 "),
        (255, 255, (50,), "priority 255 "),
    ],
)
def test_priority_with_each_trackers_part(
    base: int, effective: int, contributions: tuple[int, ...], shown: str
) -> None:
    trackers = tuple(tracked(contribution=each) for each in contributions)
    body = change(INSTANCE, base_priority=base, effective_priority=effective, trackers=trackers)
    assert shown in text(node(("vrrp", body)))


def test_each_tracker_has_a_line_that_says_how_old_its_word_is() -> None:
    evidence = checker.Evidence(sent="/bin/chk", received="exit status 0", took_us=1, at_ns=NOW_NS - 3 * S)
    word = checker.Tracker(
        tracker="script:chk_haproxy", kind="script", name="chk_haproxy", verdict=checker.Verdict.UP,
        changes=1, since_ns=1, evidence=evidence,
    )  # fmt: skip
    shown = text(node(("vrrp", change(INSTANCE, trackers=(tracked(),))), ("checker", word)))
    (line,) = [" ".join(line.split()) for line in shown.splitlines() if "script chk_haproxy" in line]
    assert line == "script chk_haproxy up +50 weight 50 12 s exit status 0, 3.0 s ago"


def test_who_waits_for_a_tracker_is_a_problem() -> None:
    body = change(
        INSTANCE,
        state=vrrp.VrrpState.INIT,
        cause="waits for the first word of script chk",
        holds_addresses=False,
    )
    assert node(("vrrp", body)).problems() == ["VI_1 has not begun: waits for the first word of script chk"]


def test_a_drained_server_and_the_sync_daemon_are_shown() -> None:
    real = dataclasses.replace(
        SERVER.real_servers[0], drained=True, weight=0, reason="drained by an operator"
    )
    daemon = ipvs.SyncDaemon(interface="eth0", sync_id=51, instance="VI_1", wanted="master", running="master")
    shown = node(("ipvs", change(SERVER, real_servers=(real,))), ("ipvs", daemon))
    page = text(shown)
    assert "172.16.1.3:80  up drained  weight 0" in page
    assert "connections synchronized on eth0 id 51: master with VI_1" in page
    failing = node(("ipvs", SERVER), ("ipvs", change(daemon, running="", error="there is no interface eth0")))
    assert "lvs_sync_daemon: there is no interface eth0" in failing.problems()
    assert "not running" in text(failing)
