"""`keepbus explain`: the story of an instance from its journal."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from keepbus.cli.explain import as_json, as_text
from keepbus.cli.journal import Entry, Findings, entries, files
from keepbus.cli.story import Story, tell
from keepbus.cli.terminal import Paint, visible
from keepbus.contracts import notify, record, vrrp
from keepbus.contracts.message import Body, Header, Message, topic_of

T_NS = 1_795_361_366_000_000_000
MS = 1_000_000
INIT, BACKUP, MASTER, FAULT = (
    vrrp.VrrpState.INIT,
    vrrp.VrrpState.BACKUP,
    vrrp.VrrpState.MASTER,
    vrrp.VrrpState.FAULT,
)


def step(
    number: int, before: vrrp.VrrpState, after: vrrp.VrrpState, at_ms: int, **inputs: str
) -> vrrp.Transition:
    return vrrp.Transition(
        number=number, from_state=before, to_state=after, at_ns=T_NS + at_ms * MS, cause=f"cause {number}",
        inputs=inputs, priority=150,
    )  # fmt: skip


STEPS = (
    step(1, INIT, BACKUP, 0),
    step(2, BACKUP, MASTER, 3000, last_advert_age="3.4 s", wait_us="3414063"),
    step(3, MASTER, FAULT, 9000),
)


def instance(*history: vrrp.Transition, life: str = "l", name: str = "VI_1") -> vrrp.Instance:
    last = history[-1]
    return vrrp.Instance(
        name=name, interface="eth0", family="IPv4", virtual_router_id=1, version=2, life=life,
        state=last.to_state, transitions=last.number, since_ns=last.at_ns, cause=last.cause,
        base_priority=100, effective_priority=100, advert_interval_us=1, master_down_interval_us=3,
        master_address="", master_priority=0,
        virtual_addresses=(), holds_addresses=False, lease_us=0, history=history,
    )  # fmt: skip


def address(action: str) -> vrrp.AddressChanged:
    return vrrp.AddressChanged(instance="VI_1", address="10.0.0.99/24", interface="eth0", action=action)


def run(number: int, started_ms: int, exit_status: int = 0, life: str = "l") -> notify.ScriptRun:
    return notify.ScriptRun(
        name="VI_1", life=life, number=number, state="MASTER", script="notify_master", command=("/x", "m"),
        user="nobody", started_ns=T_NS + started_ms * MS, took_us=2500, exit_status=exit_status,
        timed_out=False, late=False, error="no such thing" if exit_status else "",
    )  # fmt: skip


def entry(body: Body, at_ms: int = 0, number: int = 1) -> Entry:
    topic = topic_of(body, "vrrp")
    return Entry(topic, f"d1/x/b/{number}", "", T_NS + at_ms * MS, body)


def told(*found: Entry, now: vrrp.Instance | None = None, width: int | None = None) -> list[str]:
    story = tell("VI_1", found, now)
    return list(as_text(story, Findings(), T_NS + 10_000 * MS, Paint(False), width))


def numbers(story: Story) -> list[tuple[str, int]]:
    return [(chapter.life, chapter.transition.number) for chapter in story.chapters]


def test_transitions_come_from_histories_events_and_the_live_state_each_once() -> None:
    story = tell(
        "VI_1",
        [
            entry(instance(STEPS[0])),
            entry(vrrp.Transitioned(instance="VI_1", life="l", transition=STEPS[1])),
            entry(instance(*STEPS[:2])),
            entry(instance(step(1, INIT, FAULT, 5), name="VI_2")),
        ],
        instance(*STEPS),
    )
    assert numbers(story) == [("l", 1), ("l", 2), ("l", 3)]


def test_lives_are_told_in_the_order_of_time() -> None:
    later = step(1, INIT, BACKUP, 20_000)
    story = tell("VI_1", [entry(instance(later, life="a")), entry(instance(STEPS[0], life="z"))], None)
    assert numbers(story) == [("z", 1), ("a", 1)]
    lines = list(as_text(story, Findings(), T_NS, Paint(False), None))
    assert lines.count("(a new series of transitions begins)") == 1


def test_what_followed_stands_under_its_transition() -> None:
    story = tell(
        "VI_1",
        [
            entry(instance(*STEPS)),
            entry(run(2, 3009), at_ms=9500),  # told late, when it had ended: it belongs to 2 all the same
            entry(address("added"), at_ms=3001),
            entry(address("removed"), at_ms=9001),
            entry(vrrp.Resumed(instance="VI_1", life="l", state=MASTER, silent_us=9), at_ms=4000),
        ],
        None,
    )
    followed = [[type(body).__name__ for _, body in chapter.followed] for chapter in story.chapters]
    assert followed == [[], ["AddressChanged", "ScriptRun", "Resumed"], ["AddressChanged"]]


def test_addresses_that_are_held_or_not_are_read_from_the_states() -> None:
    master, fault = instance(*STEPS[:2]), instance(*STEPS)
    holding = dataclasses.replace(master, holds_addresses=True, virtual_addresses=("10.0.0.9/24",))
    fault = dataclasses.replace(fault, virtual_addresses=("10.0.0.9/24",))
    again = dataclasses.replace(holding, master_priority=7)
    lines = told(entry(master, 3000), entry(holding, 3002), entry(again, 5000), entry(fault, 9003))
    assert [line.split("then")[1].split(maxsplit=2)[2] for line in lines if "then" in line] == [
        "holds 10.0.0.9/24",
        "holds no more 10.0.0.9/24",
    ]


def test_what_came_before_the_first_known_transition_is_left_out() -> None:
    story = tell(
        "VI_1", [entry(address("added"), at_ms=-5), entry(instance(*STEPS)), entry(run(99, 1))], None
    )
    assert [chapter.followed for chapter in story.chapters] == [[], [], []]


def test_the_page() -> None:
    lines = told(
        entry(instance(*STEPS[:2])),
        entry(address("added"), 3001),
        entry(run(2, 3009, 3), 3012),
        now=instance(*STEPS[:2]),
    )
    assert lines[0] == "VI_1 is MASTER for 7.0 s, priority 100"
    page = [line.rstrip() for line in lines]
    at = next(index for index, line in enumerate(page) if "BACKUP → MASTER" in line)
    assert page[at].endswith("BACKUP → MASTER  transition 2")
    assert page[at + 1 :] == [
        "  because   cause 2",
        "            last advert age: 3.4 s",
        "            wait: 3.4 s",
        "  then      +1.0 ms  10.0.0.99/24 added on eth0",
        "            +9.0 ms  notify_master as nobody failed with status 3 in 2.5 ms: no such thing  (/x m)",
    ]


def test_without_a_node_the_journal_tells() -> None:
    assert told(entry(instance(*STEPS)))[0] == "VI_1: the node does not run; this is from its journal"


@pytest.mark.parametrize("width", [30, 50, 80])
def test_it_fits_the_terminal(width: int) -> None:
    long = vrrp.Transition(
        number=1,
        from_state=INIT,
        to_state=BACKUP,
        at_ns=T_NS,
        cause="many words " * 20,
        inputs={"a": "b " * 50},
    )
    lines = told(entry(instance(long)), entry(run(1, 5, 3), 9), width=width)
    indented = [line for line in lines if line.startswith("  ")]
    assert len(indented) > 5
    assert all(visible(line) <= width for line in indented)


def test_nothing_from_the_journal_reaches_the_terminal_raw() -> None:
    evil = "\x1b[2J"
    bad = vrrp.Transition(
        number=1, from_state=INIT, to_state=BACKUP, at_ns=T_NS, cause=evil, inputs={evil: evil}
    )
    changed = vrrp.AddressChanged(instance="VI_1", address=evil, interface=evil, action=evil, detail=evil)
    assert "\x1b" not in "\n".join(told(entry(instance(bad)), entry(changed, 1)))


def test_losses_are_told() -> None:
    story = tell("VI_1", [entry(instance(*STEPS))], None)
    lines = list(as_text(story, Findings(lost=3), T_NS, Paint(False), None))
    assert lines[-1] == "3 messages are missing from the journal"
    lines = list(as_text(story, Findings(lost=1, unreadable=2), T_NS, Paint(False), None))
    assert lines[-3:] == ["", "1 message is missing from the journal", "2 lines are unreadable there"]


def test_what_became_of_a_route_is_told() -> None:
    lost = vrrp.HoldingChanged(
        instance="VI_1", holding="10.1.0.0/16 via 10.0.0.1", action="failed", detail="it has no nexthop"
    )
    lines = told(entry(instance(*STEPS)), entry(lost, 3001))
    assert any(line.endswith("10.1.0.0/16 via 10.0.0.1 failed: it has no nexthop") for line in lines)


def test_json() -> None:
    story = tell("VI_1", [entry(instance(*STEPS[:2])), entry(address("added"), 3001)], None)
    data: Any = json.loads(json.dumps(as_json(story)))
    assert data["now"] is None
    assert data["transitions"][1]["inputs"] == {"last_advert_age": "3.4 s", "wait_us": "3414063"}
    assert data["transitions"][1]["followed"][0]["what"] == "address"


# The journal's files


def line(body: Body, number: int) -> str:
    header = Header(1, "d1", "vrrp", "b", number, 1, T_NS + number, T_NS, "")
    return record.encode(record.of_message(Message(topic_of(body, "vrrp"), header, body), T_NS)) + "\n"


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    (tmp_path / "audit").mkdir()
    return tmp_path


def read(run_dir: Path) -> tuple[list[Entry], Findings]:
    findings = Findings()
    found = entries(files(run_dir), lambda topic: topic == "event/vrrp/address/VI_1", findings)
    return list(found), findings


def test_rotated_files_come_first_and_repeats_once(run_dir: Path) -> None:
    audit = run_dir / "audit"
    (audit / "journal.jsonl").write_text(line(address("newest"), 12) + line(address("again"), 2))
    (audit / "journal.jsonl.2").write_text(line(address("again"), 2))
    (audit / "journal.jsonl.10").write_text(line(address("oldest"), 1))
    (audit / "journal.jsonl.bak").write_text(line(address("not one of them"), 3))
    found, _ = read(run_dir)
    assert [item.body.action for item in found] == ["oldest", "again", "newest"]  # type: ignore[attr-defined]


def test_no_journal_is_an_empty_one(tmp_path: Path) -> None:
    assert read(tmp_path) == ([], Findings())


def test_odd_lines_are_counted_not_fatal(run_dir: Path) -> None:
    good = line(address("added"), 1)
    (run_dir / "audit" / "journal.jsonl").write_text(
        '{"time":"x","opened":true}\n'
        '{"time":"x","gap":{"topic":"t","source":"s","boot":"b","lost":3,"after_nth":1}}\n'
        '{"time":"x","lost":2,"reason":"full"}\n'
        + good[: len(good) // 2] + "\n"
        + good[:-20] + "\n"
        + good.replace('"action":"added"', '"colour":"red"')
        + '["a list"]\n\n'
        + good
    )  # fmt: skip
    found, findings = read(run_dir)
    assert len(found) == 1
    assert findings.lost == 5
    assert findings.unreadable >= 3


@pytest.mark.parametrize(
    "odd",
    [
        lambda good: good.replace('"cause":""', '"cause":["a list"]'),
        lambda good: good.replace('"id":"', '"id":7,"was":"'),
        lambda good: good.replace('"at":', '"at":"now","was":'),
        lambda good: good.replace('"body":{', '"body":' + "[" * 100_000 + "{"),
    ],
)
def test_a_line_that_somebody_made_up_is_unreadable_and_no_more(run_dir: Path, odd: Any) -> None:
    good = line(address("added"), 1)
    assert odd(good) != good
    (run_dir / "audit" / "journal.jsonl").write_text(odd(good) + good)
    found, findings = read(run_dir)
    assert (len(found), findings.unreadable) == (1, 1)


def test_that_a_state_was_withdrawn_is_not_unreadable(run_dir: Path) -> None:
    message = Message("state/vrrp/instance/VI_1", Header(1, "d1", "vrrp", "b", 1, 1, T_NS, T_NS, ""), None)
    (run_dir / "audit" / "journal.jsonl").write_text(record.encode(record.of_message(message, T_NS)) + "\n")
    assert read(run_dir) == ([], Findings())


def test_a_sync_group_has_a_story_too() -> None:
    group = vrrp.SyncGroup(
        name="VG_1", members=("VI_1", "VI_2"), life="l", state=FAULT, transitions=3,
        since_ns=STEPS[2].at_ns, cause="c", history=STEPS[1:],
    )  # fmt: skip
    script = dataclasses.replace(run(3, 9001), name="GROUP VG_1", script="notify_fault")
    entries = [
        entry(vrrp.GroupTransitioned(group="VG_1", life="l", transition=STEPS[0])),
        entry(instance(step(1, INIT, FAULT, 5))),
        entry(script),
    ]
    story = tell("VG_1", entries, group)
    assert numbers(story) == [("l", 1), ("l", 2), ("l", 3)]
    assert [body for _, body in story.chapters[2].followed] == [script]
    first = next(iter(as_text(story, Findings(), T_NS + 10_000 * MS, Paint(False), None)))
    assert first == "VG_1 is FAULT for 1.0 s, sync group of VI_1, VI_2"
