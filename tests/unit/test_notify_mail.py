"""Mail: subjects and bodies as keepalived's (features 10.4), who gets any, and R-F83: retried to a limit,
bounded, and nothing waits for it."""

from __future__ import annotations

from typing import Any

import pytest
from keepbus_notify.effects import MAILED, QUEUED, AppendLedger, LedgerEntry, SendMail
from keepbus_notify.events import LedgerRead, MailEnded
from keepbus_notify.machine import Machine
from keepbus_notify.mail import FIRST_PAUSE_NS, MOST_QUEUED, MOST_TRIES, compose
from keepbus_notify.mailer import envelope, message
from notify_play import BACKUP, FAULT, MASTER, STARTED_WALL_NS, STOP, Play
from notify_servers import NAME, RS, real, virtual

from keepbus.config.model.notify import Mail, NotifyKind, NotifySection, NotifyTarget
from keepbus.contracts.message import Header, Message
from keepbus.contracts.notify import Mail as MailState
from keepbus.runtime.machine import BusMessage, Configured

BOX = Mail(server="mail.example", port=25, recipients=("ops@example",), sender="lb@example", router_id="lb1",
           instances=True)  # fmt: skip


class MailPlay(Play):
    """A machine that sends mail and runs no scripts."""

    def __init__(
        self, mail: Mail = BOX, *targets: NotifyTarget, ledger: tuple[LedgerEntry, ...] = ()
    ) -> None:
        self.machine = Machine()
        self.now_ns = 10_000_000_000
        self.seq = 0
        self.effects: list[Any] = []
        self.turn(Configured(1, NotifySection(targets=targets, mail=mail), STARTED_WALL_NS))
        self.turn(LedgerRead(ledger))

    def subjects(self) -> list[str]:
        return [each.subject for each in self.effects if type(each) is SendMail]

    def all_sent(self) -> list[str]:
        """Let the server take one mail after the other; their subjects."""
        found = []
        while subjects := self.subjects():
            found += subjects
            self.turn(MailEnded("", for_good=False))
        return found

    def servers(self, body: Any) -> None:
        header = Header(1, "d1", "ipvs", "b", 1, 1, 1, 1, "")
        self.turn(BusMessage(Message(f"state/ipvs/virtual_server/{NAME}", header, body), 2))


@pytest.mark.parametrize(
    ("kind", "name", "state", "detail", "subject", "body"),
    [
        (NotifyKind.INSTANCE, "VI_1", "MASTER", "c", "[lb1] VRRP Instance VI_1 - Entering MASTER state",
         "=> VRRP Instance is now owning VRRP VIPs <="),
        (NotifyKind.INSTANCE, "VI_1", "FAULT", "c", "[lb1] VRRP Instance VI_1 - Entering FAULT state",
         "=> VRRP Instance is no longer owning VRRP VIPs <="),
        (NotifyKind.INSTANCE, "VI_1", "STOP", "c", "[lb1] VRRP Instance VI_1 - Stopping",
         "=> VRRP Instance stopping <="),
        (NotifyKind.INSTANCE, "VI_1", "DELETED", "c", "[lb1] VRRP Instance VI_1 - Deleted",
         "=> VRRP Deleted at reload <="),
        (NotifyKind.GROUP, "VG_1", "BACKUP", "c", "[lb1] VRRP Group VG_1 - Entering BACKUP state",
         "=> All VRRP group instances are now in BACKUP state <="),
        (NotifyKind.REAL_SERVER, RS, "DOWN", "TCP_CHECK 10.0.0.1:80 is down",
         "[lb1] Realserver [10.0.0.1]:tcp:80 of virtual server [192.0.2.1]:tcp:80 - DOWN",
         "=> TCP CHECK failed on service <=\nTCP_CHECK 10.0.0.1:80 is down"),
        (NotifyKind.VIRTUAL_SERVER, NAME, "UP", "1 <= 2", "[lb1] Virtualserver [192.0.2.1]:tcp:80 - UP",
         "=> Gained quorum 1 <= 2 <="),
    ],
)  # fmt: skip
def test_subjects_and_bodies(
    kind: NotifyKind, name: str, state: str, detail: str, subject: str, body: str
) -> None:
    assert compose("lb1", kind, name, state, detail) == (subject, body)


def test_a_subject_is_one_line_and_limited() -> None:
    composed = compose("lb1", NotifyKind.INSTANCE, "x\r\nBcc: all@example" + "y" * 300, "MASTER", "")
    assert composed is not None
    assert "\n" not in composed[0]
    assert len(composed[0]) == 255


def test_one_after_the_other_in_the_order_of_the_steps() -> None:
    play = MailPlay()
    play.heard(BACKUP, MASTER)
    assert play.subjects() == ["[lb1] VRRP Instance VI_1 - Entering BACKUP state"]
    play.turn(MailEnded("", for_good=False))
    assert play.subjects() == ["[lb1] VRRP Instance VI_1 - Entering MASTER state"]
    play.turn(MailEnded("", for_good=False))
    assert play.published(MailState)[-1] == MailState(waiting=0, sent=2, lost=0, last_error="")


@pytest.mark.parametrize(
    ("default", "own", "count"), [(True, None, 1), (True, False, 0), (False, None, 0), (False, True, 1)]
)
def test_the_objects_own_smtp_alert_counts_before_the_default(
    default: bool, own: bool | None, count: int
) -> None:
    mail = Mail(server="m", port=25, recipients=("a",), sender="b", instances=default)
    play = MailPlay(mail, NotifyTarget(name="VI_1", smtp_alert=own))
    play.heard(BACKUP)
    assert len(play.subjects()) == count


def test_servers_by_their_own_defaults() -> None:
    play = MailPlay()
    play.servers(virtual(real(alive=True, changes=0)))
    play.servers(virtual(real(alive=False, changes=1), up=False, changes=1))
    assert play.all_sent() == [f"[lb1] Realserver [10.0.0.1]:tcp:80 of virtual server {NAME} - DOWN"]


def test_no_email_faults_and_a_state_that_was_mailed_last() -> None:
    mail = Mail(server="m", port=25, recipients=("a",), sender="b", instances=True, faults=False)
    play = MailPlay(mail)
    play.heard(BACKUP, FAULT, BACKUP, STOP)
    assert [subject.split(" - ")[1] for subject in play.all_sent()] == ["Entering BACKUP state", "Stopping"]


def test_rf83_retried_with_growing_pauses_up_to_a_limit_then_the_next() -> None:
    play = MailPlay()
    play.heard(BACKUP, MASTER)
    pauses = []
    for _ in range(MOST_TRIES - 1):
        play.turn(MailEnded("refused", for_good=False))
        assert play.subjects() == []
        wake_at_ns = play.machine.wake_at_ns()
        assert wake_at_ns is not None
        pauses.append(wake_at_ns - play.now_ns)
        play.turn(after_ns=wake_at_ns - play.now_ns)
        assert len(play.subjects()) == 1
    assert pauses[:3] == [FIRST_PAUSE_NS, 2 * FIRST_PAUSE_NS, 4 * FIRST_PAUSE_NS]
    play.turn(MailEnded("refused", for_good=False))
    assert play.subjects() == ["[lb1] VRRP Instance VI_1 - Entering MASTER state"]
    assert play.published(MailState)[-1].lost == 1


def test_rf83_what_is_refused_for_good_is_not_tried_again() -> None:
    play = MailPlay()
    play.heard(BACKUP, MASTER)
    play.turn(MailEnded("550 no such user", for_good=True))
    assert play.subjects() == ["[lb1] VRRP Instance VI_1 - Entering MASTER state"]


def test_rf83_the_queue_is_bounded_and_loses_the_oldest() -> None:
    play = MailPlay()
    for number in range(MOST_QUEUED + 3):
        play.heard(BACKUP, name=f"VI_{number}")
    assert play.published(MailState)[-1].lost == 2
    sent = [play.turn(MailEnded("", for_good=False)) and play.subjects()[0]]
    assert sent == ["[lb1] VRRP Instance VI_3 - Entering BACKUP state"]


def test_rf11_a_restart_sends_what_was_in_the_queue() -> None:
    left = (
        LedgerEntry("VI_1", "L1", 1, QUEUED, last=False),
        LedgerEntry("VI_1", "L1", 1, "", last=True),
        LedgerEntry("VI_1", "L1", 1, MAILED, last=False),
        LedgerEntry("VI_1", "L1", 2, QUEUED, last=False),
        LedgerEntry("VI_1", "L1", 2, "", last=True),
    )
    play = MailPlay(BOX, ledger=left)
    play.heard(BACKUP, MASTER)
    assert play.all_sent() == ["[lb1] VRRP Instance VI_1 - Entering MASTER state"]
    assert any(type(e) is AppendLedger and e.entry.script == MAILED for e in play.effects)
    play.heard(BACKUP, MASTER)
    assert play.all_sent() == []


def test_the_envelope_is_the_part_in_angle_brackets() -> None:
    assert envelope("Load balancer <lb@example>") == "lb@example"
    assert envelope("lb@example") == "lb@example"


def test_a_message_has_keepalived_s_headers_and_at_most_1023_octets() -> None:
    letter = {"sender": "lb@example", "recipients": ["a@x", "b@x"], "subject": "s", "body": "one\ntwo"}
    text = message(letter, 0).decode()
    head, _, body = text.partition("\r\n\r\n")
    names = [line.partition(":")[0] for line in head.split("\r\n")]
    assert names == ["Date", "From", "Subject", "X-Mailer", "To"]
    assert head.endswith("To: a@x, b@x")
    assert body == "one\r\ntwo\r\n"
    assert len(message(letter | {"body": "x" * 3000}, 0)) == 1023
