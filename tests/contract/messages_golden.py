"""A sample body of every contract, as it goes over the wire: makes and reads messages-golden.json.

Run it with `--write` after a contract was changed on purpose; the difference in the file is what changes for
every reader on the bus.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import sys
import types
import typing
from pathlib import Path
from typing import Any

from keepbus.bus.codec import encode_body
from keepbus.contracts.message import Body, contracts, topic_of
from keepbus.contracts.schema import to_plain

GOLDEN = Path(__file__).with_name("messages-golden.json")


def sample(kind: Any, name: str = "") -> Any:
    """A value of a field's type that shows which field it stands in."""
    if kind is bool:
        return True
    if kind is int:
        return len(name)
    if kind is float:
        return 0.5
    if kind is str:
        return name
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        build: Any = kind
        return build(
            **{field.name: sample(hints[field.name], field.name) for field in dataclasses.fields(kind)}
        )
    if isinstance(kind, type) and issubclass(kind, enum.StrEnum):
        return list(kind)[-1]
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return sample(next(argument for argument in arguments if argument is not type(None)), name)
    if origin is tuple:
        return (sample(arguments[0], name),)
    assert origin is dict, kind
    return {name: sample(arguments[1], name)}


def bodies() -> dict[str, Body]:
    """A sample of every contract by the topic that service `any` or its owner publishes it on."""
    found = {}
    for topic, cls in contracts().items():
        body = sample(cls)
        found[topic_of(body, "any" if "*" in topic else topic.split("/")[1])] = body
    return found


def golden() -> list[dict[str, Any]]:
    """What the file must hold."""
    return [
        {"topic": topic, "body": to_plain(body), "octets": encode_body(body).hex()}
        for topic, body in bodies().items()
    ]


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit(f"usage: {sys.argv[0]} --write")
    GOLDEN.write_text(f"{json.dumps(golden(), indent=1, ensure_ascii=False)}\n", encoding="utf-8")
