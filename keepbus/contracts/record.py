"""A message as one JSON object: a line of the audit journal and of `keepbus tap --json`.

Keys: `time` (`at` as people read it, UTC), `topic`, `id`, `cause`, `at`, `sent`, `received_at` (nanoseconds
since the epoch) and `body`, which is null when a state was withdrawn. docs/messages.md has it, too.
"""

from __future__ import annotations

import datetime
import json
from typing import Any

from keepbus.contracts.message import Message
from keepbus.contracts.schema import to_plain


def of_message(message: Message, received_at_ns: int) -> dict[str, Any]:
    """The object for a message that came at received_at_ns."""
    header = message.header
    return {
        "time": moment(header.at_ns),
        "topic": message.topic,
        "id": header.id,
        "cause": header.cause,
        "at": header.at_ns,
        "sent": header.sent_ns,
        "received_at": received_at_ns,
        "body": None if message.body is None else to_plain(message.body),
    }


def encode(record: dict[str, Any]) -> str:
    """JSON on one line."""
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"))


def moment(wall_ns: int) -> str:
    """Wall clock nanoseconds (64 bits) as UTC, to the microsecond."""
    seconds, rest = divmod(wall_ns, 1_000_000_000)
    time = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return f"{time:%Y-%m-%dT%H:%M:%S}.{rest // 1000:06d}Z"
