"""Plain data to dataclasses: exactly, or an error that names the place."""

from __future__ import annotations

import contextlib
import enum
import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keepbus.contracts.schema import SchemaError, from_plain, to_plain


class Colour(enum.StrEnum):
    RED = "red"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    number: int
    colour: Colour = Colour.RED


@dataclass(frozen=True, slots=True, kw_only=True)
class Outer:
    name: str
    flag: bool
    ratio: float
    many: tuple[Inner, ...]
    by_name: dict[str, int]
    maybe: Inner | None = None


WHOLE = Outer(
    name="a",
    flag=True,
    ratio=0.5,
    many=(Inner(number=1), Inner(number=2)),
    by_name={"x": 1},
    maybe=Inner(number=3),
)
PLAIN = {
    "name": "a",
    "flag": True,
    "ratio": 0.5,
    "many": [{"number": 1, "colour": "red"}, {"number": 2, "colour": "red"}],
    "by_name": {"x": 1},
    "maybe": {"number": 3, "colour": "red"},
}


def test_there_and_back() -> None:
    assert to_plain(WHOLE) == PLAIN
    assert from_plain(Outer, json.loads(json.dumps(PLAIN))) == WHOLE


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": 1}, "Outer.name: str expected, got int"),
        ({"flag": 1}, "Outer.flag: bool expected, got int"),
        ({"ratio": "1"}, "Outer.ratio: finite number expected, got str"),
        ({"ratio": float("nan")}, "Outer.ratio: finite number expected, got float"),
        ({"many": [{"number": True}]}, "Outer.many[0].number: int expected, got bool"),
        ({"many": {}}, "Outer.many: list expected, got dict"),
        ({"by_name": {1: 1}}, "Outer.by_name: map key must be a string, got int"),
        ({"maybe": {"number": 1, "colour": "blue"}}, "Outer.maybe.colour: one of red expected"),
        ({"stranger": 1}, "Outer: unknown field"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(SchemaError) as error:
        from_plain(Outer, PLAIN | change)
    assert str(error.value) == message


def test_a_missing_field_is_named() -> None:
    with pytest.raises(SchemaError, match="Outer: field flag is missing"):
        from_plain(Outer, {key: value for key, value in PLAIN.items() if key != "flag"})


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=8,
)


@given(anything)
def test_nothing_but_schema_error_escapes(data: object) -> None:
    with contextlib.suppress(SchemaError):
        from_plain(Outer, data)
