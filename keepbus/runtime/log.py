"""Log lines that never block the process that writes them.

structlog makes the line; it goes to standard error in one write. supervisord reads that pipe; when it does
not (it is stopped, or the disk behind it hangs) lines are dropped and counted, because a log line is worth
less than an advert. structlog is imported with the first line: a restarted vrrp sends its first advert
before it has anything to log. A standby has the time to do it before.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import structlog

_WIDEST_LEVEL = len("warning")
_WIDEST_SERVICE = len("watchdog")


class Logger:
    """The logger of a process. Fields are appended to a line as key=value."""

    def __init__(self, service: str, *, level: str = "info", as_json: bool = False) -> None:
        """Lines below `level` are dropped. Colour on a terminal, plain text otherwise, JSON when asked."""
        self._service = service
        self._level = level
        self._as_json = as_json
        self._sink = Sink()
        self._logger: structlog.typing.FilteringBoundLogger | None = None

    def debug(self, text: str, **fields: object) -> None:
        """For whoever works on keepbus."""
        self._say("debug", text, fields)

    def info(self, text: str, **fields: object) -> None:
        """What an operator wants to find afterwards."""
        self._say("info", text, fields)

    def warning(self, text: str, **fields: object) -> None:
        """Something is not as it should be; keepbus goes on."""
        self._say("warning", text, fields)

    def error(self, text: str, **fields: object) -> None:
        """Something does not work until somebody does something."""
        self._say("error", text, fields)

    def prepare(self) -> None:
        """Import now what the first line would import, 80 ms long."""
        # No descriptor, or no disk, to import it with: the next line tries again.
        with contextlib.suppress(ImportError, OSError):
            self._logger = self._logger or self._make()

    def _say(self, level: str, text: str, fields: dict[str, object]) -> None:
        self.prepare()
        if self._logger is None:
            self._sink.lost += 1
            return
        getattr(self._logger, level)(text, **fields)

    def _make(self) -> structlog.typing.FilteringBoundLogger:
        import structlog

        renderer: structlog.typing.Processor = plain
        if self._as_json:
            renderer = structlog.processors.JSONRenderer()
        elif sys.stderr.isatty():
            renderer = structlog.dev.ConsoleRenderer()
        structlog.configure(
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.format_exc_info,
                renderer,
            ],
            wrapper_class=structlog.make_filtering_bound_logger(self._level),
            logger_factory=lambda *_: self._sink,
            cache_logger_on_first_use=True,
        )
        logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(service=self._service)
        return logger


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


def plain(_logger: object, _method: str, fields: Any) -> str:
    """A structlog renderer: moment, level, service, text, then fields, one line each."""
    moment = str(fields.pop("timestamp"))[:23]
    level = str(fields.pop("level")).ljust(_WIDEST_LEVEL)
    service = str(fields.pop("service")).ljust(_WIDEST_SERVICE)
    text = str(fields.pop("event"))
    pairs = "".join(f"  {key}={value}" for key, value in fields.items())
    return f"{moment}Z {level} {service} {text}{pairs}".replace("\n", "\\n")
