"""RUNDIR/locks/NAME: who is the service NAME, told by the kernel.

An exclusive record lock for the life of the process, so that two copies never run together. Not flock: that
is given up with the file's last reference, which for a killed process comes after the kernel has waited for
its packet sockets (9 ms, and 80 under load); a record lock goes when its descriptors are closed (2.5 ms).
The process must not open the file a second time, closing it would give the lock up.

The file's text is the holder's pid, or `stopped` after an orderly end, and empty lines.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path

_STOPPED = "stopped"
_TEXT_OCTETS = 20
_LOOK_S = 0.01


class Lock:
    """One lock file, open."""

    def __init__(self, run_dir: Path, name: str) -> None:
        """Raises OSError when it cannot be made."""
        self.path = run_dir / "locks" / name
        self.path.parent.mkdir(mode=0o750, exist_ok=True)
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)

    def take(self, patience_s: float = 0.0) -> bool:
        """Hold it and sign it; False when somebody else holds it for longer than patience_s."""
        deadline = time.monotonic() + patience_s
        while True:
            try:
                fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except (BlockingIOError, PermissionError):  # POSIX allows both
                if time.monotonic() >= deadline:
                    return False
                time.sleep(_LOOK_S)
        self.sign()
        return True

    def wait(self) -> None:
        """Hold it; the kernel wakes this thread the moment that the holder is gone, however it went."""
        fcntl.lockf(self._fd, fcntl.LOCK_EX)

    def sign(self) -> None:
        """Write this process's id."""
        self._write(str(os.getpid()))

    def sign_off(self) -> None:
        """Say that the holder ends because it was told to."""
        self._write(_STOPPED)

    def signature(self) -> str:
        """What the last holder wrote; empty when it wrote nothing."""
        return os.pread(self._fd, _TEXT_OCTETS, 0).decode(errors="replace").strip()

    def stopped_on_purpose(self) -> bool:
        """True when the last holder was told to end."""
        return self.signature() == _STOPPED

    def release(self) -> None:
        """Let somebody else have it."""
        os.close(self._fd)

    def _write(self, text: str) -> None:
        # Over what is there, always of one length: it takes no room, which a full disk may not have, and a
        # reader finds the old text or the new one. Who holds the lock is the kernel's word; without its
        # signature the service works as well.
        with contextlib.suppress(OSError):
            os.pwrite(self._fd, text.ljust(_TEXT_OCTETS, "\n").encode(), 0)
