"""The watchdog's rules: deaths at once, replacements only with proof."""

from __future__ import annotations

from typing import Any

from keepbus_watchdog.effects import AskForList, Hold, Kill
from keepbus_watchdog.events import NoList, NotHeld, Process, ProcessDied, ProcessList
from keepbus_watchdog.machine import MOST_ASKS, Machine

from keepbus.contracts.common import Service, Status
from keepbus.contracts.message import Header, Message
from keepbus.contracts.watchdog import Death, Replacement, Returned
from keepbus.runtime.machine import BusMessage, Publish, Report

S = 1_000_000_000
MS = 1_000_000
NAMES = ("hub", "vrrp", "checker")


class Play:
    """A node whose services have pids 11, 12, 13 and beat twice a second, except those in `silent`."""

    def __init__(self) -> None:
        self.machine = Machine(NAMES)
        self.now_ns = 100 * S
        self.pids = dict(zip(NAMES, (11, 12, 13), strict=True))
        self.states = dict.fromkeys(NAMES, "RUNNING")
        self.silent: set[str] = set()
        self.progress = 0
        self.frozen: set[str] = set()
        """Beats come, but their progress stands still."""
        self.effects: list[Any] = []
        self.turn(ProcessList(self.processes()))
        self.run(1.0)
        self.effects.clear()

    def processes(self) -> tuple[Process, ...]:
        return tuple(Process(name, self.pids[name], self.states[name]) for name in NAMES)

    def turn(self, *events: Any) -> list[Any]:
        effects = list(self.machine.turn(self.now_ns, events))
        self.effects += effects
        return effects

    def beat(self, name: str, progress: int | None = None) -> BusMessage:
        body = Service(
            pid=self.pids[name], started_ns=1, generation=1, status=Status.READY, detail="",
            progress=self.progress if progress is None else progress,
        )  # fmt: skip
        header = Header(1, "n", name, "b", 1, 1, 1, 1, "")
        return BusMessage(Message(f"state/{name}/service", header, body), 0)

    def run(self, seconds: float) -> None:
        """Let time pass; supervisord answers each question."""
        end_ns = self.now_ns + round(seconds * S)
        while self.now_ns < end_ns:
            self.now_ns += S // 2
            self.progress += 1
            beats = [
                self.beat(name, 0 if name in self.frozen else None)
                for name in NAMES
                if name not in self.silent and self.pids[name]
            ]
            if any(isinstance(effect, AskForList) for effect in self.turn(*beats)):
                self.turn(ProcessList(self.processes()))

    def of(self, kind: type) -> list[Any]:
        return [e for e in self.effects if isinstance(e, kind)]

    def told(self, kind: type) -> list[Any]:
        return [e.body for e in self.of(Publish) if isinstance(e.body, kind)]


def test_a_process_for_which_there_is_no_descriptor_is_held_at_the_next_list() -> None:
    """R-F43."""
    play = Play()
    play.pids["checker"] = 33
    play.turn(ProcessList(play.processes()))
    assert play.turn(NotHeld("checker", 33)) == []
    assert Hold("checker", 33) in play.turn(ProcessList(play.processes()))
    assert Hold("checker", 33) not in play.turn(ProcessList(play.processes()))


def test_all_is_well() -> None:
    play = Play()
    play.run(60)
    assert play.of(Kill) == []
    assert play.told(Death) == []


def test_every_process_is_held() -> None:
    machine = Machine(NAMES)
    effects = list(
        machine.turn(S, [ProcessList((Process("vrrp", 12, "RUNNING"), Process("own", 20, "RUNNING")))])
    )
    assert [e for e in effects if isinstance(e, Hold)] == [Hold("vrrp", 12), Hold("own", 20)]


def test_a_death_wakes_supervisord_until_the_successor_is_there() -> None:
    play = Play()
    assert AskForList() in play.turn(ProcessDied("vrrp", 12))
    # Not reaped yet, then reaped, then started: asked again each time, without waiting.
    assert AskForList() in play.turn(ProcessList(play.processes()))
    play.pids["vrrp"], play.states["vrrp"] = 0, "EXITED"
    effects = play.turn(ProcessList(play.processes()))
    assert AskForList() in effects
    assert play.told(Death) == [Death(service="vrrp", pid=12)]
    play.pids["vrrp"], play.states["vrrp"] = 22, "STARTING"
    effects = play.turn(ProcessList(play.processes()))
    assert Hold("vrrp", 22) in effects
    assert AskForList() not in effects
    play.now_ns += 150 * MS
    play.turn(play.beat("vrrp"))
    assert play.told(Returned) == [Returned(service="vrrp", pid=22, away_us=150_000)]
    assert play.of(Kill) == []


def test_a_stop_on_purpose_is_no_death() -> None:
    play = Play()
    play.turn(ProcessDied("checker", 13))
    play.pids["checker"], play.states["checker"] = 0, "STOPPED"
    play.turn(ProcessList(play.processes()))
    play.run(5)
    assert play.told(Death) == []


def test_a_supervisord_that_never_starts_it_is_not_asked_without_end() -> None:
    play = Play()
    play.turn(ProcessDied("vrrp", 12))
    play.pids["vrrp"], play.states["vrrp"] = 0, "BACKOFF"
    asked = 0
    while AskForList() in play.turn(ProcessList(play.processes())):
        asked += 1
        assert asked <= MOST_ASKS
    assert asked > 10


def test_a_crash_loop_is_left_to_supervisords_own_pace() -> None:
    play = Play()
    asked = []
    for pid in range(30, 40):
        play.pids["checker"] = pid
        play.turn(ProcessList(play.processes()))
        play.now_ns += 50 * MS
        asked.append(AskForList() in play.turn(ProcessDied("checker", pid)))
    assert asked[:3] == [True] * 3
    assert asked[4:] == [False] * 6


def test_a_silent_supervisord_is_told_and_so_is_the_death() -> None:
    play = Play()
    play.turn(ProcessDied("vrrp", 12))
    play.turn(NoList("no answer within 1 s"))
    assert play.told(Death) == [Death(service="vrrp", pid=12)]
    assert play.of(Report)[-1].status is Status.DEGRADED
    play.turn(ProcessList(play.processes()))
    assert play.of(Report)[-1].status is Status.READY


def test_a_service_without_a_heartbeat_for_five_seconds_is_replaced_once() -> None:
    play = Play()
    play.silent.add("checker")
    play.run(5)
    assert play.of(Kill) == []
    play.run(1.5)
    assert play.of(Kill) == [Kill("checker", 13)]
    (told,) = play.told(Replacement)
    assert (told.service, told.pid) == ("checker", 13)
    assert 5_000_000 < told.silent_us < 7_000_000
    play.run(8)
    assert len(play.of(Kill)) == 1, "at most one in ten seconds"


def test_a_heartbeat_without_progress_is_none() -> None:
    play = Play()
    play.frozen.add("vrrp")
    play.run(7)
    assert play.of(Kill) == [Kill("vrrp", 12)]


def test_a_replaced_service_is_no_death() -> None:
    play = Play()
    play.silent.add("checker")
    play.run(7)
    play.turn(ProcessDied("checker", 13))
    play.pids["checker"] = 23
    play.silent.clear()
    play.run(1)
    assert play.told(Death) == []
    assert [told.pid for told in play.told(Returned)] == [23]


def test_when_nobody_is_heard_the_hub_is_replaced_and_nobody_else() -> None:
    play = Play()
    play.silent.update(NAMES)
    play.run(7)
    assert play.of(Kill) == [Kill("hub", 11)]
    assert play.told(Replacement) == [], "nobody could hear it"
    play.turn(ProcessDied("hub", 11))
    play.pids["hub"] = 21
    play.silent.clear()
    play.run(10)
    assert play.of(Kill) == [Kill("hub", 11)]
    assert [told.service for told in play.told(Replacement)] == ["hub"]
    assert [told.pid for told in play.told(Returned)] == [21]


def test_who_is_still_silent_after_the_return_of_the_hub_is_next() -> None:
    play = Play()
    play.silent.update(NAMES)
    play.run(7)
    play.turn(ProcessDied("hub", 11))
    play.pids["hub"] = 21
    play.silent.discard("hub")
    play.run(4.5)
    assert play.of(Kill) == [Kill("hub", 11)]
    play.run(3)
    assert play.of(Kill) == [Kill("hub", 11), Kill("vrrp", 12), Kill("checker", 13)]


def test_a_new_process_has_its_time_to_start() -> None:
    play = Play()
    play.turn(ProcessDied("checker", 13))
    play.pids["checker"] = 23
    play.silent.add("checker")
    play.run(34)
    assert play.of(Kill) == []
    play.run(4)
    assert play.of(Kill) == [Kill("checker", 23)]


def test_after_a_stall_of_its_own_everybody_has_new_time() -> None:
    # A suspend, or SIGSTOP and SIGCONT of the watchdog: nobody was heard, and nobody is to blame.
    play = Play()
    play.now_ns += 3600 * S
    play.turn()
    play.run(4)
    assert play.of(Kill) == []


def test_a_standby_that_takes_over_is_the_service_and_the_dead_one_comes_back_as_standby() -> None:
    play = Play()
    machine = Machine((*NAMES, "vrrp-standby"))
    play.machine, play.effects = machine, []
    programs = {"hub": 11, "vrrp": 12, "vrrp-standby": 14}

    def listed() -> ProcessList:
        return ProcessList(tuple(Process(name, pid, "RUNNING") for name, pid in programs.items()))

    def beat(name: str, pid: int, progress: int) -> BusMessage:
        play.pids[name] = pid
        return play.beat(name, progress)

    play.turn(listed())
    play.turn(beat("hub", 11, 1), beat("vrrp", 12, 900), beat("vrrp-standby", 14, 800))
    play.now_ns += 600 * MS
    play.turn(ProcessDied("vrrp", 12))
    play.now_ns += 8 * MS
    # Its loop is a new one: progress begins anew.
    play.turn(beat("vrrp", 14, 1))
    assert play.told(Returned) == [Returned(service="vrrp", pid=14, away_us=8_000)]
    programs["vrrp"] = 22
    play.turn(listed())
    assert play.told(Death) == [Death(service="vrrp", pid=12)]
    play.now_ns += 200 * MS
    play.turn(beat("vrrp-standby", 22, 1))
    assert len(play.told(Returned)) == 1, "no standby was away"
    # Now the program vrrp-standby is vrrp; when it stands still, vrrp is what is replaced.
    for _ in range(14):
        play.now_ns += S // 2
        play.progress += 1
        play.turn(beat("hub", 11, play.progress + 1), beat("vrrp-standby", 22, play.progress + 1))
    assert play.of(Kill) == [Kill("vrrp-standby", 14)]
    assert [(told.service, told.pid) for told in play.told(Replacement)] == [("vrrp", 14)]


def test_an_operators_own_program_is_never_judged_without_a_heartbeat() -> None:
    machine = Machine(NAMES)
    own = ProcessList((Process("hub", 11, "RUNNING"), Process("own", 20, "RUNNING")))
    play = Play()
    killed = []
    for second in range(100, 200):
        play.progress += 1
        killed += [e for e in machine.turn(second * S, [own, play.beat("hub")]) if isinstance(e, Kill)]
    assert killed == []
