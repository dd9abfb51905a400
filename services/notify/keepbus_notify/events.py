"""What happens to the notify machine, beside the bus and the configuration."""

from __future__ import annotations

from typing import NamedTuple


class LedgerRead(NamedTuple):
    """The ledger as an earlier process left it: `LedgerEntry` tuples, oldest first."""

    entries: tuple[tuple[str, str, int, str, bool], ...]


class LedgerFailed(NamedTuple):
    """An entry could not be made durable; `error` is the system's word for it."""

    error: str


class LedgerWritten(NamedTuple):
    """All entries are in the file again, after `LedgerFailed`."""


class Examined(NamedTuple):
    """The scripts of the configuration were looked at; one sentence for each finding."""

    refused: tuple[str, ...]
    """About scripts that will not be run."""
    warned: tuple[str, ...]
    """About scripts that run although something is wrong."""


class ScriptEnded(NamedTuple):
    """A script ended, or could not be started (127, took_us 0 and the reason in `error`)."""

    run: int
    exit_status: int
    """Negative for a signal."""
    started_ns: int
    """Wall clock, nanoseconds."""
    took_us: int
    user: str
    """Whom it ran as; empty when it was not started."""
    error: str
    """Why it could not be started; else its last line of output."""


class FifoTrouble(NamedTuple):
    """A FIFO could not be opened (lost 0), or lines were lost because nobody reads it."""

    path: str
    lost: int
    error: str


class MailEnded(NamedTuple):
    """A try to send a mail ended; well when `error` is empty."""

    error: str
    for_good: bool
    """The server will say the same again (5xx)."""
