"""Dataclasses to plain data and back, strictly.

Law of this file: what comes in from outside is checked against the class completely — every field present
or defaulted, no unknown field, every value of its declared type — or `SchemaError` names the first thing
that is wrong. Nothing is coerced. The same functions serve the bus (msgpack) and the compiled
configuration (JSON), so a field type is one of: bool, int, float, str, a `StrEnum`, a dataclass of such
fields, `tuple[T, ...]`, `dict[str, T]`, and any of these `| None`.
"""

from __future__ import annotations

import dataclasses
import enum
import math
import types
import typing
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")


class SchemaError(ValueError):
    """The data does not fit the class; the message says where and why."""


def to_plain(value: Any) -> Any:
    """The value as dicts, lists and scalars. Dataclass fields keep their order."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, tuple):
        return [to_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): to_plain(item) for key, item in value.items()}
    cls: Any = type(value)
    return {name: to_plain(getattr(value, name)) for name in _field_names(cls)}


def to_sparse(value: Any) -> Any:
    """Like `to_plain`, without the fields that are as they are by default: `from_plain` knows them."""
    if isinstance(value, tuple):
        return [to_sparse(item) for item in value]
    if isinstance(value, dict):
        return {str(key): to_sparse(item) for key, item in value.items()}
    if not dataclasses.is_dataclass(value):
        return to_plain(value)
    cls: Any = type(value)
    plain = {}
    for name, default in _defaults(cls):
        item = getattr(value, name)
        if item is not default and item != default:
            plain[name] = to_sparse(item)
    return plain


def from_plain(cls: type[T], data: Any) -> T:
    """Build a `cls` from plain data; `SchemaError` when it does not fit exactly."""
    key: Any = cls
    build: Callable[[Any, str], T] = _builder(key)
    return build(data, cls.__name__)


@cache
def _defaults(cls: Any) -> tuple[tuple[str, Any], ...]:
    """Fields and their defaults; MISSING, which nothing equals, for those that have none."""
    return tuple(
        (
            field.name,
            field.default if field.default_factory is dataclasses.MISSING else field.default_factory(),
        )
        for field in dataclasses.fields(cls)
    )


@cache
def _field_names(cls: Any) -> tuple[str, ...]:
    if not dataclasses.is_dataclass(cls):
        raise TypeError(f"{cls.__name__} cannot cross the bus: it is not a dataclass of plain types")
    return tuple(field.name for field in dataclasses.fields(cls))


def _scalar(expected: type) -> Callable[[Any, str], Any]:
    def check(data: Any, where: str) -> Any:
        # bool is an int to isinstance, never to a reader of the specification.
        if type(data) is not expected:
            raise SchemaError(f"{where}: {expected.__name__} expected, got {type(data).__name__}")
        return data

    return check


def _number(data: Any, where: str) -> float:
    if type(data) not in (int, float) or not math.isfinite(data):
        raise SchemaError(f"{where}: finite number expected, got {type(data).__name__}")
    return float(data)


@cache
def _builder(kind: Any) -> Callable[[Any, str], Any]:
    if kind in (bool, int, str):
        return _scalar(kind)
    if kind is float:
        return _number
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        return _optional(kind)
    if origin is tuple:
        return _sequence(typing.get_args(kind)[0])
    if origin is dict:
        return _mapping(typing.get_args(kind)[1])
    if isinstance(kind, type) and issubclass(kind, enum.StrEnum):
        return _enumeration(kind)
    if dataclasses.is_dataclass(kind):
        return _record(typing.cast(type, kind))
    raise TypeError(f"{kind!r} is not a type that can cross the bus")


def _optional(kind: Any) -> Callable[[Any, str], Any]:
    (inner,) = [arg for arg in typing.get_args(kind) if arg is not type(None)]
    build = _builder(inner)
    return lambda data, where: None if data is None else build(data, where)


def _sequence(item: Any) -> Callable[[Any, str], Any]:
    build = _builder(item)

    def check(data: Any, where: str) -> Any:
        if not isinstance(data, list):
            raise SchemaError(f"{where}: list expected, got {type(data).__name__}")
        return tuple(build(value, f"{where}[{index}]") for index, value in enumerate(data))

    return check


def _mapping(item: Any) -> Callable[[Any, str], Any]:
    build = _builder(item)

    def check(data: Any, where: str) -> Any:
        if not isinstance(data, dict):
            raise SchemaError(f"{where}: map expected, got {type(data).__name__}")
        for key in data:
            if type(key) is not str:
                raise SchemaError(f"{where}: map key must be a string, got {type(key).__name__}")
        return {key: build(value, f"{where}.{key}") for key, value in data.items()}

    return check


def _enumeration(kind: type[enum.StrEnum]) -> Callable[[Any, str], Any]:
    members = {member.value: member for member in kind}

    def check(data: Any, where: str) -> Any:
        member = members.get(data) if isinstance(data, str) else None
        if member is None:
            raise SchemaError(f"{where}: one of {', '.join(members)} expected")
        return member

    return check


def _record(cls: type) -> Callable[[Any, str], Any]:
    hints = typing.get_type_hints(cls)
    builders = {field.name: _builder(hints[field.name]) for field in dataclasses.fields(cls)}
    required = frozenset(
        field.name
        for field in dataclasses.fields(cls)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    )

    def check(data: Any, where: str) -> Any:
        if not isinstance(data, dict):
            raise SchemaError(f"{where}: map expected, got {type(data).__name__}")
        missing = required - data.keys()
        if missing:
            raise SchemaError(f"{where}: field {min(missing)} is missing")
        values = {}
        for name, value in data.items():
            build = builders.get(name)
            if build is None:
                raise SchemaError(f"{where}: unknown field")
            values[name] = build(value, f"{where}.{name}")
        return cls(**values)

    return check
