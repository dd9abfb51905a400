"""Log lines that never block the process that writes them.

structlog makes the line; it goes to standard error in one write. supervisord reads that pipe; when it does
not (it is stopped, or the disk behind it hangs) lines are dropped and counted, because a log line is worth
less than an advert.
"""

from __future__ import annotations

import os
import stat
import sys

import structlog


class Sink:
    """Standard error, non-blocking where it is a pipe."""

    def __init__(self, fd: int = 2) -> None:
        self._fd = fd
        self.lost = 0
        """Lines that could not be written since the last one that could."""
        # A terminal is shared with the shell: its mode is not ours to change.
        if stat.S_ISFIFO(os.fstat(fd).st_mode) or stat.S_ISSOCK(os.fstat(fd).st_mode):
            os.set_blocking(fd, False)

    def msg(self, line: str) -> None:
        """Write one line."""
        if self.lost:
            line = f"{line} lost_lines={self.lost}"
        try:
            os.write(self._fd, f"{line}\n".encode(errors="backslashreplace"))
        except OSError:
            self.lost += 1
        else:
            self.lost = 0

    debug = info = warning = error = critical = msg


def configure(
    service: str, *, level: str = "info", as_json: bool = False
) -> structlog.typing.FilteringBoundLogger:
    """The logger of this process: colour on a terminal, logfmt otherwise, JSON lines when asked."""
    renderer: structlog.typing.Processor
    if as_json:
        renderer = structlog.processors.JSONRenderer()
    elif sys.stderr.isatty():
        renderer = structlog.dev.ConsoleRenderer()
    else:
        renderer = structlog.processors.LogfmtRenderer(
            key_order=("timestamp", "level", "service", "event"), bool_as_flag=False
        )
    sink = Sink()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: sink,
        cache_logger_on_first_use=True,
    )
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(service=service)
    return logger
