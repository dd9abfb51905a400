"""The reference part of docs/messages.md, made from the contracts themselves.

`python -m keepbus.contracts.reference` prints it, with `--write docs/messages.md` it replaces what stands
behind the marker there. A test holds the committed page to it, so that no field changes without its page.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import enum
import inspect
import sys
import textwrap
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keepbus.contracts.message import Body, Kind, contracts

MARKER = "<!-- Made by `python -m keepbus.contracts.reference --write docs/messages.md` from here on. -->"
_SCALARS = {bool: "boolean", int: "integer", float: "number", str: "string"}
_KINDS = {
    Kind.STATE: "States",
    Kind.EVENT: "Events",
    Kind.COMMAND: "Commands",
}


def reference() -> str:
    """The reference as Markdown: every contract, then the records and words that they are made of."""
    lines: list[str] = []
    found = contracts()
    for kind, title in _KINDS.items():
        of_kind = {topic: cls for topic, cls in found.items() if topic.startswith(f"{kind}/")}
        if of_kind:
            lines += ["", f"## {title}"]
            for topic, cls in of_kind.items():
                lines += ["", *_contract(topic, cls)]
    parts = _parts(found.values())
    lines += ["", "## Records", "", "Maps that stand in fields of the messages above."]
    for part in parts:
        if dataclasses.is_dataclass(part):
            lines += ["", f"### {_name(part)}", "", *_document(part), "", *_fields(part)]
    lines += ["", "## Words", "", "Strings of which only these may stand in a field."]
    for part in parts:
        if not dataclasses.is_dataclass(part):
            lines += ["", f"### {_name(part)}", "", *_document(part), "", *_words(part)]
    return "\n".join(lines).strip() + "\n"


def page(text: str) -> str:
    """The page `text` with the reference behind its marker; ValueError when it has none."""
    before, marker, _ = text.partition(MARKER)
    if not marker:
        raise ValueError(f"the page has no line {MARKER}")
    return f"{before}{MARKER}\n\n{reference()}"


def _contract(topic: str, cls: type[Body]) -> Iterator[str]:
    owner = topic.split("/")[1]
    yield f"### {topic}" + (f"/{{{cls.KEY}}}" if cls.KEY else "")
    yield ""
    publisher = "every service, its name in the place of `*`" if owner == "*" else owner
    role = "obeyed by" if topic.startswith(f"{Kind.COMMAND}/") else "published by"
    yield f"`{cls.__name__}`, {role} {publisher}."
    yield ""
    yield from _document(cls)
    yield ""
    yield from _fields(cls)


def _name(part: Any) -> str:
    return str(part.__name__)


def _document(cls: Any) -> list[str]:
    return textwrap.dedent(inspect.cleandoc(cls.__doc__ or "")).splitlines()


def _fields(cls: Any) -> Iterator[str]:
    hints = typing.get_type_hints(cls)
    meanings = _meanings(cls)
    yield "| field | type | default | meaning |"
    yield "|---|---|---|---|"
    for field in dataclasses.fields(cls):
        default = _default(field)
        meaning = meanings.get(field.name, "").replace("|", "\\|")
        yield f"| `{field.name}` | {_type(hints[field.name])} | {default} | {meaning} |"


def _words(cls: Any) -> Iterator[str]:
    meanings = _meanings(cls)
    yield "| word | meaning |"
    yield "|---|---|"
    for member in cls:
        yield f"| `{member.value}` | {meanings.get(member.name, '')} |"


def _meanings(cls: Any) -> dict[str, str]:
    """The strings that stand under the fields or members in the class's source, by name."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    definition = tree.body[0]
    assert isinstance(definition, ast.ClassDef)
    meanings = {}
    for statement, following in zip(definition.body, definition.body[1:], strict=False):
        target: ast.expr | None = None
        if isinstance(statement, ast.AnnAssign):
            target = statement.target
        elif isinstance(statement, ast.Assign):
            target = statement.targets[0]
        if (
            isinstance(target, ast.Name)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
        ):
            meanings[target.id] = " ".join(str(following.value.value).split())
    return meanings


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    elif field.default is not dataclasses.MISSING:
        value = field.default
    else:
        return "required"
    words = {None: "nil", (): "empty", "": "empty"}
    if value == {}:
        return "empty"
    return words.get(value, f"`{value}`")


def _type(kind: Any) -> str:
    """A field's type in the words of this page."""
    if kind in _SCALARS:
        return _SCALARS[kind]
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        inner = next(arg for arg in typing.get_args(kind) if arg is not type(None))
        return f"{_type(inner)} or nil"
    if origin is tuple:
        return f"list of {_type(typing.get_args(kind)[0])}"
    if origin is dict:
        return f"map of {_type(typing.get_args(kind)[1])}"
    return f"[{kind.__name__}](#{kind.__name__.lower()})"


def _parts(bodies: typing.Iterable[type]) -> list[Any]:
    """The record and word classes that fields of these name, also within each other, in order of name."""
    found: dict[str, Any] = {}
    waiting: list[Any] = [hint for body in bodies for hint in typing.get_type_hints(body).values()]
    while waiting:
        kind = waiting.pop()
        waiting.extend(typing.get_args(kind))
        if not isinstance(kind, type) or found.get(kind.__name__) is kind:
            continue
        if dataclasses.is_dataclass(kind) or issubclass(kind, enum.StrEnum):
            if kind.__name__ in found:
                raise TypeError(f"two parts of messages have the name {kind.__name__}")
            found[kind.__name__] = kind
            waiting.extend(typing.get_type_hints(kind).values() if dataclasses.is_dataclass(kind) else ())
    return [found[name] for name in sorted(found)]


def main() -> int:
    """Print the reference, or write it into a page."""
    parser = argparse.ArgumentParser(prog="python -m keepbus.contracts.reference", description=__doc__)
    parser.add_argument("--write", type=Path, metavar="PAGE", help="replace what is behind PAGE's marker")
    options = parser.parse_args()
    if options.write is None:
        sys.stdout.write(reference())
        return 0
    options.write.write_text(page(options.write.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
