"""FIFOs: keepalived's lines octet for octet (features 10.3), each step once, losses shown."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from keepbus_notify.effects import TOLD, LedgerEntry, OpenFifos, StartScript, WriteFifo
from keepbus_notify.events import FifoTrouble, LedgerRead, ScriptEnded
from keepbus_notify.machine import Machine
from notify_play import BACKUP, FAULT, MASTER, STARTED_WALL_NS, Play, target
from notify_servers import NAME, real, virtual

from keepbus.config.model.notify import Fifo, NotifySection, NotifyTarget
from keepbus.config.model.scripts import Script
from keepbus.contracts import vrrp
from keepbus.contracts.message import Header, Message
from keepbus.contracts.notify import Fifo as FifoState
from keepbus.contracts.vrrp import VrrpState
from keepbus.runtime.machine import BusMessage, Configured, Report, StopRequested

ALL = Fifo(keyword="notify_fifo", path="/run/all", vrrp=True, lvs=True, script=Script(argv=("/reader", "x")))
VRRP = Fifo(keyword="vrrp_notify_fifo", path="/run/vrrp", vrrp=True, lvs=False)
LVS = Fifo(keyword="lvs_notify_fifo", path="/run/lvs", vrrp=False, lvs=True)


class FifoPlay(Play):
    """A machine with FIFOs and no scripts."""

    def __init__(
        self,
        *fifos: Fifo,
        targets: tuple[NotifyTarget, ...] = (),
        ledger: tuple[LedgerEntry, ...] = (),
        priority_changes: tuple[str, ...] = (),
    ) -> None:
        self.machine = Machine()
        self.now_ns = 10_000_000_000
        self.seq = 0
        self.effects: list[Any] = []
        section = NotifySection(targets=targets, fifos=fifos, priority_changes=priority_changes)
        self.first = self.turn(Configured(1, section, STARTED_WALL_NS))
        self.turn(LedgerRead(ledger))

    def written(self) -> list[tuple[str, bytes]]:
        return [(each.path, each.line) for each in self.effects if type(each) is WriteFifo]


def server_message(play: Play, body: Any) -> None:
    header = Header(1, "d1", "ipvs", "b", 1, 1, 1, 1, "")
    play.turn(BusMessage(Message(f"state/ipvs/virtual_server/{NAME}", header, body), 2))


def test_they_are_opened_and_their_readers_started() -> None:
    play = FifoPlay(ALL, VRRP)
    assert OpenFifos((ALL, VRRP)) in play.first
    (start,) = [each for each in play.first if type(each) is StartScript]
    assert start.command.argv == ("/reader", "x", "/run/all")


def test_lines_of_instances() -> None:
    play = FifoPlay(ALL, VRRP, LVS)
    play.heard(BACKUP, MASTER, MASTER, FAULT)
    expected = [
        b'INSTANCE "VI_1" BACKUP 101\n',
        b'INSTANCE "VI_1" MASTER 102\n',
        b'INSTANCE "VI_1" MASTER_RX_LOWER_PRI 103\n',
        b'INSTANCE "VI_1" FAULT 104\n',
    ]
    assert play.written() == [(path, line) for line in expected for path in ("/run/all", "/run/vrrp")]
    play.heard(BACKUP, MASTER, MASTER, FAULT)
    assert play.written() == []


def test_deleted_is_told_as_fault_unless_it_is_asked_for() -> None:
    for deleted, word in ((False, b"FAULT"), (True, b"DELETED")):
        play = FifoPlay(VRRP, targets=(NotifyTarget(name="VI_1", deleted=deleted),))
        play.heard(BACKUP, VrrpState.DELETED)
        assert play.written()[1][1] == b'INSTANCE "VI_1" ' + word + b" 102\n"


def group_message() -> BusMessage:
    step = vrrp.Transition(number=1, from_state=BACKUP, to_state=MASTER, at_ns=1, cause="c")
    body = vrrp.SyncGroup(
        name="VG_1", members=("VI_1",), life="l", state=MASTER, transitions=1, since_ns=1, cause="c",
        history=(step,),
    )  # fmt: skip
    header = Header(1, "d1", "vrrp", "b", 1, 1, 1, 1, "")
    return BusMessage(Message("state/vrrp/group/VG_1", header, body), 2)


def test_lines_of_groups() -> None:
    play = FifoPlay(VRRP)
    play.turn(group_message())
    assert play.written() == [("/run/vrrp", b'GROUP "VG_1" MASTER 0\n')]


def test_lines_of_servers_end_in_a_nul_octet() -> None:
    play = FifoPlay(ALL, VRRP, LVS)
    server_message(play, virtual(real(alive=True, changes=0)))
    assert play.written() == []
    server_message(play, virtual(real(alive=False, changes=1), up=False, changes=1))
    lines = (
        b"RS [10.0.0.1]:tcp:80 [192.0.2.1]:tcp:80 DOWN\n\0",
        b"VS [192.0.2.1]:tcp:80 DOWN\n\0",
    )
    assert play.written() == [(path, line) for line in lines for path in ("/run/all", "/run/lvs")]


def test_changes_of_priority_for_who_asked() -> None:
    play = FifoPlay(VRRP, priority_changes=("VI_1",))
    play.heard(BACKUP)
    (message,) = [_instance(play, 100)]
    play.turn(message)
    play.turn(_instance(play, 90))
    assert play.written() == [("/run/vrrp", b'INSTANCE "VI_1" BACKUP_PRIORITY 90\n')]
    play.turn(_instance(play, 90))
    assert play.written() == []


def _instance(play: Play, priority: int) -> BusMessage:
    body = vrrp.Instance(
        name="VI_1", interface="eth0", family="IPv4", virtual_router_id=1, version=2, life="L1",
        state=BACKUP, transitions=1, since_ns=1, cause="c", base_priority=100,
        effective_priority=priority, advert_interval_us=1, master_down_interval_us=3, master_address="",
        master_priority=0, virtual_addresses=(), holds_addresses=False, lease_us=0,
        history=(vrrp.Transition(number=1, from_state=VrrpState.INIT, to_state=BACKUP, at_ns=1, cause="c"),),
    )  # fmt: skip
    header = Header(1, "d1", "vrrp", "b", 1, 1, 1, 1, "")
    return BusMessage(Message("state/vrrp/instance/VI_1", header, body), 2)


def test_a_restart_writes_no_line_twice_even_when_scripts_were_waiting() -> None:
    """R-F11: the first script had started, the second step's had not; both lines were written."""
    targets = (target(notify_backup="/b", notify_master="/m"),)
    left = (
        LedgerEntry("VI_1", "L1", 1, TOLD, last=False),
        LedgerEntry("VI_1", "L1", 1, "notify_backup", last=True),
        LedgerEntry("VI_1", "L1", 2, TOLD, last=False),
    )
    play = FifoPlay(VRRP, targets=targets, ledger=left)
    play.heard(BACKUP, MASTER, FAULT)
    assert play.written() == [("/run/vrrp", b'INSTANCE "VI_1" FAULT 103\n')]
    assert play.started() == [("/m",)]


def test_lost_lines_are_counted_told_and_make_it_degraded_until_somebody_reads() -> None:
    play = FifoPlay(VRRP)
    trouble = FifoTrouble("/run/vrrp", 1, "is full because nobody reads it: lines are lost")
    play.turn(trouble)
    play.turn(trouble)
    assert play.published(FifoState)[0].lost == 2
    assert [report.status.value for report in play.effects if type(report) is Report] == ["degraded"]
    play.turn(FifoTrouble("/run/vrrp", 0, ""))
    assert play.published(FifoState)[0] == FifoState(path="/run/vrrp", keyword="vrrp_notify_fifo", lost=2)


def test_a_reader_that_ends_is_said_and_not_started_again() -> None:
    play = FifoPlay(ALL)
    (start,) = [each for each in play.first if type(each) is StartScript]
    play.turn(ScriptEnded(start.run, 3, 5, 7, "nobody", "out of order"))
    assert "ended with status 3: out of order" in play.published(FifoState)[0].error
    assert not any(type(each) is StartScript for each in play.effects)


def test_a_reload_touches_only_what_is_different_and_the_end_ends_all() -> None:
    play = FifoPlay(ALL, VRRP)
    play.turn(Configured(2, NotifySection(fifos=(ALL, VRRP)), 5))
    assert not any(type(each) is OpenFifos for each in play.effects)
    play.turn(Configured(3, NotifySection(fifos=(replace(VRRP, user="mail"),)), 6))
    assert [each.run for each in play.effects if type(each).__name__ == "EndScript"] == [-1]
    play.turn(StopRequested(7))
    play.turn(after_ns=200_000_000)
    assert OpenFifos(()) in play.effects


def test_states_are_written_after_a_reload_when_that_is_asked_for() -> None:
    """`fifo_write_vrrp_states_on_reload`: changed or not, members before their group."""
    for asked in (False, True):
        play = FifoPlay(VRRP, LVS)
        play.turn(group_message())
        play.heard(BACKUP, MASTER)
        play.effects.clear()
        play.turn(Configured(2, NotifySection(fifos=(VRRP, LVS), states_on_reload=asked), 5))
        lines = [b'INSTANCE "VI_1" MASTER 100\n', b'GROUP "VG_1" MASTER 0\n'] if asked else []
        assert play.written() == [("/run/vrrp", line) for line in lines]
