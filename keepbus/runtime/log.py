"""Log lines that never block the process that writes them.

A line goes to standard error in one write. supervisord reads that pipe; when it does not (it is stopped, or
the disk behind it hangs) lines are dropped and counted, because a log line is worth less than an advert.
"""

from __future__ import annotations

import json
import os
import stat
import sys
import time

LEVELS = ("debug", "info", "warning", "error")
_WIDEST_LEVEL = len("warning")
_WIDEST_SERVICE = len("watchdog")
_COLOURS = {"debug": "2", "info": "32", "warning": "33", "error": "31"}
"""Of the level's word on a terminal."""


class Logger:
    """The logger of a process. Fields are appended to a line as key=value."""

    def __init__(self, service: str, *, level: str = "info", as_json: bool = False) -> None:
        """Lines below `level` are dropped. Colour on a terminal, plain text otherwise, JSON when asked."""
        self._service = service
        self._levels = LEVELS[LEVELS.index(level) :]
        self._as_json = as_json
        self._coloured = sys.stderr.isatty()
        self._sink = Sink()

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

    def _say(self, level: str, text: str, fields: dict[str, object]) -> None:
        if level not in self._levels:
            return
        now_ns = time.time_ns()
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now_ns // 1_000_000_000))
        moment = f"{moment}.{now_ns // 1_000_000 % 1000:03d}Z"
        if self._as_json:
            about = {"timestamp": moment, "level": level, "service": self._service, "event": text}
            self._sink.msg(json.dumps({**fields, **about}, default=str))
            return
        word = level.ljust(_WIDEST_LEVEL)
        if self._coloured:
            word = f"\033[{_COLOURS[level]}m{word}\033[0m"
        pairs = "".join(f"  {key}={value}" for key, value in fields.items())
        line = f"{moment} {word} {self._service.ljust(_WIDEST_SERVICE)} {text}{pairs}"
        self._sink.msg(line.replace("\n", "\\n"))


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
