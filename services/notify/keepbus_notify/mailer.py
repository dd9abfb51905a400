"""Sends one mail: a process of its own, so that no name server and no mail server holds notify up.

`python -m keepbus_notify.mailer` reads the mail as JSON from its standard input, and ends with 0 when the
server took it; otherwise it prints why and ends with 1, or with 2 when trying again is of no use
(docs/decisions/0506). The dialogue is keepalived's (features 10.4): HELO, MAIL, RCPT, DATA, QUIT; no TLS.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import smtplib
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from email.utils import formatdate
from typing import Any

from keepbus.config.model.notify import Mail
from keepbus.runtime.loop import Loop
from keepbus.runtime.machine import Event
from keepbus_notify.events import MailEnded

_STEPS = 8
"""Of the dialogue, each with its time-out; after as many time-outs the process is ended from outside."""
_MOST_MESSAGE = 1023
_MOST_ERROR = 300
_REFUSED_FOR_GOOD = 2


class Mailer:
    """One process at a time."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop

    def send(self, mail: Mail, subject: str, body: str) -> list[Event]:
        """Begin; MailEnded comes of it, at once when it cannot be begun."""
        letter = {
            "server": mail.server,
            "port": mail.port,
            "recipients": mail.recipients,
            "sender": mail.sender,
            "helo": mail.helo_name or socket.gethostname(),
            "timeout_s": mail.timeout_us / 1e6,
            "subject": subject.replace("[]", f"[{os.uname().nodename}]", 1),
            "body": body,
        }
        try:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "keepbus_notify.mailer"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            return [MailEnded(f"no process for it: {error.strerror}", for_good=False)]
        assert process.stdin is not None
        # Far less than a pipe holds: this does not wait.
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(letter).encode())
            process.stdin.close()
        pidfd = os.pidfd_open(process.pid)
        self._loop.watch(pidfd, lambda _mask: self._ended(process, pidfd))
        return []

    def _ended(self, process: subprocess.Popen[bytes], pidfd: int) -> Iterable[Event]:
        status = process.poll()
        if status is None:
            return ()
        self._loop.unwatch(pidfd)
        os.close(pidfd)
        assert process.stdout is not None
        said = process.stdout.read().decode(errors="replace").strip()[:_MOST_ERROR]
        process.stdout.close()
        error = "" if status == 0 else said or f"the mail process ended with status {status}"
        return [MailEnded(error, for_good=status == _REFUSED_FOR_GOOD)]


def message(letter: dict[str, Any], now_s: float) -> bytes:
    """Headers and body, as keepalived has them, in at most 1023 octets."""
    text = (
        f"Date: {formatdate(now_s, localtime=True)}\r\n"
        f"From: {letter['sender']}\r\n"
        f"Subject: {letter['subject']}\r\n"
        "X-Mailer: keepbus\r\n"
        f"To: {', '.join(letter['recipients'])}\r\n"
        "\r\n" + "\r\n".join(letter["body"].splitlines()) + "\r\n"
    )
    return text.encode(errors="replace")[:_MOST_MESSAGE]


def envelope(address: str) -> str:
    """The part in angle brackets, if the address ends with one."""
    return address[address.rindex("<") + 1 : -1] if address.endswith(">") and "<" in address else address


def deliver(letter: dict[str, Any]) -> None:
    """The dialogue; raises OSError and smtplib.SMTPException."""
    with smtplib.SMTP(timeout=letter["timeout_s"], local_hostname=letter["helo"]) as server:
        _expect(server.connect(letter["server"], letter["port"]), 220)
        _expect(server.helo(letter["helo"]), 250)
        _expect(server.mail(envelope(letter["sender"])), 250)
        for recipient in letter["recipients"]:
            _expect(server.rcpt(envelope(recipient)), 250)
        _expect(server.data(message(letter, time.time())), 250)


def _expect(answer: tuple[int, bytes], code: int) -> None:
    if answer[0] != code:
        raise smtplib.SMTPResponseException(*answer)


def main() -> int:
    """Send the mail on standard input."""
    letter = json.load(sys.stdin)
    # A server that sends one octet at a time would keep every time-out away.
    signal.alarm(max(1, int(letter["timeout_s"] * _STEPS)))
    try:
        deliver(letter)
    except smtplib.SMTPResponseException as refusal:
        said = refusal.smtp_error
        text = said.decode(errors="replace") if isinstance(said, bytes) else said
        print(f"{letter['server']} answers {refusal.smtp_code} {text}")
        return _REFUSED_FOR_GOOD if 500 <= refusal.smtp_code < 600 else 1
    except smtplib.SMTPServerDisconnected as error:
        print(f"{letter['server']}: {error}")
        return 1
    except (OSError, smtplib.SMTPException) as error:
        why = getattr(error, "strerror", None) or error
        print(f"{letter['server']} cannot be reached: {why}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
