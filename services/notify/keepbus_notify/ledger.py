"""RUNDIR/notify/ledger: which scripts were started, so that no restart starts one twice.

One JSON array per line, appended with fdatasync before the script starts. A torn last line tells of a
script that was not started yet, and is ignored. The file is rewritten with what still matters before the
first line, when it has grown, and after a line that could not be written: the newest entries of the newest
lives of each name. What was read is known even where nothing can be written.
"""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

from keepbus_notify.effects import MAILED, QUEUED, TOLD, LedgerEntry

_KEPT_LIVES = 4
_COMPACT_AFTER = 5000
"""Entries appended before the file is rewritten."""


class Ledger:
    """The file, open for appending."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries: list[LedgerEntry] = []
        self._fd = -1
        self._whole = False
        """All entries are in the file, and nothing torn."""
        self._appended = 0

    def read(self) -> tuple[LedgerEntry, ...]:
        """All entries that still matter, oldest first. Raises OSError."""
        try:
            lines = self._path.read_bytes().split(b"\n")
        except FileNotFoundError:
            lines = []
        self._entries = _newest([entry for entry in map(_parse, lines) if entry is not None])
        return tuple(self._entries)

    def append(self, entry: LedgerEntry, *, durable: bool) -> None:
        """Append; on the disk when it returns if `durable`. Raises OSError."""
        self._entries.append(entry)
        self._appended += 1
        if not self._whole or self._appended > _COMPACT_AFTER:
            self.renew()
            return
        line = json.dumps(entry, ensure_ascii=False).encode() + b"\n"
        self._whole = False
        if os.write(self._fd, line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if durable:
            os.fdatasync(self._fd)
        self._whole = True

    def renew(self) -> None:
        """Write what matters to a new file and put it in the place of the old one. Raises OSError."""
        self._entries = _newest(self._entries)
        self._path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        fresh = self._path.with_suffix(".new")
        text = "".join(f"{json.dumps(entry, ensure_ascii=False)}\n" for entry in self._entries)
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
        try:
            _write_all(fd, text.encode())
            os.fdatasync(fd)
            os.rename(fresh, self._path)
        except BaseException:
            os.close(fd)
            raise
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._whole, self._appended = fd, True, 0


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _parse(line: bytes) -> LedgerEntry | None:
    try:
        name, life, number, script, last = json.loads(line)
    except (ValueError, TypeError):
        return None
    if [type(value) for value in (name, life, number, script, last)] != [str, str, int, str, bool]:
        return None
    return LedgerEntry(name, life, number, script, last)


def _newest(entries: list[LedgerEntry]) -> list[LedgerEntry]:
    """Of each name the last lives, of each life what its last step and its mails need."""
    lives: dict[str, dict[str, _Life]] = {}
    for entry in entries:
        of_name = lives.setdefault(entry.name, {})
        life = of_name.pop(entry.life, None) or _Life()
        of_name[entry.life] = life
        life.add(entry)
    return [
        entry
        for of_name in lives.values()
        for life in list(of_name)[-_KEPT_LIVES:]
        for entry in of_name[life].kept()
    ]


class _Life:
    """What matters of one life of one object."""

    def __init__(self) -> None:
        self._scripts: list[LedgerEntry] = []
        self._told: list[LedgerEntry] = []
        self._mails: dict[int, LedgerEntry] = {}

    def add(self, entry: LedgerEntry) -> None:
        """Scripts of the last step, the last step that FIFOs were told, mails that were not got rid of."""
        if entry.script == QUEUED:
            self._mails[entry.number] = entry
        elif entry.script == MAILED:
            self._mails.pop(entry.number, None)
        elif entry.script == TOLD:
            self._told = [entry]
        else:
            newest = self._scripts[-1].number if self._scripts else 0
            if entry.number > newest:
                self._scripts = [entry]
            elif entry.number == newest:
                self._scripts.append(entry)

    def kept(self) -> list[LedgerEntry]:
        """Oldest first, as far as their order matters."""
        return [*self._scripts, *self._told, *self._mails.values()]
