"""Scripts of real and virtual servers: in order per object, once, none for what was so at the start."""

from __future__ import annotations

from typing import Any

from keepbus_notify.effects import LedgerEntry, Subscribe
from keepbus_notify.events import LedgerRead
from notify_play import STARTED_WALL_NS, Play
from notify_servers import NAME, RS, real, virtual

from keepbus.config.model.notify import NotifyKind, NotifySection, NotifyTarget
from keepbus.config.model.scripts import Script
from keepbus.contracts import ipvs
from keepbus.contracts.common import Service as ServiceState
from keepbus.contracts.common import Status
from keepbus.contracts.message import Header, Message
from keepbus.contracts.notify import ScriptRun
from keepbus.runtime.machine import BusMessage, Configured

TARGETS = (
    NotifyTarget(
        kind=NotifyKind.REAL_SERVER,
        name=RS,
        notify_up=Script(argv=("/up",)),
        notify_down=Script(argv=("/down",)),
    ),
    NotifyTarget(
        kind=NotifyKind.VIRTUAL_SERVER,
        name=NAME,
        quorum_up=Script(argv=("/quorum_up",)),
        quorum_down=Script(argv=("/quorum_down",)),
    ),
)


def hears(play: Play, body: ipvs.VirtualServer | None) -> list[Any]:
    play.seq += 1
    header = Header(1, "d1", "ipvs", "b", play.seq, play.seq, 1, 1, "")
    play.turn(BusMessage(Message(f"state/ipvs/virtual_server/{NAME}", header, body), 2))
    return play.started()


def stops(play: Play, status: Status) -> None:
    body = ServiceState(
        pid=1, started_ns=1, generation=1, status=status, detail="", progress=1, lateness_us_max=0, lost=0,
        rejected=0, unsent=0,
    )  # fmt: skip
    header = Header(1, "d1", "ipvs", "b", 1, 1, 1, 1, "")
    play.turn(BusMessage(Message("state/ipvs/service", header, body), 2))


def test_servers_are_heard_of_only_when_somebody_is_told_of_them() -> None:
    play = Play()
    assert not any(type(effect) is Subscribe for effect in play.effects)
    play.turn(Configured(2, NotifySection(targets=TARGETS), 5))
    assert Subscribe("state/ipvs/virtual_server/") in play.effects


def test_what_is_so_at_the_start_is_no_news_and_changes_are() -> None:
    play = Play(*TARGETS)
    assert hears(play, virtual(real(alive=True, changes=0))) == []
    started = hears(play, virtual(real(alive=False, changes=1), up=False, changes=1))
    assert started == [("/down",), ("/quorum_down",)]
    assert hears(play, virtual(real(alive=False, changes=1), up=False, changes=1)) == []
    # The next one of an object waits until the one before has ended.
    assert hears(play, virtual(real(alive=True, changes=2), changes=2)) == []
    play.ended(run=1)
    assert play.started() == [("/up",)]
    assert play.published(ScriptRun)[0].name == f"RS {RS}"
    assert play.published(ScriptRun)[0].state == "DOWN"
    play.ended(run=2)
    assert play.started() == [("/quorum_up",)]


def test_a_flap_that_was_not_heard_of_is_no_news() -> None:
    play = Play(*TARGETS)
    hears(play, virtual(real(alive=True, changes=0)))
    assert hears(play, virtual(real(alive=True, changes=2))) == []
    assert hears(play, virtual(real(alive=False, changes=3))) == [("/down",)]


def test_a_restart_runs_what_is_missing_and_nothing_twice() -> None:
    """R-F11: the ledger tells how far the process came that died."""
    down = LedgerEntry(f"RS {RS}", "L1", 1, "notify_down", last=True)
    play = Play(*TARGETS, ledger=(down,))
    assert hears(play, virtual(real(alive=False, changes=1))) == []
    play = Play(*TARGETS, ledger=(down,))
    assert hears(play, virtual(real(alive=True, changes=2))) == [("/up",)]


def test_what_a_reload_adds_is_not_told_of_the_past() -> None:
    play = Play()
    play.turn(Configured(2, NotifySection(targets=TARGETS), STARTED_WALL_NS + 5))
    play.turn(LedgerRead(()))
    assert hears(play, virtual(real(alive=False, changes=1), up=False, changes=1)) == []
    assert hears(play, virtual(real(alive=True, changes=2), changes=2)) == [("/up",), ("/quorum_up",)]


def test_what_a_reload_removes_goes_down_first() -> None:
    """Features 12.5: removal behaves like omega; scripts of targets that are gone still run."""
    play = Play(*TARGETS)
    other = real(alive=True, changes=0, address="10.0.0.2:80")
    hears(play, virtual(real(alive=True, changes=0), other))
    play.turn(Configured(2, NotifySection(targets=TARGETS[1:]), 5))
    assert hears(play, virtual(other)) == [("/down",)]
    assert hears(play, None) == [("/quorum_down",)]


def test_what_a_reload_adds_to_those_heard_of_is_told_how_it_begins() -> None:
    play = Play(*TARGETS)
    other = real(alive=True, changes=0, address="10.0.0.2:80")
    hears(play, virtual(other))
    play.turn(Configured(2, NotifySection(targets=TARGETS), 5))
    # With rs_init_notifies its number is 1 from the beginning.
    assert hears(play, virtual(other, real(alive=True, changes=1))) == [("/up",)]


def test_a_stop_of_ipvs_is_no_removal_and_with_omega_it_is_told() -> None:
    """Features 12.5."""
    for omega in (False, True):
        play = Play(*TARGETS)
        hears(play, virtual(real(alive=True, changes=0), changes=1))
        play.ended(run=1)
        stops(play, Status.STOPPING)
        told = [("/down",), ("/quorum_down",)] if omega else []
        if omega:
            assert sorted(hears(play, virtual(real(alive=False, changes=1), up=False, changes=2))) == told
        assert hears(play, None) == []
        stops(play, Status.READY)
        hears(play, virtual(real(alive=True, changes=0, address="10.0.0.2:80")))


def test_how_a_quorum_begins_is_told() -> None:
    play = Play(*TARGETS)
    assert hears(play, virtual(real(alive=True, changes=0), changes=1)) == [("/quorum_up",)]
    # Of a quorum nobody has heard of before, its second step is no return to anything.
    play = Play(*TARGETS)
    assert hears(play, virtual(real(alive=True, changes=0), up=False, changes=2)) == [("/quorum_down",)]


def test_a_server_that_is_down_when_it_is_removed_is_not_told_again() -> None:
    play = Play(*TARGETS)
    hears(play, virtual(real(alive=False, changes=1), up=False, changes=1))
    play.ended(run=1)
    play.ended(run=2)
    assert hears(play, None) == []
