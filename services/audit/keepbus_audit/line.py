"""One line of the journal: a message, or what the journal has to say of itself.

Lines of its own have a key that says what they are: `gap` (messages that never came), `opened` (an audit
process began; what happened before may be missing), `lost` (lines that could not be written).
"""

from __future__ import annotations

from keepbus.contracts import record
from keepbus.contracts.message import Message
from keepbus.contracts.schema import to_plain

OWN_GAP = "event/audit/gap"


def of_message(message: Message, received_at_ns: int) -> str:
    """A message as a line; a hole that audit itself found as a gap line."""
    if message.topic.startswith(OWN_GAP) and message.body is not None:
        return record.encode({"time": record.moment(message.header.at_ns), "gap": to_plain(message.body)})
    return record.encode(record.of_message(message, received_at_ns))


def of_opening(wall_ns: int) -> str:
    """The line with which a new process begins."""
    return record.encode({"time": record.moment(wall_ns), "opened": True})


def of_loss(wall_ns: int, lost: int, reason: str) -> str:
    """The line that stands for those that could not be written."""
    return record.encode({"time": record.moment(wall_ns), "lost": lost, "reason": reason})
