"""What goes into the journal, and what does not."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from keepbus_audit.effects import Append, Open
from keepbus_audit.events import Opened, Wrote
from keepbus_audit.machine import STATISTICS_NS, TELL_NS, Machine

from keepbus.contracts import vrrp
from keepbus.contracts.audit import Journal
from keepbus.contracts.common import Gap, Service, Status
from keepbus.contracts.message import Body, Header, Message, topic_of
from keepbus.contracts.watchdog import Death
from keepbus.runtime.machine import BusMessage, Exit, Log, Publish, Report, StopRequested

FINE = Wrote(octets=100, rotations=0, lost=0, error="")
FULL = Wrote(octets=100, rotations=0, lost=3, error="No space left on device")
BEAT = Service(pid=7, started_ns=1, generation=3, status=Status.READY, detail="fine", progress=1)


class Play:
    """A machine whose journal is open."""

    def __init__(self) -> None:
        self.machine = Machine()
        self.now_ns = 1_000_000_000_000
        self.seq = 0
        self.first = self.turn()
        self.turn(Opened("/run/x/audit/journal.jsonl", 5), FINE)

    def turn(self, *events: Any, after_ns: int = 0) -> list[Any]:
        self.now_ns += after_ns
        self.effects = list(self.machine.turn(self.now_ns, events))
        return self.effects

    def hears(
        self, *bodies: Body | None, source: str = "vrrp", topic: str = "", after_ns: int = 0
    ) -> list[Any]:
        events = []
        for body in bodies:
            self.seq += 1
            header = Header(
                1, "d1", source, "b", self.seq, self.seq, 1_795_361_366_348_782_000, 20, "d1/vrrp/b/9"
            )
            events.append(BusMessage(Message(topic or topic_of(body, source), header, body), 30))
        self.turn(*events, after_ns=after_ns)
        return self.lines()

    def lines(self) -> list[Any]:
        return [
            json.loads(line) for effect in self.effects if type(effect) is Append for line in effect.lines
        ]


def test_first_the_journal_is_opened_and_says_so() -> None:
    play = Play()
    assert play.first == [Open()]
    assert play.lines() == [{"time": "1970-01-01T00:00:00.000000Z", "opened": True}]
    (report,) = [effect for effect in play.effects if type(effect) is Report]
    assert report == Report(Status.READY, "writes /run/x/audit/journal.jsonl")


def test_a_message_is_a_line_with_all_of_its_header() -> None:
    play = Play()
    assert play.hears(Death(service="vrrp", pid=4711), source="watchdog") == [
        {
            "time": "2026-11-22T15:29:26.348782Z",
            "topic": "event/watchdog/death/vrrp",
            "id": "d1/watchdog/b/1",
            "cause": "d1/vrrp/b/9",
            "at": 1_795_361_366_348_782_000,
            "sent": 20,
            "received_at": 30,
            "body": {"service": "vrrp", "pid": 4711},
        }
    ]


def test_all_messages_of_a_turn_are_one_append_in_their_order() -> None:
    play = Play()
    lines = play.hears(Death(service="a", pid=1), Death(service="b", pid=2), source="watchdog")
    assert [line["body"]["service"] for line in lines] == ["a", "b"]
    assert len([effect for effect in play.effects if type(effect) is Append]) == 1


def test_a_withdrawal_has_no_body() -> None:
    play = Play()
    (line,) = play.hears(None, topic="state/vrrp/instance/VI_1")
    assert line["body"] is None


def test_a_heartbeat_is_written_only_when_it_says_something_new() -> None:
    play = Play()
    assert len(play.hears(BEAT)) == 1
    assert play.hears(dataclasses.replace(BEAT, progress=2, lateness_us_max=9)) == []
    for change in ({"status": Status.DEGRADED}, {"detail": "less fine"}, {"generation": 4}, {"pid": 8}):
        assert len(play.hears(dataclasses.replace(BEAT, **change))) == 1, change
        assert len(play.hears(BEAT)) == 1
    assert len(play.hears(BEAT, source="checker")) == 1


def test_statistics_are_written_once_a_minute_per_topic() -> None:
    play = Play()
    assert len(play.hears(vrrp.Statistics(name="VI_1"))) == 1
    assert len(play.hears(vrrp.Statistics(name="VI_2"))) == 1
    assert play.hears(vrrp.Statistics(name="VI_1", adverts_sent=5), after_ns=STATISTICS_NS - 1) == []
    assert len(play.hears(vrrp.Statistics(name="VI_1", adverts_sent=6), after_ns=1)) == 1


def test_a_hole_that_audit_found_is_a_gap_line() -> None:
    play = Play()
    gap = Gap(topic="state/vrrp/instance/VI_1", source="vrrp", boot="b", lost=3, after_nth=7)
    (line,) = play.hears(gap, source="audit")
    assert line == {"time": "2026-11-22T15:29:26.348782Z", "gap": dataclasses.asdict(gap)}
    (line,) = play.hears(gap, source="notify")
    assert line["topic"] == "event/notify/gap"


def test_a_full_disk_degrades_it_at_once_and_is_said_once() -> None:
    play = Play()
    play.turn(FULL)
    (report,) = [effect for effect in play.effects if type(effect) is Report]
    assert report.status is Status.DEGRADED
    assert "No space left on device" in report.detail
    (journal,) = [effect.body for effect in play.effects if type(effect) is Publish]
    assert (journal.lost, journal.error) == (3, "No space left on device")
    play.turn(FULL._replace(lost=9))
    assert not any(type(effect) in (Report, Log) for effect in play.effects)
    play.turn(FULL._replace(error="", lost=9))
    assert Report(Status.READY, "writes /run/x/audit/journal.jsonl") in play.effects
    assert any("9 lines are missing" in effect.text for effect in play.effects if type(effect) is Log)


def test_its_own_state_is_told_now_and_then() -> None:
    play = Play()
    play.hears(Death(service="a", pid=1), source="watchdog")
    play.turn(FINE._replace(octets=200))
    assert play.effects == []
    assert play.machine.wake_at_ns() is not None
    play.turn(after_ns=TELL_NS)
    (journal,) = [effect.body for effect in play.effects if type(effect) is Publish]
    assert journal == Journal(
        path="/run/x/audit/journal.jsonl", lines=2, octets=200, rotations=0, lost=0, error=""
    )
    assert play.machine.wake_at_ns() is None


def test_what_came_before_the_end_is_still_written() -> None:
    play = Play()
    header = Header(1, "d1", "watchdog", "b", 1, 1, 1, 1, "")
    message = Message("event/watchdog/death/a", header, Death(service="a", pid=1))
    play.turn(StopRequested(1), BusMessage(message, 2))
    assert [type(effect) for effect in play.effects] == [Append, Exit]


def test_the_last_moment_of_the_clock_has_a_date() -> None:
    play = Play()
    header = Header(1, "d1", "watchdog", "b", 1, 1, (1 << 64) - 1, 1, "")
    play.turn(BusMessage(Message("event/watchdog/death/a", header, Death(service="a", pid=1)), 2))
    assert play.lines()[0]["time"] == "2554-07-21T23:34:33.709551Z"
