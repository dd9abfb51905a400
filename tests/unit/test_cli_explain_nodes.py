"""`keepbus explain` with several nodes: one clock, what led to what, two masters and none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from keepbus.cli import several
from keepbus.cli.__main__ import main
from keepbus.cli.journal import Entry, Findings
from keepbus.cli.skew import Notes, between
from keepbus.cli.terminal import Paint
from keepbus.cli.together import Account, Together, join
from keepbus.contracts import record, vrrp
from keepbus.contracts.message import Body, Header, Message, topic_of

T_NS = 1_795_361_366_000_000_000
MS = 1_000_000
BACKUP, MASTER, STOP = vrrp.VrrpState.BACKUP, vrrp.VrrpState.MASTER, vrrp.VrrpState.STOP
ADDRESS = {"lb1": "10.0.0.1", "lb2": "10.0.0.2"}


class Diary:
    """What a node's journal holds; its clock is ahead of the true one."""

    def __init__(self, node: str, ahead_ms: float = 0) -> None:
        self.node = node
        self.account = Account(node, [])
        self.ahead_ns = round(ahead_ms * MS)
        self.state = vrrp.VrrpState.INIT
        self.number = 0
        self.life = f"life of {node}"

    def goes(self, at_ms: float, state: vrrp.VrrpState, cause: str, **inputs: str) -> None:
        self.number += 1
        at_ns = T_NS + round(at_ms * MS) + self.ahead_ns
        step = vrrp.Transition(
            number=self.number, from_state=self.state, to_state=state, at_ns=at_ns, cause=cause, inputs=inputs
        )  # fmt: skip
        self.state = state
        self._write(vrrp.Transitioned(instance="VI_1", life=self.life, transition=step), at_ns)
        own = state is MASTER
        self._write(
            vrrp.Instance(
                name="VI_1", interface="eth0", family="IPv4", virtual_router_id=1, version=2, life=self.life,
                state=state, transitions=self.number, since_ns=at_ns, cause=cause, base_priority=100,
                effective_priority=100, advert_interval_us=1, master_down_interval_us=3,
                master_address=ADDRESS[self.node] if own else inputs.get("master_address", ""),
                master_priority=0, virtual_addresses=(), holds_addresses=own, lease_us=0,
            ),
            at_ns,
        )  # fmt: skip

    def _write(self, body: Body, at_ns: int) -> None:
        number = len(self.account.entries) + 1
        self.account.entries.append(
            Entry(topic_of(body, "vrrp"), f"{self.node}/vrrp/b/{number}", "", at_ns, body)
        )

    def save(self, path: Path) -> None:
        lines = []
        for number, entry in enumerate(self.account.entries, 1):
            header = Header(1, self.node, "vrrp", "b", number, 1, entry.at_ns, entry.at_ns, "")
            lines.append(
                record.encode(record.of_message(Message(entry.topic, header, entry.body), entry.at_ns))
            )
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def failover(ahead_ms: float = 0) -> tuple[Diary, Diary]:
    """lb1 resigns, lb2 takes over, lb1 comes back; adverts take 1 ms."""
    lb1, lb2 = Diary("lb1"), Diary("lb2", ahead_ms)
    lb1.goes(0, MASTER, "first")
    lb2.goes(10, BACKUP, "started", master_address="10.0.0.1")
    lb1.goes(1000, STOP, "stopped")
    lb2.goes(
        1601, MASTER, "10.0.0.1 released (priority 0), no other advert",
        master_address="10.0.0.1", last_advert_age_us="600000",
    )  # fmt: skip
    lb1.goes(5000, BACKUP, "started")
    lb1.goes(8000, MASTER, "10.0.0.2 advertises priority 100, lower", master_address="10.0.0.2")
    lb2.goes(8001, BACKUP, "10.0.0.1 advertises priority 150, higher", master_address="10.0.0.1")
    return lb1, lb2


def told(*diaries: Diary) -> Together:
    return join("VI_1", [each.account for each in diaries], T_NS + 60_000 * MS)


def order(together: Together) -> list[tuple[str, int, str, str]]:
    """Node, milliseconds, new state, and what led to it."""
    return [
        (
            scene.node,
            round((scene.at_ns - T_NS) / MS),
            scene.chapter.transition.to_state.value,
            f"{scene.led.node} {scene.led.words} {scene.led.chapter.transition.number}" if scene.led else "",
        )
        for scene in together.scenes
    ]


@pytest.mark.parametrize("ahead_ms", [0, 3, -40, 2500, -7000, 50_000])
def test_the_story_is_the_same_whatever_the_clocks_say(ahead_ms: float) -> None:
    together = told(*failover(ahead_ms))
    skew = together.skews["lb2"]
    # Both adverts that lb2 heard took 1 ms; nothing tells that they did.
    assert skew.ahead_ns == (ahead_ms + 1) * MS
    assert abs(skew.ahead_ns - ahead_ms * MS) <= skew.within_ns
    assert order(together) == [
        ("lb1", 0, "MASTER", ""),
        ("lb2", 9, "BACKUP", ""),
        ("lb1", 1000, "STOP", ""),
        ("lb2", 1600, "MASTER", "lb1 left MASTER 2"),
        ("lb1", 5000, "BACKUP", ""),
        ("lb1", 8000, "MASTER", ""),
        ("lb2", 8000, "BACKUP", "lb1 became MASTER 4"),
    ]
    assert [(found.nodes, found.until_ns - found.from_ns) for found in together.findings] == [((), 600 * MS)]


def test_adverts_in_both_directions_bound_the_clock_from_both_sides() -> None:
    lb1, lb2 = failover(300)
    lb2.goes(9000, STOP, "stopped")
    lb1.goes(10_000, BACKUP, "10.0.0.2 advertises priority 200, higher", master_address="10.0.0.2")
    lb2.goes(9995, MASTER, "no advert")
    skew = told(lb1, lb2).skews["lb2"]
    # lb1 heard after 5 ms what lb2 did: 295 to 301 ms.
    assert (skew.ahead_ns, skew.within_ns) == (298 * MS, 3 * MS)


def test_the_fastest_advert_of_each_direction_bounds_the_clock() -> None:
    one = Notes(
        {"10.0.0.1"},
        {"became": {T_NS, T_NS + 100_000 * MS}},
        {("became", "10.0.0.2"): {T_NS + 200_005 * MS, T_NS + 300_008 * MS}},
    )
    other = Notes(
        {"10.0.0.2"},
        {"became": {T_NS + 200_300 * MS, T_NS + 300_300 * MS}},
        {("became", "10.0.0.1"): {T_NS + 301 * MS, T_NS + 100_303 * MS}},
    )
    skew = between(one, other)
    assert skew is not None
    # At most 301 ms, for no advert is heard before it was sent, and at least 295 ms.
    assert (skew.ahead_ns, skew.within_ns, skew.adverts) == (298 * MS, 3 * MS, 4)


def test_two_notes_hours_apart_do_not_belong_together() -> None:
    one = Notes({"10.0.0.1"}, {"became": {T_NS}}, {})
    other = Notes({"10.0.0.2"}, {}, {("became", "10.0.0.1"): {T_NS + 7_200_000 * MS}})
    assert between(one, other) is None
    assert between(other, one) is None


def test_a_clock_that_is_hours_off_takes_three_adverts() -> None:
    moments = [0, 70_000, 100_000]
    one = Notes({"10.0.0.1"}, {"became": {T_NS + each * MS for each in moments}}, {})
    heard = {T_NS + (each + 7_200_001) * MS for each in moments}
    skew = between(one, Notes(set(), {}, {("became", "10.0.0.1"): heard}))
    assert skew is not None
    assert (skew.ahead_ns, skew.adverts) == (7_200_001 * MS, 3)


def test_without_evidence_nothing_is_said_of_the_clock_and_small_overlaps_are_no_conflict() -> None:
    lb1, lb2 = Diary("lb1"), Diary("lb2", 500)
    lb1.goes(0, MASTER, "first")
    lb1.goes(5000, STOP, "stopped")
    lb2.goes(4600, MASTER, "no advert")
    lb2.goes(9000, STOP, "stopped")
    together = told(lb1, lb2)
    assert together.skews.keys() == {"lb1"}
    assert together.findings == []
    page = "\n".join(several.as_text(together, Findings(), T_NS, Paint(False), None))
    assert "nothing tells how lb2's goes beside lb1's" in page


def test_two_masters_are_told_with_how_long() -> None:
    lb1, lb2 = failover(20)
    lb2.goes(20_000, MASTER, "no advert for 3.6 s", master_address="10.0.0.1")
    lb2.goes(23_001, BACKUP, "10.0.0.1 advertises priority 150, higher", master_address="10.0.0.1")
    lb1.goes(30_000, STOP, "stopped")
    together = told(lb1, lb2)
    (conflict,) = [found for found in together.findings if found.nodes]
    assert conflict.nodes == ("lb1", "lb2")
    assert conflict.until_ns - conflict.from_ns == 3001 * MS
    second = next(line for line in order(together) if line[1] == 19_999)
    assert second[3] == "lb1 was MASTER, too: it became so 4"
    page = "\n".join(several.as_text(together, Findings(), T_NS, Paint(False), None))
    assert "! two masters, lb1 and lb2, for 3.0 s" in page


def test_a_reign_whose_end_nobody_wrote_makes_no_findings() -> None:
    lb1, lb2 = failover()
    lb1.life = "another life"
    lb1.number = 0
    lb1.goes(20_000, BACKUP, "started")
    lb2.goes(12_000, MASTER, "no advert for 3.6 s", master_address="10.0.0.1")
    assert [found.nodes for found in told(lb1, lb2).findings] == [()]


def test_the_last_transitions_of_each_node() -> None:
    together = told(*failover())
    together.keep(1)
    assert [(node, at) for node, at, _, _ in order(together)] == [("lb1", 8000), ("lb2", 8000)]


def test_three_nodes_are_compared_over_the_one_that_both_heard() -> None:
    ADDRESS["lb3"] = "10.0.0.3"
    lb1, lb2 = failover(100)
    lb3 = Diary("lb3", 250)
    lb3.goes(20_000, MASTER, "no advert", master_address="10.0.0.2")
    lb2.goes(20_001, BACKUP, "noted", master_address="10.0.0.3")
    lb3.goes(21_000, STOP, "stopped")
    lb2.goes(
        21_601, MASTER, "10.0.0.3 released (priority 0)",
        master_address="10.0.0.3", last_advert_age_us="600000",
    )  # fmt: skip
    skew = told(lb1, lb2, lb3).skews["lb3"]
    assert abs(skew.ahead_ns - 250 * MS) <= skew.within_ns


# The command


def explain(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = main(["explain", *words])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_files_and_directories_of_several_nodes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lb1, lb2 = failover(300)
    (tmp_path / "two").mkdir()
    lb1.save(tmp_path / "one.jsonl")
    lb2.save(tmp_path / "two" / "journal.jsonl")
    status, out, err = explain(capsys, "VI_1", str(tmp_path / "one.jsonl"), str(tmp_path / "two"))
    assert (status, err) == (0, "")
    assert "clocks: lb2's is 301 ms ahead of lb1's, within 10 ms, by 2 adverts; all times are lb1's" in out
    assert "after     lb1 left MASTER 600 ms before, by its transition 2: stopped" in out
    assert "! nobody is master for 600 ms" in out
    status, out, _ = explain(capsys, "--json", "VI_1", str(tmp_path / "one.jsonl"), str(tmp_path / "two"))
    data = json.loads(out)
    assert list(data["nodes"]) == ["lb1", "lb2"]
    assert data["nodes"]["lb2"]["clock"]["ahead_ns"] == 301 * MS
    assert [step["led"]["words"] for step in data["transitions"] if step["led"]] == [
        "left MASTER",
        "became MASTER",
    ]


def test_run_directories_whose_nodes_have_one_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lb1, lb2 = failover()
    lb2.node = "lb1"
    for name, diary in (("a", lb1), ("b", lb2)):
        (tmp_path / name / "audit").mkdir(parents=True)
        diary.account.entries = [
            Entry(each.topic, f"lb1/vrrp/{name}/{number}", "", each.at_ns, each.body)
            for number, each in enumerate(diary.account.entries)
        ]
        diary.save(tmp_path / name / "audit" / "journal.jsonl")
    status, out, _ = explain(capsys, "VI_1", "-r", str(tmp_path / "a"), "-r", str(tmp_path / "b"))
    assert status == 0
    assert f"VI_1 on lb1 ({tmp_path / 'a'}): from its journal alone" in out
    assert f"VI_1 on lb1 ({tmp_path / 'b'}): from its journal alone" in out


def test_one_file_alone_is_the_story_of_one_node(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    failover()[0].save(tmp_path / "one.jsonl")
    status, out, _ = explain(capsys, "VI_1", str(tmp_path / "one.jsonl"))
    assert status == 0
    assert out.startswith("VI_1: the node does not run; this is from its journal\n")


def test_mistakes_are_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    failover()[0].save(tmp_path / "one.jsonl")
    (tmp_path / "empty").mkdir()
    missing = tmp_path / "nothing.jsonl"
    assert explain(capsys, "VI_1", str(missing)) == (
        1, "", f"keepbus: the journal cannot be read: No such file or directory: {missing}\n",
    )  # fmt: skip
    status, _, err = explain(capsys, "VI_1", str(tmp_path / "empty"))
    assert (status, err.count("\n")) == (1, 1)
    assert "has no journal.jsonl; name an audit journal or a directory with one" in err
    status, _, err = explain(capsys, "VI_2", str(tmp_path / "one.jsonl"))
    assert (status, err) == (1, "keepbus: there is no instance VI_2; did you mean VI_1? Known: VI_1\n")


def test_two_copies_of_one_journal_tell_everything_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failover()[0].save(tmp_path / "one.jsonl")
    shutil.copy(tmp_path / "one.jsonl", tmp_path / "copy.jsonl")
    _, out, _ = explain(capsys, "VI_1", str(tmp_path / "copy.jsonl"), str(tmp_path / "one.jsonl"))
    assert out.count("MASTER → STOP") == 1
