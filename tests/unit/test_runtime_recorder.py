"""A recording fed to a fresh machine gives the same effects."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from keepbus.config.model.vrrp import VrrpInstance, VrrpSection
from keepbus.contracts.common import Service, Status
from keepbus.contracts.message import Header, Message
from keepbus.runtime.machine import BusMessage, Configured
from keepbus.runtime.recorder import Recorder, replay, turns


class Heard(NamedTuple):
    source: str
    octets: bytes
    addresses: tuple[str, ...]


class Echo:
    """Answers every event with itself and the number of events so far."""

    def __init__(self) -> None:
        self.count = 0

    def turn(self, now_ns: int, events: Sequence[Any]) -> list[Any]:
        self.count += len(events)
        return [(now_ns, self.count, *events)]

    def wake_at_ns(self) -> int | None:
        return None


SECTION = VrrpSection(instances=(VrrpInstance(name="VI_1", interface="eth0", virtual_router_id=51),))
HEARTBEAT = Service(pid=1, started_ns=2, generation=3, status=Status.READY, detail="ready", progress=4)
TURNS: list[tuple[int, list[Any]]] = [
    (10, [Configured(1, SECTION, 99)]),
    (20, []),
    (30, [Heard("172.16.1.6", b"\x21\x33", ("172.16.1.99",)), Heard("172.16.1.7", b"", ())]),
    (
        40,
        [BusMessage(Message("state/hub/service", Header(1, "d1", "hub", "b", 1, 1, 5, 6, ""), HEARTBEAT), 7)],
    ),
]
EVENTS = {"Heard": Heard, "Configured": Configured}


def test_a_replay_is_the_run(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "turns")
    live = Echo()
    effects = []
    for now_ns, events in TURNS:
        recorder.turn(now_ns, events)
        effects += [(now_ns, effect) for effect in live.turn(now_ns, events)]
    assert list(replay(Echo(), turns(tmp_path / "turns", EVENTS, VrrpSection))) == effects


def test_a_full_disk_ends_the_recording_and_not_the_service() -> None:
    said: list[str] = []
    recorder = Recorder(Path("/dev/full"), said.append)
    for now_ns, events in TURNS:
        recorder.turn(now_ns, events)
    assert said == ["the recording /dev/full ends here: No space left on device; make room and start again"]


def test_a_torn_last_turn_is_left_out(tmp_path: Path) -> None:
    """A process that dies while it writes leaves half a turn; the whole ones are used."""
    path = tmp_path / "turns"
    recorder = Recorder(path)
    for now_ns, events in TURNS:
        recorder.turn(now_ns, events)
    path.write_bytes(path.read_bytes()[:-5])
    assert list(turns(path, EVENTS, VrrpSection)) == TURNS[:-1]
