"""RUNDIR/vrrp/memory: what the instances leave for the next process, in a mapped file.

Law of this file: writing is a store into memory, never a system call that could wait for a disk; a process
that is killed between two stores leaves the last whole record behind; and the file has all its room before
it is written to, for a store into a file that a full file system has no room for kills the process.

The file is an array of cells, one per instance: 64-bit words (the moment of the last advert, the end of the
lease, six counters), the instance's identity, then two copies of the record. A write goes into the older
copy, its head (number, length, CRC) last; a copy whose CRC is wrong does not exist.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
import zlib
from pathlib import Path

_CELL = 33_792
_COPY = 16_384
_KEY_AT = 64
_COPIES_AT = 1024
_FIRST_CELLS = 8
_MAGIC = b"keepbus vrrp memory 1\n".ljust(64, b"\0")
_FILE_HEAD = 4096
_LEASE = struct.Struct("=QQ")
_COUNTERS = struct.Struct("=6Q")
_COUNTERS_AT = _LEASE.size
_HEAD = struct.Struct("=QII")


class Memory:
    """The mapped file. Every method but `open` only touches memory, but for growing."""

    def __init__(self, path: Path) -> None:
        """Open or make the file; one of another version is made anew. Raises OSError."""
        path.parent.mkdir(mode=0o750, exist_ok=True)
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
        size = os.fstat(self._fd).st_size
        least = _FILE_HEAD + _FIRST_CELLS * _CELL
        if size < least or (size - _FILE_HEAD) % _CELL or os.pread(self._fd, len(_MAGIC), 0) != _MAGIC:
            os.ftruncate(self._fd, 0)
            size = least
            os.posix_fallocate(self._fd, 0, size)
            os.pwrite(self._fd, _MAGIC, 0)
        else:
            os.posix_fallocate(self._fd, 0, size)
        self._map = mmap.mmap(self._fd, 0)
        self._cells: dict[str, int] = {}
        self._free: list[int] = []
        for at in range(_FILE_HEAD, len(self._map), _CELL):
            if self._newest(at) is None:
                self._free.append(at)
            else:
                self._cells[self._key(at)] = at

    def read(self) -> list[tuple[str, int, int, tuple[int, ...]]]:
        """All records, each with the moment of the last advert, the end of the lease and the counters."""
        found = []
        for at in self._cells.values():
            newest = self._newest(at)
            if newest is not None:
                body_at = newest[1] + _HEAD.size
                text = self._map[body_at : body_at + newest[2]].decode(errors="replace")
                counters = _COUNTERS.unpack_from(self._map, at + _COUNTERS_AT)
                found.append((text, *_LEASE.unpack_from(self._map, at), counters))
        return found

    def write(self, key: str, record: str, *, holds_lease: bool) -> None:
        """Keep a record. Raises ValueError when it is longer than a copy, OSError when there is no room for
        another instance; its lease and counters are not kept then either."""
        payload = record.encode()
        if len(payload) > _COPY - _HEAD.size:
            raise ValueError(f"the record of {key} takes {len(payload)} octets")
        at = self._cell(key)
        newest = self._newest(at)
        number, to = 0, at + _COPIES_AT
        if newest is not None:
            number = newest[0]
            if newest[1] == to:
                to += _COPY
        if not holds_lease:
            _LEASE.pack_into(self._map, at, _LEASE.unpack_from(self._map, at)[0], 0)
        body_at = to + _HEAD.size
        _HEAD.pack_into(self._map, to, 0, 0, 0)
        self._map[body_at : body_at + len(payload)] = payload
        _HEAD.pack_into(self._map, to, number + 1, len(payload), _crc(payload, number + 1))

    def renew(self, key: str, sent_at_ns: int, lease_end_ns: int) -> None:
        """An advert left."""
        at = self._room(key)
        if at is not None:
            _LEASE.pack_into(self._map, at, sent_at_ns, lease_end_ns)

    def count(self, key: str, counters: tuple[int, int, int, int, int, int]) -> None:
        """Keep counters."""
        at = self._room(key)
        if at is not None:
            _COUNTERS.pack_into(self._map, at + _COUNTERS_AT, *counters)

    def forget(self, key: str) -> None:
        """Empty a cell."""
        at = self._cells.pop(key, None)
        if at is not None:
            for copy_at in (at + _COPIES_AT, at + _COPIES_AT + _COPY):
                _HEAD.pack_into(self._map, copy_at, 0, 0, 0)
            self._free.append(at)

    def close(self) -> None:
        """Unmap."""
        self._map.close()
        os.close(self._fd)

    def _newest(self, at: int) -> tuple[int, int, int] | None:
        """Number, place and length of the cell's last whole copy."""
        newest = None
        for copy_at in (at + _COPIES_AT, at + _COPIES_AT + _COPY):
            number, length, crc = _HEAD.unpack_from(self._map, copy_at)
            if not number or length > _COPY - _HEAD.size or (newest is not None and number < newest[0]):
                continue
            body_at = copy_at + _HEAD.size
            if _crc(self._map[body_at : body_at + length], number) == crc:
                newest = (number, copy_at, length)
        return newest

    def _key(self, at: int) -> str:
        return self._map[at + _KEY_AT : at + _COPIES_AT].rstrip(b"\0").decode(errors="replace")

    def _room(self, key: str) -> int | None:
        """The cell of an instance; None when there is no room for it."""
        at = self._cells.get(key)
        if at is None:
            with contextlib.suppress(OSError):
                at = self._cell(key)
        return at

    def _cell(self, key: str) -> int:
        """The cell of an instance, a free or new one the first time. Raises OSError."""
        at = self._cells.get(key)
        if at is None:
            if not self._free:
                end = len(self._map)
                os.posix_fallocate(self._fd, end, _FIRST_CELLS * _CELL)
                self._map.resize(end + _FIRST_CELLS * _CELL)
                self._free.extend(range(end, len(self._map), _CELL))
            at = self._cells[key] = self._free.pop()
            name = key.encode()[: _COPIES_AT - _KEY_AT]
            self._map[at + _KEY_AT : at + _COPIES_AT] = name.ljust(_COPIES_AT - _KEY_AT, b"\0")
            self._map[at : at + _KEY_AT] = bytes(_KEY_AT)
        return at


def _crc(payload: bytes, number: int) -> int:
    """Over number and record together, so that neither is ever believed without the other."""
    return zlib.crc32(payload, number & 0xFFFFFFFF)
