"""Mail about steps: what it says, and a queue that nothing waits for (features 10.4; R-F83). Pure.

Law of this file: one mail is on its way at a time, in the order of the steps. A refusal for good (5xx) ends
it at once; anything else is tried again, each time after a longer pause, up to a limit. The queue is bounded,
and what it loses is the oldest; both are counted.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from keepbus.config.model.notify import Mail, NotifyKind, NotifyTarget
from keepbus_notify.servers import REMOVING, SHUTTING_DOWN
from keepbus_notify.steps import RX_LOWER_PRI, UP

MOST_QUEUED = 64
MOST_TRIES = 8
FIRST_PAUSE_NS = 5_000_000_000
MOST_PAUSE_NS = 300_000_000_000
MOST_SUBJECT = 255
MOST_BODY = 511

_INSTANCE = {
    "MASTER": ("Entering MASTER state", "=> VRRP Instance is now owning VRRP VIPs <="),
    "BACKUP": ("Entering BACKUP state", "=> VRRP Instance is no longer owning VRRP VIPs <="),
    "FAULT": ("Entering FAULT state", "=> VRRP Instance is no longer owning VRRP VIPs <="),
    "STOP": ("Stopping", "=> VRRP Instance stopping <="),
    "DELETED": ("Deleted", "=> VRRP Deleted at reload <="),
}
_GROUP = {
    "MASTER": ("Entering MASTER state", "=> All VRRP group instances are now in MASTER state <="),
    "BACKUP": ("Entering BACKUP state", "=> All VRRP group instances are now in BACKUP state <="),
    "FAULT": ("Entering FAULT state", "=> All VRRP group instances are now in FAULT state <="),
    "STOP": ("Stopping", "=> All VRRP group instances are now stopping <="),
}


# What a checker says of a service that it found well, and of one that it did not.
_CHECKERS = {
    "TCP_CHECK": ("TCP CHECK succeed on service", "TCP CHECK failed on service"),
    "HTTP_GET": ("CHECK succeed on service", "CHECK failed on service : HTTP/SSL request failed"),
    "SSL_GET": ("CHECK succeed on service", "CHECK failed on service : HTTP/SSL request failed"),
    "SMTP_CHECK": ("CHECK succeed on service", "CHECK failed on service"),
    "MISC_CHECK": ("MISC CHECK succeeded on service", "MISC CHECK failed on service"),
    "DNS_CHECK": ("DNS_CHECK: succeed on service", "DNS_CHECK: failed on service"),
    "UDP_CHECK": ("UDP CHECK succeed on service", "UDP CHECK failed on service"),
    "PING_CHECK": ("ICMP CHECK succeed on service", "ICMP CHECK failed on service"),
}
_OTHER_CHECKER = ("CHECK succeed on service", "CHECK failed on service")


class Letter(NamedTuple):
    """A mail to be sent."""

    object: str
    """As NotifyTarget.object has it."""
    life: str
    number: int
    subject: str
    body: str


class Sending(NamedTuple):
    """A letter on its way."""

    letter: Letter
    tries: int
    not_before_ns: int


def wanted(mail: Mail | None, target: NotifyTarget | None, kind: NotifyKind, state: str) -> bool:
    """Is there mail about this? The object's own `smtp_alert`, else the default of its kind."""
    if mail is None or state == RX_LOWER_PRI or (state == "FAULT" and not mail.faults):
        return False
    if target is not None and target.smtp_alert is not None:
        return target.smtp_alert
    if kind is NotifyKind.REAL_SERVER:
        return mail.real_servers
    return mail.virtual_servers if kind is NotifyKind.VIRTUAL_SERVER else mail.instances


def compose(router_id: str, kind: NotifyKind, name: str, state: str, detail: str) -> tuple[str, str] | None:
    """Subject and body; None for a state that no mail is sent about."""
    ends = f"=> {detail} <=" if detail in (REMOVING, SHUTTING_DOWN) else ""
    if kind in (NotifyKind.INSTANCE, NotifyKind.GROUP):
        words = (_INSTANCE if kind is NotifyKind.INSTANCE else _GROUP).get(state)
        if words is None:
            return None
        what = "Instance" if kind is NotifyKind.INSTANCE else "Group"
        subject, body = f"VRRP {what} {name} - {words[0]}", words[1]
    elif kind is NotifyKind.REAL_SERVER:
        server, _, virtual_server = name.partition(" ")
        subject = f"Realserver {server} of virtual server {virtual_server} - {state}"
        well, ill = _CHECKERS.get(detail.partition(" ")[0], _OTHER_CHECKER)
        body = ends or f"=> {well if state == UP else ill} <=\n{detail}"
    else:
        subject = f"Virtualserver {name} - {state}"
        body = ends or f"=> {'Gained' if state == UP else 'Lost'} quorum {detail} <="
    subject = " ".join(f"[{router_id}] {subject}".split())
    return subject[:MOST_SUBJECT], body[:MOST_BODY]


class Mailbox:
    """The queue, and the letter on its way."""

    def __init__(self) -> None:
        self._queue: deque[Letter] = deque()
        self._mailed: dict[str, str] = {}
        """Per object the state of the last mail."""
        self.sending: Sending | None = None
        self._in_flight = False
        self.sent = 0
        self.lost = 0
        self.last_error = ""

    def __len__(self) -> int:
        return len(self._queue) + (self.sending is not None)

    def repeats(self, key: str, state: str) -> bool:
        """A state equal to the last mailed one is not mailed again (features 10.4)."""
        before = self._mailed.get(key)
        self._mailed[key] = state
        return before == state

    def put(self, letter: Letter) -> Letter | None:
        """Queue a letter; the one that was lost for it, if any."""
        self._queue.append(letter)
        if len(self._queue) <= MOST_QUEUED:
            return None
        self.lost += 1
        return self._queue.popleft()

    def wake_at_ns(self) -> int | None:
        """When the letter that waits is tried again."""
        return None if self.sending is None or self._in_flight else self.sending.not_before_ns

    def next(self, now_ns: int) -> Letter | None:
        """The letter to be sent now, if there is one."""
        if self._in_flight:
            return None
        if self.sending is None and self._queue:
            self.sending = Sending(self._queue.popleft(), 0, now_ns)
        if self.sending is None or self.sending.not_before_ns > now_ns:
            return None
        self._in_flight = True
        return self.sending.letter

    def ended(self, now_ns: int, error: str, *, for_good: bool) -> Letter | None:
        """The try ended, well when error is empty; the letter if nothing more is done about it."""
        sending, self._in_flight = self.sending, False
        if sending is None:
            return None
        self.last_error = error
        tries = sending.tries + 1
        if error and not for_good and tries < MOST_TRIES:
            pause_ns = min(FIRST_PAUSE_NS << sending.tries, MOST_PAUSE_NS)
            self.sending = Sending(sending.letter, tries, now_ns + pause_ns)
            return None
        self.sending = None
        if error:
            self.lost += 1
        else:
            self.sent += 1
        return sending.letter
