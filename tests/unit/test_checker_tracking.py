"""What checker says of scripts, processes and files that virtual routers track (features 7.2 to 7.4)."""

from __future__ import annotations

from typing import Any

import pytest
from checker_play import Play
from keepbus_checker.effects import WatchProcesses
from keepbus_checker.events import FileRead, Outcome, ProcessesCounted
from keepbus_checker.trackers import ScriptTracker

from keepbus.config.model.checker import TrackedFile
from keepbus.config.model.scripts import Script
from keepbus.config.model.tracking import TrackProcess, TrackScript
from keepbus.contracts.checker import Tracker, Verdict
from keepbus.runtime.machine import StopRequested

PASSED, FAILED, LOCAL = Outcome.PASSED, Outcome.FAILED, Outcome.LOCAL


def script(name: str = "chk", argv: tuple[str, ...] = ("/bin/chk",), **fields: Any) -> TrackScript:
    given = {"interval_us": 2_000_000, "timeout_us": 1_000_000, **fields}
    return TrackScript(name=name, script=Script(argv=argv), **given)


def process(**fields: Any) -> TrackProcess:
    return TrackProcess(name="nginx", path="nginx", **fields)


def file(path: str = "/run/tf", **fields: Any) -> TrackedFile:
    return TrackedFile(name="tf", path=path, **fields)


def playing(*scripts: TrackScript, **others: Any) -> Play:
    """A first process that heard nothing from an earlier one."""
    return Play().configure(track_scripts=scripts, **others)


def told(play: Play, tracker: str = "script:chk") -> list[tuple[float, str, int]]:
    """Moment, verdict and value of everything that was told of a tracker."""
    return [
        (at, body.verdict.value, body.value)
        for at, body in play.published
        if isinstance(body, Tracker) and body.tracker == tracker
    ]


def word(tracker: str, verdict: Verdict = Verdict.UP, **fields: Any) -> Tracker:
    """What an earlier process said."""
    kind, name = tracker.split(":")
    given = {"changes": 3, "since_ns": 77, **fields}
    return Tracker(tracker=tracker, kind=kind, name=name, verdict=verdict, **given)


def run(play: Play, *outcomes: Outcome) -> None:
    """Let a script of 2 s end so, each run half a second after its start."""
    for outcome in outcomes:
        if not play.running:
            play.until(play.seconds // 2 * 2 + 2.5 if play.seconds >= 0.5 else 0.5)
        play.script_ends(outcome)


# The table of features 7.2: rise 3, fall 2. The count goes to 4.
@pytest.mark.parametrize(
    ("outcomes", "counts"),
    [
        ("p", [4]),
        ("f", [0]),
        ("pfp", [4, 3, 4]),
        ("pff", [4, 3, 0]),
        ("fp", [0, 1]),
        ("fpp", [0, 1, 2]),
        ("fppp", [0, 1, 2, 4]),
        ("fppf", [0, 1, 2, 0]),
        ("pffpfpppf", [4, 3, 0, 1, 0, 1, 2, 4, 3]),
    ],
)
def test_rise_and_fall(outcomes: str, counts: list[int]) -> None:
    tracker = ScriptTracker(script(rise=3, fall=2), 0)
    found = []
    for outcome in outcomes:
        tracker.count(outcome == "p")
        found.append(tracker.value)
        assert (tracker.verdict is Verdict.UP) is (tracker.value >= 3)
    assert found == counts


def test_one_result_decides_at_first() -> None:
    """Features 7.2: either way, whatever rise and fall are."""
    play = playing(script(rise=9, fall=9))
    run(play, FAILED)
    assert told(play) == [(0.5, "down", 0)]


def test_it_runs_every_interval_and_a_slot_that_finds_it_running_is_left_out() -> None:
    play = playing(script(timeout_us=9_000_000)).until(0.5)
    (effect,) = play.running.values()
    assert effect.command.script.argv == ("/bin/chk",)
    play.until(3)
    assert len(play.running) == 1
    play.script_ends(PASSED)
    assert not play.running
    play.until(4.4)
    assert not play.running
    play.until(4.5)
    assert len(play.running) == 1


def test_a_failure_beyond_fall_is_told_with_its_evidence() -> None:
    play = playing(script()).until(0.5)
    play.script_ends(PASSED, "exit status 0")
    play.until(2.5)
    play.script_ends(FAILED, "exit status 1: backend gone")
    assert told(play) == [(0.5, "up", 1), (2.5, "down", 0)]
    body = play.bodies(Tracker)[-1]
    assert (body.runs, body.failures, body.changes) == (2, 1, 2)
    assert body.evidence.received == "exit status 1: backend gone"
    assert body.evidence.sent == "/bin/chk"
    assert body.since_ns == play.wall_ns


def test_what_stays_is_told_anew_every_five_seconds() -> None:
    play = playing(script(interval_us=1_000_000))
    for _ in range(12):
        run_at = play.seconds + (0.5 if not play.published else 1)
        play.until(run_at)
        play.script_ends(PASSED)
    assert [at for at, *_ in told(play)] == [0.5, 5.5, 10.5]


def test_over_its_time_it_fails_at_once_and_is_ended() -> None:
    """R-F80: SIGTERM, SIGKILL 2 s later and every 10 s after."""
    play = playing(script()).until(0.5)
    play.script_ends(PASSED)
    play.until(30)
    (number,) = play.running
    assert told(play)[-1] == (3.5, "down", 0)
    assert play.signalled == [
        (3.5, number, False),
        (5.5, number, True),
        (15.5, number, True),
        (25.5, number, True),
    ]
    body = play.bodies(Tracker)[-1]
    assert body.evidence.received == "not ended within 1 s"
    play.script_ends(FAILED, "ended by SIGKILL")
    assert play.bodies(Tracker)[-1].failures == 1
    play.until(30.5)
    assert len(play.running) == 1


def test_what_this_host_cannot_run_counts_for_nothing() -> None:
    """R-F44: counted, told, and no verdict falls; who waits for the first one is told that none comes."""
    play = playing(script()).until(0.5)
    play.script_ends(LOCAL, "no such user")
    assert told(play) == [(0.5, "unknown", 0)]
    play.until(2.5)
    play.script_ends(PASSED)
    assert told(play)[-1] == (2.5, "up", 1)
    for second in (4.5, 6.5, 8.5):
        play.until(second)
        play.script_ends(LOCAL, "no such user")
    assert [verdict for _, verdict, _ in told(play)] == ["unknown", "up"]


def test_a_new_process_goes_on_with_verdict_and_count() -> None:
    """A restart must not make one failure enough where three are configured."""
    play = playing(script(rise=2, fall=3, interval_us=60_000_000)).until(0.2)
    play.hear(word("script:chk", value=4, runs=100, failures=7))
    assert told(play) == [(0.2, "up", 4)]
    play.until(0.3).script_ends(FAILED)
    play.until(7)
    body = play.bodies(Tracker)[-1]
    assert (body.verdict, body.value, body.runs, body.since_ns) == (Verdict.UP, 3, 101, 77)


def test_it_runs_at_once_when_nothing_is_heard_for_half_a_second() -> None:
    play = playing(script()).until(0.49)
    assert not play.running
    play.until(0.5)
    assert len(play.running) == 1


def test_what_is_heard_late_changes_no_result() -> None:
    play = playing(script())
    run(play, FAILED)
    play.hear(word("script:chk", value=1))
    assert told(play) == [(0.5, "down", 0)]


def test_reload_leaves_alone_what_stays() -> None:
    """Features 7.2: the same command keeps its state, with its count fitted to other limits."""
    play = playing(script(rise=2, fall=3))
    run(play, PASSED, FAILED)
    assert told(play)[0] == (0.5, "up", 4)
    play.configure(track_scripts=(script(rise=4, fall=2),))
    assert len(told(play)) == 1
    run(play, FAILED)
    run(play, FAILED)
    assert told(play)[-1][1] == "down"


def test_reload_with_another_command_begins_anew_at_once() -> None:
    play = playing(script(rise=5, fall=5))
    run(play, PASSED)
    play.configure(track_scripts=(script(argv=("/bin/other",), rise=5, fall=5),)).until(play.seconds)
    assert [effect.command.script.argv for effect in play.running.values()] == [("/bin/other",)]
    play.script_ends(FAILED)
    assert told(play)[-1] == (0.5, "down", 0)
    assert play.withdrawn == []


def test_what_is_not_tracked_any_more_is_ended_and_withdrawn() -> None:
    play = playing(script()).until(0.5)
    (number,) = play.running
    play.configure()
    assert play.signalled == [(0.5, number, True)]
    assert play.withdrawn == ["state/checker/tracker/script:chk"]
    play.script_ends(PASSED)
    assert told(play) == []


def test_the_end_ends_what_runs_and_withdraws_nothing() -> None:
    play = playing(script()).until(0.5)
    (number,) = play.running
    play.feed(StopRequested(play.wall_ns))
    assert play.signalled == [(0.5, number, True)]
    assert play.withdrawn == []


# Processes


def counted(play: Play, number: int | None, error: str = "") -> None:
    play.feed(ProcessesCounted("nginx", number, error, play.wall_ns))


def test_processes_are_looked_for_after_the_earlier_process_was_heard() -> None:
    play = playing(track_processes=(process(),)).until(0.49)
    assert not [each for each in play.others if isinstance(each, WatchProcesses)]
    play.until(0.5)
    (effect,) = [each for each in play.others if isinstance(each, WatchProcesses)]
    assert effect.processes == (process(),)


@pytest.mark.parametrize(("number", "verdict"), [(1, "down"), (2, "up"), (4, "up"), (5, "down")])
def test_a_quorum_is_met_between_its_limits(number: int, verdict: str) -> None:
    play = playing(track_processes=(process(quorum=2, quorum_max=4),)).until(0.5)
    counted(play, number)
    assert told(play, "process:nginx") == [(0.5, verdict, number)]


def test_delays() -> None:
    """Features 7.4: reaching the other side in time cancels the delay; the first count needs none."""
    play = playing(track_processes=(process(fork_delay_us=2_000_000, terminate_delay_us=3_000_000),))
    play.until(1)
    counted(play, 0)
    assert told(play, "process:nginx") == [(1, "down", 0)]
    play.until(2)
    counted(play, 1)
    play.until(3)
    counted(play, 0)
    play.until(5)
    counted(play, 1)
    play.until(7)
    assert [each for each in told(play, "process:nginx") if each[1] == "up"] == [(7, "up", 1)]
    counted(play, 0)
    play.until(20)
    assert next(at for at, verdict, _ in told(play, "process:nginx") if at > 7 and verdict == "down") == 10


def test_processes_that_are_hidden_count_for_nothing() -> None:
    play = playing(track_processes=(process(),)).until(0.5)
    counted(play, None, "hidden")
    assert told(play, "process:nginx") == [(0.5, "unknown", 0)]


def test_a_pending_delay_does_not_outlive_a_restart_as_a_verdict() -> None:
    play = playing(track_processes=(process(terminate_delay_us=3_000_000),)).until(0.1)
    play.hear(word("process:nginx", value=1))
    play.until(0.5)
    counted(play, 0)
    assert told(play, "process:nginx")[-1][1] == "up"
    play.until(3.5)
    assert told(play, "process:nginx")[-1] == (3.5, "down", 0)


# Files


def read(play: Play, number: int | None, error: str = "") -> None:
    play.feed(FileRead("file:tf", number, error, play.wall_ns))


def test_a_file_is_read_at_once_and_each_number_is_told() -> None:
    play = playing(track_files=(file(),))
    assert play.watched == ["file:tf"]
    read(play, 0)
    read(play, 7)
    play.until(1)
    read(play, 7)
    read(play, -3)
    assert told(play, "file:tf") == [(0, "up", 0), (0, "up", 7), (1, "up", -3)]


def test_a_file_that_cannot_be_read_keeps_its_number() -> None:
    play = playing(track_files=(file(),))
    read(play, 7)
    read(play, None, "permission denied")
    read(play, None)
    assert told(play, "file:tf") == [(0, "up", 7)]


def test_a_number_that_was_there_before_the_restart_is_as_old_as_it_is() -> None:
    play = playing(track_files=(file(),))
    read(play, 7)
    play.hear(word("file:tf", value=7))
    assert play.bodies(Tracker)[-1].since_ns == 77


def test_another_path_is_another_file() -> None:
    play = playing(track_files=(file(),))
    read(play, 7)
    play.configure(track_files=(file("/run/other"),))
    assert play.watched == ["file:tf", "file:tf"]
    read(play, 1)
    assert told(play, "file:tf")[-1] == (0, "up", 1)
    play.configure(track_files=(file("/run/other", weight=9),))
    assert play.watched == ["file:tf", "file:tf"]


def test_what_it_says_of_itself() -> None:
    play = playing(script(), track_files=(file(),))
    read(play, 7)
    play.until(1)
    assert play.reports[-1].detail == "2 trackers: 1 unknown, 1 up"
