"""`keepbus plan`: what a reload would add, remove and change."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from keepbus.cli.compiling import compile_and_tell
from keepbus.cli.rundir import add_run_dir
from keepbus.cli.terminal import Paint, clean, colour_wanted, columns, plural, wrap
from keepbus.config.difference import NONE, NOT_SHOWN, FieldChange
from keepbus.config.plan import Action, Item, Kind, Plan, compare
from keepbus.runtime import generation

ABOUT = (
    "say what a reload would add, remove and change "
    "(exit status: 0 nothing, 1 something, 2 the file has errors or there is no node)"
)

_SIGNS = {Action.ADDED: "+", Action.REMOVED: "-", Action.CHANGED: "~"}
_COLOURS = {Action.ADDED: "green", Action.REMOVED: "red", Action.CHANGED: "yellow"}
_HEADINGS = (
    ("settings", (Kind.SETTINGS, Kind.OTHER)),
    ("instances", (Kind.INSTANCE,)),
    ("static objects", (Kind.STATIC,)),
    ("sync groups", (Kind.SYNC_GROUP,)),
    ("trackers", (Kind.TRACKER,)),
    ("notify scripts", (Kind.SCRIPTS,)),
    ("virtual servers", (Kind.VIRTUAL_SERVER,)),
    ("checks", (Kind.CHECK,)),
)
_NOUNS = {
    Kind.SETTINGS: ("group of settings", "groups of settings"),
    Kind.ADDRESS: ("virtual address", "virtual addresses"),
    Kind.ROUTE: ("virtual route", "virtual routes"),
    Kind.RULE: ("virtual rule", "virtual rules"),
    Kind.STATIC: ("static object", "static objects"),
    Kind.SCRIPTS: ("instance's scripts", "instances' scripts"),
    Kind.OTHER: ("other thing",),
}
_SAID_WITH_ITS_ITEM = (Kind.INSTANCE,)
"""The consequences of these name the case; those of the others are said once for all of their kind."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this verb."""
    parser.add_argument(
        "file",
        nargs="?",
        type=Path,
        metavar="FILE",
        help="the keepalived.conf to compare with [the one that the node was started with]",
    )
    add_run_dir(parser)
    parser.add_argument(
        "--permissive", action="store_true", help="errors for which a reasonable reading exists are warnings"
    )
    parser.add_argument(
        "-i", "--config-id", default="", metavar="ID", help="what `@ID` conditions compare with [the node's]"
    )
    parser.add_argument("--json", action="store_true", help="as one JSON object")


def run(options: argparse.Namespace) -> int:
    """0 when nothing would change, 1 when something would, 2 when that cannot be told."""
    run_dir: Path = options.run_dir.absolute()
    try:
        number, running = generation.load_all(run_dir)
        file: Path = options.file or generation.source(run_dir)
    except generation.NoConfigurationError as error:
        print(f"keepbus: {error}", file=sys.stderr)
        return 2
    wanted = compile_and_tell(
        file,
        permissive=options.permissive or (run_dir / "permissive").exists(),
        config_id=options.config_id or generation.config_id(run_dir),
        ipvs_driver=generation.ipvs_driver(run_dir),
    )
    if wanted is None:
        return 2
    plan = compare(running, wanted)
    if options.json:
        print(json.dumps(as_json(plan, number, file), ensure_ascii=False, indent=2))
    else:
        for line in as_text(plan, number, file, Paint(colour_wanted(sys.stdout)), columns()):
            print(line)
    return 1 if plan.items else 0


def as_json(plan: Plan, number: int, file: Path) -> dict[str, Any]:
    """The plan as plain data; `counts` by kind and action, without what is 0."""
    return {
        "generation": number,
        "file": str(file),
        "changes": bool(plan.items),
        "counts": {
            str(kind): {str(action): count for action in Action if (count := plan.count(kind, action))}
            for kind in Kind
            if any(plan.count(kind, action) for action in Action)
        },
        "items": [dataclasses.asdict(item) for item in plan.items],
    }


def as_text(plan: Plan, number: int, file: Path, paint: Paint, width: int | None) -> Iterator[str]:
    """The lines for a person."""
    page = _Page(paint, width)
    what = "would change this" if plan.items else "would change nothing"
    yield from page.line(f"generation {number} runs; a reload with {clean(str(file))} {what}", "", "bold")
    for heading, kinds in _HEADINGS:
        items = [item for item in plan.items if item.kind in kinds]
        if items:
            yield ""
            yield paint(heading, "bold")
            for item in items:
                yield from page.item(item, "  ")
            for sentence in _said_once(items):
                yield from page.line(f"! {sentence}", "  ", "cyan")
    if plan.items:
        yield ""
        yield from page.line(summary(plan), "", "bold")


def summary(plan: Plan) -> str:
    """How much is added, removed and changed, in a sentence."""
    clauses = []
    for action in (Action.ADDED, Action.REMOVED, Action.CHANGED):
        counts = ((kind, plan.count(kind, action)) for kind in Kind)
        things = [plural(count, *_NOUNS.get(kind, (str(kind),))) for kind, count in counts if count]
        if things:
            clauses.append(f"{action}: {', '.join(things)}")
    return "; ".join(clauses)


class _Page:
    """Lines that fit."""

    def __init__(self, paint: Paint, width: int | None) -> None:
        self._paint = paint
        self._width = width

    def line(self, text: str, indent: str, *styles: str) -> Iterator[str]:
        """The text in these styles, wrapped under its second word."""
        for line in wrap(text, self._width, first=indent, rest=f"{indent}  "):
            yield self._paint(line, *styles)

    def item(self, item: Item, indent: str) -> Iterator[str]:
        """A thing, its changed fields, its parts, and what follows."""
        colour = _COLOURS[item.action]
        detail = f"  {clean(item.detail)}" if item.detail else ""
        yield from self.line(f"{_SIGNS[item.action]} {clean(item.name)}{detail}", indent, colour)
        below = f"{indent}    "
        for change in item.changes:
            yield from self.line(_change(change), below)
        for part in item.parts:
            yield from self.item(part, below)
        if item.kind in _SAID_WITH_ITS_ITEM:
            for sentence in item.consequences:
                yield from self.line(f"! {clean(sentence)}", below, "cyan")


def _change(change: FieldChange) -> str:
    if change.before == NOT_SHOWN:
        return f"{change.name} changes {NOT_SHOWN}"
    before, after = (clean(text) or NONE for text in (change.before, change.after))
    return f"{change.name} {before} → {after}"


def _said_once(items: Iterable[Item]) -> list[str]:
    """What follows from the items and their parts, each sentence once, in the order of the items."""
    sentences: dict[str, None] = {}
    for item in items:
        if item.kind in _SAID_WITH_ITS_ITEM:
            continue
        for each in (item, *item.parts):
            sentences.update(dict.fromkeys(each.consequences))
    return list(sentences)
