"""One line of the journal.

`{"time": …, "topic": …, "id": …, "cause": …, "at": …, "sent": …, "received_at": …, "body": {…}}`; times in
nanoseconds since the epoch, `time` is `at` as people read it. body is null when a state was withdrawn. Other
lines have a key that says what they are: `gap` (messages that never came), `opened` (an audit process
began), `lost` (lines that could not be written; see journal.py).
"""

from __future__ import annotations

import datetime
import json
from typing import Any

from keepbus.contracts.message import Message
from keepbus.contracts.schema import to_plain

OWN_GAP = "event/audit/gap"


def of_message(message: Message, received_at_ns: int) -> str:
    """A message as a line; a hole that audit itself found as a gap line."""
    header = message.header
    record: dict[str, Any] = {"time": moment(header.at_ns)}
    if message.topic.startswith(OWN_GAP):
        record["gap"] = to_plain(message.body)
        return encode(record)
    record |= {
        "topic": message.topic,
        "id": header.id,
        "cause": header.cause,
        "at": header.at_ns,
        "sent": header.sent_ns,
        "received_at": received_at_ns,
        "body": None if message.body is None else to_plain(message.body),
    }
    return encode(record)


def of_opening(wall_ns: int) -> str:
    """The line that tells where a new audit process began: what happened before may be missing."""
    return encode({"time": moment(wall_ns), "opened": True})


def encode(record: dict[str, Any]) -> str:
    """JSON on one line."""
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"))


def moment(wall_ns: int) -> str:
    """Wall clock nanoseconds as UTC, microseconds kept."""
    seconds, rest = divmod(wall_ns, 1_000_000_000)
    try:
        time = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    except (OverflowError, ValueError, OSError):
        return ""  # a clock that is out of all bounds; `at` has the number
    return f"{time:%Y-%m-%dT%H:%M:%S}.{rest // 1000:06d}Z"
