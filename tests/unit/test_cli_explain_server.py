"""`keepbus explain SERVER`: the story of a real or virtual server from its journal."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import pytest

from keepbus.cli.__main__ import main
from keepbus.cli.explain_server import as_json, as_text
from keepbus.cli.journal import Entry
from keepbus.cli.server_story import Story, names_a_server, tell
from keepbus.cli.terminal import Paint, visible
from keepbus.contracts import checker, ipvs, notify, record
from keepbus.contracts.checker import Evidence, Verdict
from keepbus.contracts.message import Body, Header, Message, topic_of

T_NS = 1_795_361_366_000_000_000
MS = 1_000_000
A, B = "10.0.0.1:80", "10.0.0.2:80"
VS = "[10.0.0.100]:tcp:80"
REFUSED = Evidence(sent="TCP connect", received="connection refused", took_us=300, at_ns=T_NS)
NUMBERS = itertools.count(1)


def entry(body: Body, at_ms: int, cause: str = "") -> Entry:
    return Entry(topic_of(body, "x"), f"d1/x/boot/{next(NUMBERS)}", cause, T_NS + at_ms * MS, body)


def real(address: str, verdict: Verdict = Verdict.UP) -> ipvs.RealServer:
    return ipvs.RealServer(
        address=address, configured_weight=1, weight=1, verdict=verdict, in_table=True, since_ns=T_NS,
        checks=(f"TCP_CHECK:{address}",), reason="TCP_CHECK is what it is",
    )  # fmt: skip


def virtual(*servers: ipvs.RealServer, name: str = VS, address: str = "10.0.0.100:80") -> ipvs.VirtualServer:
    return ipvs.VirtualServer(
        name=name, address=address, protocol="TCP", scheduler="rr", forwarding="NAT", persistence_timeout_s=0,
        quorum=1, quorum_up=True, weight_up=2, changes=0, since_ns=T_NS, sorry_server="",
        sorry_server_active=False, real_servers=servers,
    )  # fmt: skip


def verdict(address: str, said: Verdict = Verdict.DOWN) -> checker.CheckVerdict:
    return checker.CheckVerdict(
        check=f"TCP_CHECK:{address}", kind="TCP_CHECK", target=address, verdict=said, changes=1,
        since_ns=T_NS, probes=40, failures=3, evidence=REFUSED,
    )  # fmt: skip


def journal() -> list[Entry]:
    """A dies after two attempts, its quorum with it; somebody else changes the table; B is drained."""
    table = entry(virtual(real(A), real(B)), 0)
    probe = entry(
        checker.ProbeFailed(check=f"TCP_CHECK:{A}", target=A, attempt=1, attempts=2, evidence=REFUSED), 100
    )
    dead = entry(verdict(A), 1100)
    return [
        table,
        entry(verdict(B, Verdict.UP), 50),
        probe,
        dead,
        entry(
            ipvs.RealServerChanged(virtual_server=VS, real_server=A, up=False, reason="refused"),
            1101,
            dead.id,
        ),
        entry(
            ipvs.QuorumChanged(virtual_server=VS, up=False, weight_up=0, quorum=1, reason="quorum lost"),
            1102,
            dead.id,
        ),
        entry(
            ipvs.Changed(
                virtual_server=VS, action="remove", what=f"-d -t 10.0.0.100:80 -r {A}", reason="refused"
            ),
            1103,
            dead.id,
        ),
        entry(
            ipvs.Drift(virtual_server=VS, found="no service", repaired=f"-a -t 10.0.0.100:80 -r {B} -m -w 1"),
            5000,
        ),
        entry(ipvs.DrainChanged(real_server=B, virtual_servers=(VS,), drained=True), 6000),
        entry(
            notify.ScriptRun(
                name=f"VS {VS}", life="l", number=1, state="QUORUM_DOWN", script="quorum_down",
                command=("/bin/page",), user="nobody", started_ns=T_NS, took_us=2000, exit_status=3,
                timed_out=False, late=False,
            ),
            1200,
        ),
    ]  # fmt: skip


def text(story: Story, width: int | None = None) -> list[str]:
    return list(as_text(story, T_NS + 10_000 * MS, Paint(False), width))


@pytest.mark.parametrize(
    "name",
    [A, "10.0.0.1", "2001:db8::1", "[2001:db8::1]:80", VS, "[web]:1", "fwmark 7", "FWM 7 inet6", "group web"],
)
def test_names_of_servers(name: str) -> None:
    assert names_a_server(name)


@pytest.mark.parametrize("name", ["VI_1", "web", "VI:1", "10", "lb1.example:80", ""])
def test_names_of_instances(name: str) -> None:
    assert not names_a_server(name)


class TestRealServer:
    def test_verdict_with_its_evidence_and_what_it_led_to(self) -> None:
        story = tell(A, journal(), {})
        lines = text(story)
        assert lines[0] == f"{A} is up for 10 s in {VS}: TCP_CHECK is what it is"
        chapters = [line for line in lines[1:] if line]
        assert "a probe of 10.0.0.1:80 failed, 1 of 2: TCP connect: connection refused, 0.3 ms" in chapters[0]
        assert "TCP_CHECK 10.0.0.1:80 is down: TCP connect: connection refused, 0.3 ms" in chapters[1]
        assert chapters[2] == f"  then      +1.0 ms  {A} is down in {VS}: refused"
        assert chapters[3] == f"            +2.0 ms  {VS}: quorum lost"
        assert chapters[4] == f"            +3.0 ms  ipvsadm -d -t 10.0.0.100:80 -r {A}: refused"
        assert "quorum_down failed with status 3" in chapters[5]
        assert len(chapters) == 6

    def test_sorry_server_that_answers_in_its_place(self) -> None:
        down = replace(
            virtual(real(A, Verdict.DOWN)), quorum_up=False, weight_up=0, sorry_server="10.0.0.9:80",
            sorry_server_active=True,
        )  # fmt: skip
        sentence = f"{VS} is down for 10 s, weight 0 of quorum 1"
        assert text(tell(VS, [], {VS: down}))[0] == f"{sentence}, 10.0.0.9:80 answers as its sorry server"
        down = replace(down, sorry_server_active=False)
        assert text(tell(VS, [], {VS: down}))[0] == sentence

    def test_drift_and_draining_are_told_of_the_server_that_they_concern(self) -> None:
        told = "\n".join(text(tell(B, journal(), {})))
        assert f"somebody else changed {VS} to no service; put back" in told
        assert f"{B}: an operator drained it in {VS}" in told
        assert "is down" not in told

    def test_address_alone_means_every_port_of_it(self) -> None:
        assert (
            as_json(tell("10.0.0.1", journal(), {}))["chapters"]
            == as_json(tell(A, journal(), {}))["chapters"]
        )
        assert tell("10.0.0.1", [entry(virtual(real("10.0.0.10:80"), real("10.0.0.11:1")), 0)], {}).uses == []

    def test_live_state_goes_before_the_journal(self) -> None:
        story = tell(A, journal(), {VS: virtual(real(A, Verdict.DOWN), real(B))})
        assert text(story)[0].startswith(f"{A} is down for")

    def test_server_of_another_virtual_server_is_left_out(self) -> None:
        other = entry(
            ipvs.QuorumChanged(virtual_server="[x]:1", up=False, weight_up=0, quorum=1, reason="lost"), 0
        )
        assert all(chapter.head is not other for chapter in tell(A, [*journal(), other], {}).chapters)


class TestVirtualServer:
    @pytest.mark.parametrize("asked", [VS, "10.0.0.100:80", "10.0.0.100"])
    def test_everything_about_its_servers(self, asked: str) -> None:
        lines = text(tell(asked, journal(), {}))
        assert lines[0] == f"{VS} is up for 10 s, weight 2 of quorum 1"
        told = "\n".join(lines)
        for words in ("connection refused", "quorum lost", "put back", "drained", "quorum_down"):
            assert words in told

    def test_narrow_terminal(self) -> None:
        assert all(visible(line) <= 60 for line in text(tell(VS, journal(), {}), 60)[1:])


class TestCommand:
    def write(self, tmp_path: Path) -> Path:
        (tmp_path / "audit").mkdir()
        lines = []
        for number, told in enumerate(journal(), 1):
            header = Header(1, "d1", "x", "boot", number, 1, told.at_ns, told.at_ns, "")
            lines.append(record.encode(record.of_message(Message(told.topic, header, told.body), told.at_ns)))
        (tmp_path / "audit" / "journal.jsonl").write_text("\n".join(lines) + "\n")
        return tmp_path

    def test_from_a_run_directory_whose_node_does_not_run(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["explain", A, "-r", str(self.write(tmp_path)), "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert [use["virtual_server"] for use in told["real_servers"]] == [VS]
        assert told["chapters"][0]["attempt"] == 1

    def test_from_a_copied_journal_and_only_the_last(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        place = self.write(tmp_path) / "audit" / "journal.jsonl"
        assert main(["explain", A, str(place), "-n", "1", "--json"]) == 0
        assert len(json.loads(capsys.readouterr().out)["chapters"]) == 1

    def test_unknown_server_is_refused_with_what_it_may_have_been(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["explain", "10.0.0.3:80", "-r", str(self.write(tmp_path))]) == 1
        error = capsys.readouterr().err
        assert error.startswith(
            "keepbus: no virtual or real server 10.0.0.3:80 is known; did you mean 10.0.0."
        )
