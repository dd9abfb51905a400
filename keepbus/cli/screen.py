"""A whole terminal for a page that is drawn again and again: plain ANSI, the alternate screen.

Law of this file: however the program ends short of SIGKILL, the terminal is as it was; also while it is
stopped by Ctrl-Z.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import sys
import termios
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import Any

from keepbus.cli.terminal import cut

_ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l"
"""The other screen, no cursor, no wrapping at the margin."""
_LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l"
_HOME = "\x1b[H"
_CLEAR_LINE = "\x1b[K"
_CLEAR_BELOW = "\x1b[J"
_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_OTHERS = (signal.SIGTSTP, signal.SIGCONT, signal.SIGWINCH)


class Screen:
    """The terminal, from `with` to its end. SIGTERM and SIGHUP end it like Ctrl-C: KeyboardInterrupt."""

    def __init__(self) -> None:
        self.stale = True
        """What is shown is not on the terminal any more, or was laid out for another size."""
        self._before: dict[signal.Signals, Any] = {}
        self._keys: int | None = None
        self._mode: list[Any] | None = None

    def __enter__(self) -> Screen:
        if sys.stdin is not None and sys.stdin.isatty():
            self._keys = sys.stdin.fileno()
            self._mode = termios.tcgetattr(self._keys)
        for number in (*_ENDS, *_OTHERS):
            self._before[number] = signal.signal(number, self._on_signal)
        try:
            self._take()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number in _ENDS:  # whoever is in a hurry must not get half a terminal
            signal.signal(number, signal.SIG_IGN)
        self._give_back()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def size(self) -> tuple[int, int]:
        """Columns and rows."""
        size = shutil.get_terminal_size((80, 24))
        return max(1, size.columns), max(1, size.lines)

    def draw(self, lines: Sequence[str]) -> None:
        """Show these lines, as far as they fit, in one write."""
        width, rows = self.size()
        self.stale = False
        page = "\r\n".join(f"{cut(line, width)}{_CLEAR_LINE}" for line in lines[:rows])
        _write(f"{_HOME}{page}{_CLEAR_BELOW}")

    def key(self) -> str:
        """What was typed since the last look, empty for nothing."""
        if self._keys is None or not select.select([self._keys], [], [], 0)[0]:
            return ""
        return os.read(self._keys, 64).decode("ascii", "replace")

    def _take(self) -> None:
        if self._keys is not None:
            quiet = termios.tcgetattr(self._keys)
            quiet[3] &= ~(termios.ECHO | termios.ICANON)
            termios.tcsetattr(self._keys, termios.TCSADRAIN, quiet)
        _write(_ENTER)
        self.stale = True

    def _give_back(self) -> None:
        # The terminal itself may be gone.
        with contextlib.suppress(OSError):
            _write(_LEAVE)
        if self._keys is not None and self._mode is not None:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._keys, termios.TCSADRAIN, self._mode)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGWINCH:
            self.stale = True
        elif number == signal.SIGTSTP:
            self._give_back()
            os.kill(os.getpid(), signal.SIGSTOP)
        elif number == signal.SIGCONT:
            self._take()
        else:
            raise KeyboardInterrupt


def usable() -> str:
    """Why standard output can't be a screen, in a few words; empty when it can."""
    if not sys.stdout.isatty():
        return "standard output is no terminal"
    if os.environ.get("TERM", "dumb") in ("", "dumb"):
        return "this terminal cannot move its cursor (TERM)"
    return ""


def fit(lines: Sequence[str], rows: int, tail: int) -> list[str]:
    """Lines for so many rows: where they don't fit the middle is left out, and that is said.

    tail is how many of the last lines matter most; they get up to half of the rows.
    """
    if len(lines) <= rows:
        return list(lines)
    # Of a tail that is too long the beginning: worst first.
    start = len(lines) - tail
    if rows < 3:
        return list(lines[min(start, len(lines) - rows) :][:rows])
    kept = min(tail, rows // 2)
    head = rows - kept - 1
    hidden = len(lines) - head - kept
    return [*lines[:head], f"… {hidden} lines more in a taller terminal", *lines[start : start + kept]]


def _write(text: str) -> None:
    """All of it, at once."""
    octets = text.encode("utf-8", "replace")
    while octets:
        octets = octets[os.write(sys.stdout.fileno(), octets) :]
