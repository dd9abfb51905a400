"""Reading the audit journal, the rotated files too."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keepbus.cli.terminal import plural
from keepbus.contracts.message import Body, body_class
from keepbus.contracts.schema import SchemaError, from_plain

# As keepbus.contracts.record writes it; a `topic` further on belongs to the body.
_TOPIC = re.compile(rb'\{"time":"[^"\\]*","topic":"([^"\\]*)"')


@dataclass(frozen=True, slots=True)
class Entry:
    """A message in the journal."""

    topic: str
    id: str
    cause: str
    at_ns: int
    body: Body

    @property
    def node(self) -> str:
        """Which wrote it."""
        return self.id.rsplit("/", 3)[0]


@dataclass(slots=True)
class Findings:
    """What is odd about the journal itself."""

    unreadable: int = 0
    """Lines that are no message that this version knows: torn ones, or of another version."""
    lost: int = 0
    """Messages and lines that are missing by the journal's own account."""

    def sentences(self) -> list[str]:
        """What whoever reads a story made of it has to know."""
        told = (
            (self.lost, "message", "missing from the journal"),
            (self.unreadable, "line", "unreadable there"),
        )
        return [
            f"{plural(count, noun)} {'is' if count == 1 else 'are'} {what}"
            for count, noun, what in told
            if count
        ]


def complaint(error: OSError) -> str:
    """Why a journal cannot be read, and what to do."""
    what = "; become root or join the node's group" if isinstance(error, PermissionError) else ""
    return f"the journal cannot be read: {error.strerror}: {error.filename}{what}"


def files(run_dir: Path) -> list[Path]:
    """The journal's files, oldest first. Raises OSError when the directory cannot be read."""
    return files_in(run_dir / "audit")


def files_in(folder: Path) -> list[Path]:
    """Those of a copied journal, too. Raises OSError."""
    numbered = [
        (int(path.suffix[1:]), path) for path in folder.glob("journal.jsonl.*") if path.suffix[1:].isdecimal()
    ]
    older = [path for _, path in sorted(numbered, reverse=True)]
    current = folder / "journal.jsonl"
    return [*older, current] if current.exists() else older


def entries(paths: list[Path], wanted: Callable[[str], bool], findings: Findings) -> Iterator[Entry]:
    """Messages on wanted topics, in the order of the files.

    Each comes once, although a restart of audit writes the standing states again. Only lines of wanted
    topics are parsed. Raises OSError.
    """
    seen: set[str] = set()
    for path in paths:
        with path.open("rb") as file:
            for line in file:
                topic = _TOPIC.match(line)
                if topic is None:
                    _account(line, findings)
                    continue
                if not wanted(topic.group(1).decode(errors="replace")):
                    continue
                record = _load(line)
                if record.get("body", "") is None:
                    continue  # withdrawn
                entry = _entry(record)
                if entry is None:
                    findings.unreadable += 1
                elif entry.id not in seen:
                    seen.add(entry.id)
                    yield entry


def _entry(record: dict[str, Any]) -> Entry | None:
    try:
        topic, identity, cause, at_ns = (record[key] for key in ("topic", "id", "cause", "at"))
        cls = body_class(topic)
        if cls is None or [type(each) for each in (identity, cause, at_ns)] != [str, str, int]:
            return None
        body: Body = from_plain(cls, record["body"])
    except (KeyError, SchemaError, OverflowError):
        return None
    return Entry(topic, identity, cause, at_ns, body)


def _account(line: bytes, findings: Findings) -> None:
    record = _load(line)
    if "gap" in record:
        lost = record["gap"].get("lost", 1) if isinstance(record["gap"], dict) else 1
    else:
        lost = record.get("lost", 0)
    if isinstance(lost, int):
        findings.lost += lost
    if not record and line.strip():
        findings.unreadable += 1


def _load(line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}
