"""One section of the compiled configuration, loaded again and again.

Law of this file: what did not change is not read and stays the very object that it was. Each element of a
section's lists stands on a line of its own (generation.py). The file of the last time stays open, because its
generation may be gone by the next; of both files only what lies between the first and the last line that
differ is taken apart, and of that only lines that were not there before, one after the other. Where this is
of no use the section is loaded as a whole.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from keepbus.contracts.schema import from_plain
from keepbus.runtime import generation

SectionT = TypeVar("SectionT")

_COMPARED_AT_ONCE = 4096


class Loader(Generic[SectionT]):
    """Loads a section, and from the second time on what changed of it."""

    def __init__(self, run_dir: Path, section: str, cls: type[SectionT]) -> None:
        self._run_dir = run_dir
        self._name = section
        self._cls = cls
        self._earlier: tuple[SectionT, _Open] | None = None
        """The section of the last time, and its file."""

    def load(self) -> tuple[int, SectionT]:
        """The current generation's number and its section; raises NoConfigurationError."""
        number, section = self._by_line() or generation.load(self._run_dir, self._name, self._cls)
        file = _Open.of(self._run_dir / "config" / str(number) / f"{self._name}.json")
        self._earlier = None if file is None else (section, file)
        return number, section

    def _by_line(self) -> tuple[int, SectionT] | None:
        """What changed since the last time; None when that does not do."""
        earlier, self._earlier = self._earlier, None
        opened = contextlib.nullcontext() if earlier is None else earlier[1]
        # What is wrong with a file says whoever reads it as a whole.
        with opened, contextlib.suppress(OSError, ValueError, TypeError):
            directory = (self._run_dir / "config" / "current").resolve(strict=True)
            after = (directory / f"{self._name}.json").read_bytes()
            section, before = (None, b"") if earlier is None else (earlier[0], earlier[1].read())
            return int(directory.name), _merge(self._cls, section, before, after)
        return None


class _Open(NamedTuple):
    """A file that is kept open."""

    number: int
    octets: int
    written_ns: int

    @classmethod
    def of(cls, path: Path) -> _Open | None:
        try:
            number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        status = os.fstat(number)
        return cls(number, status.st_size, status.st_mtime_ns)

    def read(self) -> bytes:
        """All of it; raises ValueError when it is not as it was."""
        status = os.fstat(self.number)
        octets = os.pread(self.number, self.octets, 0)
        if (status.st_size, status.st_mtime_ns, len(octets)) != (self.octets, self.written_ns, self.octets):
            raise ValueError("somebody wrote to it")
        return octets

    def __enter__(self) -> None:
        """Within, it can still be read."""

    def __exit__(self, *_: object) -> None:
        os.close(self.number)


class _List(NamedTuple):
    """A list of the new file in terms of the old one's."""

    head: tuple[Any, ...]
    lines: bytes
    """What is between the two that are as they were."""
    known: dict[bytes, Any]
    """What some of the lines stand for."""
    tail: tuple[Any, ...]

    def merged(self, kind: type[Any]) -> tuple[Any, ...]:
        """All of it; kind is the class of an element."""
        # One line after the other: what lies between a line and its object is much larger than both.
        return (*self.head, *(self._object(line, kind) for line in _elements(self.lines)), *self.tail)

    def _object(self, line: bytes, kind: type[Any]) -> Any:
        known = self.known.get(line)
        return from_plain(kind, json.loads(line)) if known is None else known


def _merge(cls: type[SectionT], section: SectionT | None, before: bytes, after: bytes) -> SectionT:
    """The section of the file `after`, given that of `before`; raises ValueError."""
    if section is not None and before == after:
        return section
    earlier = _lists(before)
    small, position, values = b"", 0, {}
    kinds = typing.get_type_hints(cls)
    for name, (start, end) in _lists(after).items():
        old_start, old_end = earlier.get(name, (0, 0))
        found = _compare(getattr(section, name, ()), before[old_start:old_end], after[start:end])
        (kind, *_) = typing.get_args(kinds.get(name)) or (Any,)
        values[name] = found.merged(kind)
        small += after[position:start]
        position = end
    plain: Any = from_plain(cls, json.loads(small + after[position:]))
    merged: SectionT = dataclasses.replace(plain, **values)
    return merged


def _lists(octets: bytes) -> dict[str, tuple[int, int]]:
    """Where the lines of each list begin and end; raises ValueError."""
    found = {}
    position = 0
    while (colon := octets.find(b": [\n", position)) >= 0:
        name = json.loads(octets[octets.rfind(b"\n", 0, colon) + 1 : colon])
        start = colon + len(b": [\n")
        position = octets.index(b"\n]", start) + 1
        found[name] = start, position
    return found


def _compare(objects: tuple[Any, ...], before: bytes, after: bytes) -> _List:
    """The list of the lines `after`; objects are those of `before`."""
    if before.count(b"\n") != len(objects):
        raise ValueError("not one line for each element")
    head = _same_lines(before, after)
    before_end, after_end = len(before), len(after)
    tail = _same_octets(before[: head - 1 if head else None : -1], after[: head - 1 if head else None : -1])
    if tail:
        # Without the line, or the part of one, with which it begins.
        start = before.index(b"\n", before_end - tail) + 1
        after_end -= before_end - start
        before_end = start
    first, last = before.count(b"\n", 0, head), len(objects) - before.count(b"\n", before_end)
    known = dict(zip(_elements(before[head:before_end]), objects[first:last], strict=True))
    return _List(objects[:first], after[head:after_end], known, objects[last:])


def _elements(lines: bytes) -> Iterator[bytes]:
    return (line.rstrip(b",\n") for line in io.BytesIO(lines))


def _same_lines(one: bytes, other: bytes) -> int:
    """Length of the whole lines at the beginning that are the same."""
    return one.rfind(b"\n", 0, _same_octets(one, other)) + 1


def _same_octets(one: bytes, other: bytes) -> int:
    """How many octets at the beginning are the same."""
    most = min(len(one), len(other))
    step = _COMPARED_AT_ONCE
    at = 0
    while at < most and one[at : at + step] == other[at : at + step]:
        at += step
    while at < most and one[at] == other[at]:
        at += 1
    return min(at, most)
