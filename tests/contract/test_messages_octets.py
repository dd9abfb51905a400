"""Every contract's octets, held still: a change of the wire is seen, and is on purpose."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import msgpack
import pytest
from messages_golden import GOLDEN, bodies, golden

from keepbus.bus.codec import Rejected, decode_body, decode_header, encode_body, encode_header
from keepbus.contracts.message import ENVELOPE_VERSION, Body, Header, contracts

FILE: list[dict[str, Any]] = json.loads(GOLDEN.read_text(encoding="utf-8"))
BODIES = bodies()


def test_the_wire_is_what_it_was() -> None:
    assert golden() == FILE, (
        "a contract changed: python tests/contract/messages_golden.py --write, if on purpose"
    )


def test_every_contract_has_its_octets() -> None:
    assert len(FILE) == len(contracts())


@pytest.mark.parametrize("entry", FILE, ids=[entry["topic"] for entry in FILE])
def test_octets_and_json_say_the_same(entry: dict[str, Any]) -> None:
    # msgpack alone, without the codec: what any other language would read.
    assert msgpack.unpackb(bytes.fromhex(entry["octets"])) == entry["body"]


@pytest.mark.parametrize("entry", FILE, ids=[entry["topic"] for entry in FILE])
def test_the_codec_reads_and_writes_them(entry: dict[str, Any]) -> None:
    octets = bytes.fromhex(entry["octets"])
    body = decode_body(entry["topic"], octets)
    assert body == BODIES[entry["topic"]]
    assert encode_body(body) == octets


@pytest.mark.parametrize("topic", BODIES)
def test_r_f89_a_body_with_one_field_more_or_less_is_refused(topic: str) -> None:
    body: Body = BODIES[topic]
    plain = msgpack.unpackb(encode_body(body))
    with pytest.raises(Rejected, match="unknown field"):
        decode_body(topic, msgpack.packb({**plain, "colour": "red"}))
    required = [field.name for field in dataclasses.fields(body) if _is_required(field)]  # type: ignore[arg-type]
    if required:
        del plain[required[0]]
        with pytest.raises(Rejected, match=f"{required[0]} is missing"):
            decode_body(topic, msgpack.packb(plain))


def test_r_f89_another_version_of_the_envelope_is_refused_as_such() -> None:
    header = Header(ENVELOPE_VERSION, "d1", "ipvs", "b", 1, 1, 1, 1, "")
    assert decode_header(encode_header(header)) == header
    for version in (ENVELOPE_VERSION - 1, ENVELOPE_VERSION + 1):
        with pytest.raises(Rejected, match=f"version {ENVELOPE_VERSION} expected") as refused:
            decode_header(encode_header(dataclasses.replace(header, version=version)))
        assert refused.value.reason == "version"


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
