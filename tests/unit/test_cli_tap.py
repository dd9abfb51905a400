"""`keepbus tap`: which messages, and how they read."""

from __future__ import annotations

import argparse
import typing
from typing import Any

import pytest

from keepbus.cli import tap
from keepbus.cli.gist import gist, mood
from keepbus.cli.tap import line, prefix, short, wanted
from keepbus.cli.terminal import Paint, visible
from keepbus.contracts import checker, common, notify, vrrp
from keepbus.contracts.common import Status
from keepbus.contracts.message import Body, Header, Message, topic_of

NOW_NS = 1_795_361_366_348_782_000
PLAIN = Paint(False)


def message(
    body: Body | None, source: str = "vrrp", topic: str = "", *, sent_after_ns: int = 0, cause: str = ""
) -> Message:
    header = Header(1, "d1", source, "b", 1, 1, NOW_NS, NOW_NS + sent_after_ns, cause)
    return Message(topic or topic_of(typing.cast(Body, body), source), header, body)


@pytest.mark.parametrize(
    ("topic", "patterns", "fits"),
    [
        ("event/vrrp/transition/VI_1", [], True),
        ("state/vrrp/instance/VI_1", [], True),
        ("state/vrrp/service", [], False),
        ("state/vrrp/statistics/VI_1", [], False),
        ("state/vrrp/service", ["state/*/service"], True),
        ("state/vrrp/instance/VI_1", ["*/VI_1"], True),
        ("state/vrrp/instance/VI_10", ["*/VI_1"], False),
        ("state/vrrp/instance/VI_1", ["state/vrrp/instance/VI_?"], True),
        ("state/vrrp/instance/VI_1", ["state/vrrp/instance/VI_[23]"], False),
        ("state/vrrp/instance/VI_1", ["state/vrrp"], True),
        ("state/vrrp/instance/VI_1", ["state/vrrp/"], True),
        ("state/vrrp/instance/VI_1", ["state/vrrp/inst"], False),
        ("state/vrrp/instance/VI_1", ["event", "state"], True),
        ("state/vrrp/instance/VI_1", ["event"], False),
    ],
)
def test_patterns(topic: str, patterns: list[str], fits: bool) -> None:
    assert wanted(topic, patterns) is fits
    # What is not subscribed to can't be shown.
    assert not fits or not patterns or any(topic.startswith(prefix(pattern)) for pattern in patterns)


def test_all_shows_heartbeats() -> None:
    assert wanted("state/vrrp/service", [], everything=True)


def test_a_line_says_when_who_what() -> None:
    transition = vrrp.Transition(
        number=2, from_state=vrrp.VrrpState.BACKUP, to_state=vrrp.VrrpState.MASTER, at_ns=1, cause="silence"
    )
    text = line(
        message(vrrp.Transitioned(instance="VI_1", life="l", transition=transition)), NOW_NS, PLAIN, None
    )
    clock, source, topic, word, rest = text.split(maxsplit=4)
    assert (source, topic, word) == ("vrrp", "transition/VI_1", "MASTER")
    assert rest == "from BACKUP, transition 2: silence"
    assert clock.endswith(".348")


def test_a_line_tells_the_age_of_a_state_and_the_cause() -> None:
    body = notify.Notified(
        name="VI_1",
        life="l",
        notified=2,
        pending=0,
        lost=0,
        runs=1,
        failures=0,
        last_command="/x a",
        last_exit=0,
    )
    text = line(
        message(body, "notify", sent_after_ns=12_000_000_000, cause="d1/vrrp/b/41"), NOW_NS, PLAIN, None
    )
    assert text.endswith("transition 2; /x a succeeded (for 12 s) ← vrrp/41")


def test_events_have_no_age() -> None:
    gap = common.Gap(topic="state/x/y", source="x", boot="b", lost=2, after_nth=1)
    text = line(message(gap, "audit", sent_after_ns=12_000_000_000), NOW_NS, PLAIN, None)
    assert text.endswith("lost 2 messages on state/x/y from x")


def test_a_withdrawal_reads_so() -> None:
    text = line(message(None, topic="state/vrrp/instance/VI_1"), NOW_NS, PLAIN, None)
    assert text.split()[-1] == "withdrawn"


@pytest.mark.parametrize("width", [20, 40, 80])
def test_a_line_fits_the_terminal(width: int) -> None:
    beat = common.Service(
        pid=1, started_ns=1, generation=1, status=Status.DEGRADED, detail="x" * 300, progress=1
    )
    assert visible(line(message(beat), NOW_NS, Paint(True), width)) == width


def test_nothing_from_the_bus_reaches_the_terminal_raw() -> None:
    beat = common.Service(
        pid=1, started_ns=1, generation=1, status=Status.DEGRADED, detail="\x1b[2Jgone", progress=1
    )
    text = line(message(beat, source="\x1bc", cause="a/\x1b/c/d"), NOW_NS, PLAIN, None)
    assert "\x1b" not in text


def test_short_ids() -> None:
    assert short("d1/vrrp/18ea/42") == "vrrp/42"
    assert short("a/b/vrrp/18ea/42") == "vrrp/42"  # a node's name may hold a slash
    assert short("odd") == "odd"


def test_moods() -> None:
    assert [mood("MASTER"), mood("FAULT"), mood("BACKUP")] == ["green", "red", "yellow"]


def test_evidence_is_told() -> None:
    evidence = checker.Evidence(sent="TCP connect", received="refused", took_us=1500, at_ns=1)
    body: Any = checker.CheckVerdict(
        check="c", kind="TCP_CHECK", target="t", verdict=checker.Verdict.DOWN, changes=1, since_ns=1,
        probes=1, failures=1, evidence=evidence,
    )  # fmt: skip
    assert gist(message(body, "checker")) == ("down", "TCP connect: refused, 1.5 ms")


def test_options() -> None:
    parser = argparse.ArgumentParser()
    tap.add_arguments(parser)
    options = parser.parse_args(["state/vrrp", "*/VI_1", "--json", "-r", "/x"])
    assert (options.patterns, options.json, str(options.run_dir)) == (["state/vrrp", "*/VI_1"], True, "/x")
