"""`reload_time_file`: a file with the moment of the next reload (features 4).

Law of this file: it is looked at once a second and costs two system calls then. A file that comes, changes or
goes counts at once; one that cannot be read, or holds no moment to come, is told once.
"""

from __future__ import annotations

import calendar
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

_DAY_S = 86_400
_FORMS = {8: "%H:%M:%S", 17: "%y-%m-%d %H:%M:%S", 19: "%Y-%m-%d %H:%M:%S"}
"""By their length."""
_TIME_ONLY = 8
_MOST_OCTETS = 64


class TimedReload:
    """Of one node. Times are wall clock, seconds."""

    def __init__(self, run_dir: Path, say: Callable[[str], object]) -> None:
        """say tells the operator a sentence."""
        self._current = run_dir / "config" / "current"
        self._say = say
        self._second = 0
        self._generation = ""
        self._path = ""
        self._repeats = False
        self._seen: tuple[int, ...] = ()
        """The file as it was when it was read."""
        self._daily = False
        self._at_s = 0
        """0: no reload is to come."""

    def due(self, now_s: float) -> bool:
        """True when it is time to reload; the file is gone then, unless it says so for each day."""
        if int(now_s) == self._second:
            return False
        self._second = int(now_s)
        self._configure()
        if not self._path:
            return False
        self._look(now_s)
        if not self._at_s or now_s < self._at_s:
            return False
        self._at_s = 0
        if self._daily and self._repeats:
            self._seen = ()  # to be read anew: tomorrow, then
        else:
            try:
                os.unlink(self._path)
            except OSError as error:
                self._say(f"reload_time_file {self._path} cannot be removed: {error.strerror}")
        return True

    def _configure(self) -> None:
        """What the generation says that runs. Not through the model, which would stay in memory for it."""
        try:
            generation = os.readlink(self._current)
            if generation == self._generation:
                return
            found = json.loads((self._current / "global_defs.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return
        self._generation = generation
        path = found.get("reload_time_file", "")
        if path != self._path:
            self._path, self._seen, self._at_s = path, (), 0
        self._repeats = bool(found.get("reload_repeat"))

    def _look(self, now_s: float) -> None:
        try:
            stat = os.stat(self._path)
        except OSError:
            self._seen, self._at_s = (), 0
            return
        seen = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if seen == self._seen:
            return
        self._seen, self._at_s = seen, 0
        try:
            self._at_s, self._daily = moment(_text(self._path), now_s)
        except (OSError, ValueError) as reason:
            self._say(f"reload_time_file {self._path} is ignored: {reason}")
            return
        self._say(f"a reload comes at {time.strftime('%Y-%m-%d %H:%M:%S %Z', time.localtime(self._at_s))}")


def _text(path: str) -> str:
    """What the file begins with; never waits, though it be a FIFO. Raises OSError, ValueError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        text = os.read(descriptor, _MOST_OCTETS).decode().strip()
    finally:
        os.close(descriptor)
    if not text.isprintable():
        raise ValueError("it holds characters that are no text")
    return text


def moment(text: str, now_s: float) -> tuple[int, bool]:
    """When that is, and whether it is a time of each day. Raises ValueError for what is no moment to come."""
    utc = text.endswith("Z")
    words = text.removesuffix("Z").strip()
    form = _FORMS.get(len(words))
    try:
        told = time.strptime(words, form or "")
    except ValueError:
        told = None
    if form is None or told is None:
        raise ValueError(
            f"`{text}` is none of HH:MM:SS, YY-MM-DD HH:MM:SS, YYYY-MM-DD HH:MM:SS, with or without Z"
        )
    daily = len(words) == _TIME_ONLY
    for days in (0, 1) if daily else (0,):
        day = _day(now_s + days * _DAY_S, utc=utc) if daily else told[:3]
        parts = (*day, *told[3:6], 0, 0, -1)
        at_s = calendar.timegm(parts) if utc else int(time.mktime(parts))
        if at_s > now_s:
            return at_s, daily
    raise ValueError(f"{text} is over")


def _day(at_s: float, *, utc: bool) -> tuple[int, int, int]:
    year, month, day, *_ = time.gmtime(at_s) if utc else time.localtime(at_s)
    return year, month, day
