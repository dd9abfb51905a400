"""checker's machine: what it keeps of its privileges, and checks that follow a BFD session."""

from __future__ import annotations

from checker_play import Play, bfd, tcp
from keepbus_checker.effects import Confine

from keepbus.contracts.bfd import Session
from keepbus.contracts.checker import Verdict
from keepbus.contracts.message import Header, Message
from keepbus.runtime.machine import BusMessage, Exit


def test_privileges_are_given_up_but_that_of_marking_where_it_is_needed() -> None:
    for marks in (False, True):
        play = Play().configure(tcp("a"), tcp("b", fwmark=7 * marks))
        assert [effect.marks for effect in play.others if isinstance(effect, Confine)] == [marks]
        assert not any(isinstance(effect, Exit) for effect in play.others)


def test_a_reload_that_brings_the_first_mark_needs_a_new_process() -> None:
    play = Play().configure(tcp("a")).until(2)
    play.configure(tcp("a"), tcp("b", fwmark=7)).until(5)
    assert [effect.status for effect in play.others if isinstance(effect, Exit)] == [0]
    assert play.withdrawn == []
    assert play.machine.wake_at_ns() is None


def test_a_mark_among_marks_needs_none() -> None:
    play = Play().configure(tcp("a", fwmark=1)).until(2)
    play.configure(tcp("a", fwmark=1), tcp("b", fwmark=7)).until(5)
    assert not any(isinstance(effect, Exit) for effect in play.others)
    assert play.measured("b")


# BFD_CHECK


def session(*, up: bool, detail: str = "", name: str = "peer") -> Session:
    return Session(name=name, up=up, since_ns=1, detail=detail)


def test_a_bfd_check_follows_its_session() -> None:
    play = Play().configure(bfd()).until(2)
    assert play.verdicts() == [(1.5, "unknown")], "nobody has reported the session"
    play.hear_session(session(up=True, name="other")).until(3)
    assert play.measured() == []
    play.hear_session(session(up=True)).until(4)
    play.hear_session(session(up=False, detail="control detection time expired")).until(5)
    assert play.measured() == [(3.0, "up"), (4.0, "down")]
    evidence = play.last().evidence
    assert evidence is not None
    assert evidence.received == "session down: control detection time expired"
    assert play.failures() == [(4.0, 1, 1)]
    assert (play.last().kind, play.last().target, play.probes) == ("BFD_CHECK", "peer", [])


def test_a_bfd_check_that_a_reload_brings_knows_what_was_told_before() -> None:
    play = Play().configure(tcp("other")).until(2)
    play.hear_session(session(up=False)).until(3)
    play.configure(tcp("other"), bfd()).until(4)
    assert play.measured() == [(3.0, "down")]
    play.configure(tcp("other")).until(5)
    play.hear_session(session(up=True)).until(6)
    assert play.measured() == [(3.0, "down")], "who is not configured any more says nothing"


def test_a_session_that_is_withdrawn_leaves_the_verdict() -> None:
    play = Play().configure(bfd())
    play.hear_session(session(up=False)).until(1)
    header = Header(1, "node", "bfd", "boot", 2, 2, 1, 1, "")
    play.feed(BusMessage(Message("state/bfd/session/peer", header, None), play.wall_ns)).until(9)
    assert play.last().verdict is Verdict.DOWN
