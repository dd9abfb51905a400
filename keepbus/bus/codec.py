"""Frames to messages and back.

Law of this file: `decode` never raises anything but `Rejected`, whatever the octets are. Size comes first,
then nesting and counts (checked without recursion by the shape of what msgpack returns under its limits),
then the schema. Nothing of a rejected message is ever printed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgpack

from keepbus.contracts.message import ENVELOPE_VERSION, Body, Header, Message, body_class
from keepbus.contracts.schema import SchemaError, from_plain, to_plain

WITHDRAWN = b"\xc0"
"""Body frame (msgpack nil) of a state whose object is no more."""

MAX_MESSAGE_OCTETS = 1 << 20
"""1 MiB for all frames of a message, also ZeroMQ's limit on every socket."""
MAX_TOPIC_OCTETS = 512
MAX_HEADER_OCTETS = 2048
MAX_DEPTH = 16
MAX_ITEMS = 16_384
"""Elements of one array or map."""


class Rejected(ValueError):
    """A message that cannot be used. `reason` is a counter name, the text says what was wrong."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


def encode_header(header: Header, sent_ns: int = 0) -> bytes:
    """The header frame: a msgpack array in the order of the class's fields. sent_ns, if not 0, takes the
    place of the header's own, for a repeat."""
    fields = (
        header.version,
        header.node,
        header.source,
        header.boot,
        header.seq,
        header.nth,
        header.at_ns,
        sent_ns or header.sent_ns,
        header.cause,
    )
    packed: bytes = msgpack.packb(fields)
    return packed


def encode_body(body: Body) -> bytes:
    """The body frame: a msgpack map. ValueError when it exceeds the size limit."""
    packed: bytes = msgpack.packb(to_plain(body))
    if len(packed) > MAX_MESSAGE_OCTETS - MAX_TOPIC_OCTETS - MAX_HEADER_OCTETS:
        raise ValueError(f"{type(body).__name__} takes {len(packed)} octets, more than a message may hold")
    return packed


def decode_header(frame: bytes) -> Header:
    """The header frame alone; `Rejected` when it is not one. For readers that skip bodies they know."""
    if len(frame) > MAX_HEADER_OCTETS:
        raise Rejected("header_size", f"{len(frame)} octets")
    fields = _unpack(frame, "header")
    if not isinstance(fields, list) or len(fields) != 9:
        raise Rejected("header_shape", "an array of 9 expected")
    version = fields[0]
    if version != ENVELOPE_VERSION or type(version) is not int:
        raise Rejected("version", f"envelope version {ENVELOPE_VERSION} expected")
    for value in (*fields[1:4], fields[8]):
        if type(value) is not str:
            raise Rejected("header_shape", "strings expected for node, source, boot and cause")
    for value in fields[4:8]:
        if type(value) is not int or value < 1:
            raise Rejected("header_shape", "positive integers expected for seq, nth, at_ns and sent_ns")
    return Header(*fields)


def decode_topic(frame: bytes) -> str:
    """The topic frame; `Rejected` when no contract knows the topic."""
    if len(frame) > MAX_TOPIC_OCTETS:
        raise Rejected("topic_size", f"{len(frame)} octets")
    try:
        topic = frame.decode("ascii")
    except UnicodeDecodeError:
        raise Rejected("topic", "ASCII expected") from None
    if not topic.isprintable() or body_class(topic) is None:
        raise Rejected("topic", "no contract has this topic")
    return topic


def decode_body(topic: str, frame: bytes) -> Any:
    """The body frame as the class that the topic names."""
    cls = body_class(topic)
    if cls is None:
        raise Rejected("topic", "no contract has this topic")
    data = _unpack(frame, "body")
    try:
        return from_plain(cls, data)
    except SchemaError as error:
        raise Rejected("schema", str(error)) from None


def decode(frames: Sequence[bytes]) -> Message:
    """A whole message. Raises only `Rejected`."""
    size = sum(len(frame) for frame in frames)
    if size > MAX_MESSAGE_OCTETS:
        raise Rejected("size", f"{size} octets")
    if len(frames) != 3:
        raise Rejected("frames", f"3 frames expected, got {len(frames)}")
    topic = decode_topic(frames[0])
    header = decode_header(frames[1])
    return Message(topic, header, decode_body(topic, frames[2]))


def digest(frames: Sequence[bytes]) -> str:
    """First 16 hex digits of the SHA-256 of the frames: what a log may say of a rejected message."""
    # Rarely called, and dear to import: no service's start has to wait for it.
    import hashlib

    sha = hashlib.sha256()
    for frame in frames:
        sha.update(frame)
    return sha.hexdigest()[:16]


def _pairs(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("duplicate key")
    return result


def _no_extension(code: int, data: bytes) -> Any:
    raise ValueError(f"extension type {code}")


def _unpack(frame: bytes, what: str) -> Any:
    try:
        data = msgpack.unpackb(
            frame,
            raw=False,
            strict_map_key=True,
            object_pairs_hook=_pairs,
            ext_hook=_no_extension,
            max_array_len=MAX_ITEMS,
            max_map_len=MAX_ITEMS,
            max_ext_len=0,
            max_bin_len=0,
        )
    except Exception as error:  # msgpack alone has five exception types for bad input
        raise Rejected(f"{what}_msgpack", type(error).__name__) from None
    _check_shape(data, what)
    return data


def _check_shape(data: Any, what: str) -> None:
    """Depth and NaN, level by level instead of by recursion."""
    level = [data]
    for _ in range(MAX_DEPTH):
        deeper: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                deeper.extend(item.values())
            elif isinstance(item, list):
                deeper.extend(item)
            elif isinstance(item, float) and not math.isfinite(item):
                raise Rejected(f"{what}_nan", "a number that is none")
        if not deeper:
            return
        level = deeper
    raise Rejected(f"{what}_depth", f"deeper than {MAX_DEPTH}")
