"""RUNDIR/audit/journal.jsonl: appending, rotation, and what to do when the disk is full.

Whole lines only: when a write ends in the middle of one, by a full disk or a crash, the next write begins
on a new line. What could not be written is counted, and told in a line of its own once there is room:
`{"time": …, "lost": 12, "reason": "No space left on device"}`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Sequence
from pathlib import Path

from keepbus_audit.line import of_loss

DEFAULT_SIZE = 10 << 20
DEFAULT_FILES = 5
_MODE = 0o640


class Journal:
    """The open file. `path.1` is the one before it, `path.2` older, up to `files` in all."""

    def __init__(self, path: Path, *, size: int = DEFAULT_SIZE, files: int = DEFAULT_FILES) -> None:
        self.path = path
        self._limit = size
        self._files = files
        self._fd = -1
        self._inode = (0, 0)
        self._torn = False
        self._untold = 0
        self._reason = ""
        self.octets = 0
        self.rotations = 0
        self.lost = 0

    def open(self) -> None:
        """Open or make the file; raises OSError."""
        self.close()
        self.path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(self.path, flags, _MODE)
        status = os.fstat(fd)
        self._fd, self._inode, self.octets = fd, (status.st_dev, status.st_ino), status.st_size
        self._torn = self.octets > 0 and os.pread(fd, 1, self.octets - 1) != b"\n"

    def append(self, lines: Sequence[str]) -> None:
        """Append lines. OSError when not all could be written; the rest is counted in `lost`."""
        data = b"".join(line.encode(errors="backslashreplace") + b"\n" for line in lines)
        count = len(lines)
        if self._untold:
            data = of_loss(time.time_ns(), self._untold, self._reason).encode() + b"\n" + data
            count += 1
        try:
            self._be_open()
            if self.octets and self.octets + len(data) > self._limit:
                self._rotate()
            written = self._write(data)
        except OSError as error:
            self._count_lost(len(lines), error.strerror or str(error))
            raise
        if written < len(data):
            # A line that lacks its newline only is whole: the next write begins with one.
            done = data[: written + 1].count(b"\n")
            if self._untold and done:
                self._untold, done, count = 0, done - 1, count - 1
            self._count_lost(min(count - done, len(lines)), os.strerror(errno.ENOSPC))
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._untold = 0

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _be_open(self) -> None:
        """Open anew when somebody moved or removed the file, as logrotate does."""
        if self._fd >= 0:
            with contextlib.suppress(FileNotFoundError):
                status = os.stat(self.path)
                if (status.st_dev, status.st_ino) == self._inode:
                    return
        self.open()

    def _write(self, data: bytes) -> int:
        """Octets of data that are in the file now."""
        prefix = b"\n" if self._torn else b""
        written = os.write(self._fd, prefix + data)
        self.octets += written
        if written:
            self._torn = written < len(prefix) + len(data) and (prefix + data)[written - 1 : written] != b"\n"
        return max(0, written - len(prefix))

    def _rotate(self) -> None:
        """Move each file one place on; the last one goes. The journal goes on even when that fails."""
        try:
            for number in range(self._files - 1, 0, -1):
                older = self.path if number == 1 else self._numbered(number - 1)
                with contextlib.suppress(FileNotFoundError):
                    os.replace(older, self._numbered(number))
            if self._files == 1:
                self.path.unlink()
        except OSError:
            return
        self.open()
        self.rotations += 1

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")

    def _count_lost(self, lines: int, reason: str) -> None:
        self.lost += lines
        self._untold += lines
        self._reason = reason
