"""What the notify machine wishes to be done, beside publishing and logging."""

from __future__ import annotations

from typing import NamedTuple

from keepbus.config.model.notify import Fifo, Mail


class Command(NamedTuple):
    """A script with its arguments, and as whom."""

    argv: tuple[str, ...]
    user: str
    """Empty: the default user for scripts (see keepbus.runtime.scripts.identity)."""
    group: str
    security: bool
    """enable_script_security: refuse what otherwise is a warning."""


TOLD, QUEUED, MAILED = "(told)", "(mail queued)", "(mail done)"
"""In the place of a script's keyword: FIFOs were told, a mail waits, nothing more is done about that mail."""


class LedgerEntry(NamedTuple):
    """A script that is about to be started, a step that needs none, or how far FIFOs and mail are."""

    name: str
    life: str
    number: int
    script: str
    """Keyword; empty when nothing runs for this step; TOLD, QUEUED or MAILED."""
    last: bool
    """No script of this step follows."""


class ReadLedger(NamedTuple):
    """Read the ledger and answer with `LedgerRead`."""


class AppendLedger(NamedTuple):
    """Append an entry; when `durable`, it is on the disk before any later effect is carried out."""

    entry: LedgerEntry
    durable: bool


class RenewLedger(NamedTuple):
    """Write the ledger anew after it could not be written; answer with `LedgerWritten` or `LedgerFailed`."""


class Examine(NamedTuple):
    """Look at scripts and their paths, answer with `Examined`."""

    commands: tuple[tuple[str, Command], ...]
    """Each with what it is in the file: `notify_master of VI_1`."""


class StartScript(NamedTuple):
    """Start it in a process group of its own; `ScriptEnded` follows."""

    run: int
    label: str
    """For the log: `notify_master of VI_1`."""
    command: Command


class EndScript(NamedTuple):
    """Signal the process group of a running script: SIGTERM, or SIGKILL when `forced`."""

    run: int
    forced: bool


class Subscribe(NamedTuple):
    """Hear these states from now on."""

    topic: str


class OpenFifos(NamedTuple):
    """Have these FIFOs and no others; those that are missing are made. `FifoTrouble` for each that fails."""

    fifos: tuple[Fifo, ...]


class WriteFifo(NamedTuple):
    """Write one line, whole or not at all, without waiting; `FifoTrouble` when it is lost."""

    path: str
    line: bytes


class SendMail(NamedTuple):
    """Begin to send a mail; `MailEnded` follows."""

    mail: Mail
    subject: str
    body: str
