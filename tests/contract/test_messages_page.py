"""docs/messages.md against the code, both ways."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from keepbus.bus import codec
from keepbus.contracts import reference
from keepbus.contracts.message import ENVELOPE_VERSION, Header, contracts, quote
from keepbus.contracts.watchdog import Death

PAGE = Path(__file__).resolve().parents[2] / "docs" / "messages.md"
TEXT = PAGE.read_text(encoding="utf-8")
PROSE = TEXT.partition(reference.MARKER)[0]


def test_the_reference_is_made_from_the_contracts_as_they_are() -> None:
    assert reference.page(TEXT) == TEXT, (
        "a contract changed: run `python -m keepbus.contracts.reference --write docs/messages.md`"
    )


def test_every_contract_and_field_is_on_the_page_and_no_other() -> None:
    # Read with other means than the page was made with.
    sections = re.findall(r"^### (\S+/\S+)\n(.*?)(?=^##|\Z)", TEXT, re.MULTILINE | re.DOTALL)
    told = {
        heading.split("/{")[0]: re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
        for heading, text in sections
    }
    coded = {
        topic: [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
        for topic, cls in contracts().items()
    }
    assert told == coded


def test_every_field_and_word_has_a_meaning() -> None:
    assert re.findall(r"^\| `(\w+)` \|.*\|  \|$", TEXT, re.MULTILINE) == []
    assert re.findall(r"^\| `(\w+)` \|  \|$", TEXT, re.MULTILINE) == []


def test_the_key_of_a_topic_is_a_field() -> None:
    for topic, cls in contracts().items():
        names = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
        assert not cls.KEY or cls.KEY in names, topic


def test_the_header_is_told_in_its_order() -> None:
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", PROSE, re.MULTILINE)
    names = [field.name for field in dataclasses.fields(Header)]
    assert rows == [(str(number), name) for number, name in enumerate(names)]


@pytest.mark.parametrize(
    ("sentence", "value"),
    [
        (r"version (\d+) of the envelope", ENVELOPE_VERSION),
        (r"topic \| printable ASCII \| (\d+) octets", codec.MAX_TOPIC_OCTETS),
        (r"header \| msgpack array of 9 \| (\d+) octets", codec.MAX_HEADER_OCTETS),
        (r"1 MiB \((\d+) octets\)", codec.MAX_MESSAGE_OCTETS),
        (r"nesting deeper\nthan (\d+)", codec.MAX_DEPTH),
        (r"more than (\d+) elements", codec.MAX_ITEMS),
    ],
)
def test_the_limits_are_those_of_the_codec(sentence: str, value: int) -> None:
    found = re.search(sentence, PROSE)
    assert found is not None
    assert int(found.group(1)) == value


def test_what_a_key_may_hold_unquoted() -> None:
    found = re.search(r"letters,\ndigits and ``(.*?)`` is percent-encoded", PROSE)
    assert found is not None
    safe = found.group(1)
    assert quote(safe) == safe
    everything = "".join(map(chr, range(33, 127)))
    kept = {character for character in everything if quote(character) == character}
    assert kept == {*safe, *"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"}


def test_the_example_is_what_the_codec_makes() -> None:
    example = re.search(r"^## An example\n.*?```\n(.*?)```", PROSE, re.MULTILINE | re.DOTALL)
    assert example is not None
    frames: list[bytes] = []
    for line in example.group(1).splitlines():
        octets = re.match(r"(?:topic|header|body)?\s*((?:[0-9a-f]{2} ?)+)", line)
        assert octets is not None, line
        if not line.startswith(" "):
            frames.append(b"")
        frames[-1] += bytes.fromhex(octets.group(1))
    at_ns = 1795361366348782000
    header = Header(ENVELOPE_VERSION, "d1", "watchdog", "18ea67d03d1d4699", 7, 1, at_ns, at_ns, "")
    body = Death(service="vrrp", pid=4711)
    assert frames == [b"event/watchdog/death/vrrp", codec.encode_header(header), codec.encode_body(body)]
    message = codec.decode(frames)
    assert (message.header, message.body) == (header, body)
    assert f"`{message.header.id}`" in PROSE
