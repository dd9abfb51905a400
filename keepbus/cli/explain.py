"""`keepbus explain`: why an instance or a sync group is what it is."""

from __future__ import annotations

import argparse
import difflib
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keepbus.cli import journal
from keepbus.cli.bus import NoNode, collect
from keepbus.cli.gist import exit_words, mood
from keepbus.cli.rundir import add_run_dir
from keepbus.cli.story import Chapter, Followed, Held, Now, Story, tell
from keepbus.cli.terminal import Paint, clean, clock, colour_wanted, columns, cut, duration, plural, wrap
from keepbus.contracts import notify, vrrp
from keepbus.contracts.message import quote
from keepbus.contracts.schema import to_plain

ABOUT = "tell why an instance is what it is: its last transitions, their causes and what followed"

_NAMED = (f"{vrrp.Instance.TOPIC}/", f"{vrrp.SyncGroup.TOPIC}/")
_WHAT = {
    Held: "addresses",
    vrrp.AddressChanged: "address",
    vrrp.Resumed: "resumption",
    vrrp.Conflict: "conflict",
    notify.ScriptRun: "script",
}
_LABEL_COLUMNS = 10
_OFFSET_COLUMNS = 7


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this verb."""
    parser.add_argument("instance", metavar="INSTANCE", help="name of a vrrp_instance or vrrp_sync_group")
    add_run_dir(parser)
    parser.add_argument(
        "-n", "--number", type=int, default=5, metavar="N", help="transitions to tell [%(default)s]; 0: all"
    )
    parser.add_argument("--json", action="store_true", help="as one JSON object")


def run(options: argparse.Namespace) -> int:
    """0, or 1 when nothing is known of the instance."""
    name: str = options.instance
    live, silence = _live(options.run_dir)
    findings = journal.Findings()
    try:
        paths = journal.files(options.run_dir)
        topics = _topics(name)
        found = list(journal.entries(paths, lambda topic: topic in topics, findings))
        story = tell(name, found, live.get(name))
        if not story.chapters and story.now is None:
            names = {*live, *_names_in_journal(paths)}
            return _unknown(name, names, silence, options.run_dir)
    except OSError as error:
        story = tell(name, (), live.get(name))
        print(f"keepbus: the journal cannot be read: {error.strerror}: {error.filename}", file=sys.stderr)
        if story.now is None:
            return _unknown(name, set(live), silence, options.run_dir)
    if options.number > 0:
        del story.chapters[: -options.number]
    if options.json:
        print(json.dumps(as_json(story), ensure_ascii=False, indent=2))
        return 0
    width = columns()
    for line in as_text(story, findings, time.time_ns(), Paint(colour_wanted(sys.stdout)), width):
        print(cut(line, width))
    return 0


def as_json(story: Story) -> dict[str, Any]:
    """The story as plain data: the bodies of the contracts."""
    return {
        "instance": story.name,
        "now": to_plain(story.now),
        "transitions": [
            {
                "life": chapter.life,
                **to_plain(chapter.transition),
                "followed": [
                    {"at": at_ns, "what": _WHAT[type(body)], **to_plain(body)}
                    for at_ns, body in chapter.followed
                ],
            }
            for chapter in story.chapters
        ],
    }


def as_text(
    story: Story, findings: journal.Findings, now_ns: int, paint: Paint, width: int | None
) -> Iterator[str]:
    """The lines for a person, oldest transition first."""
    if story.now is not None:
        state = paint(story.now.state.value, mood(story.now.state.value), "bold")
        what = (
            f"priority {story.now.effective_priority}"
            if isinstance(story.now, vrrp.Instance)
            else f"sync group of {clean(', '.join(story.now.members))}"
        )
        since = duration(now_ns - story.now.since_ns)
        yield f"{paint(clean(story.name), 'bold')} is {state} for {since}, {what}"
    else:
        silent = paint("the node does not run; this is from its journal", "yellow")
        yield f"{paint(clean(story.name), 'bold')}: {silent}"
    life = story.chapters[0].life if story.chapters else ""
    for chapter in story.chapters:
        yield ""
        if chapter.life != life:
            yield paint("(a new series of transitions begins)", "dim")
            life = chapter.life
        yield from _chapter(chapter, now_ns, paint, width)
    if findings.lost:
        yield ""
        yield paint(f"{plural(findings.lost, 'message')} are missing from the journal", "yellow")


def _chapter(chapter: Chapter, now_ns: int, paint: Paint, width: int | None) -> Iterator[str]:
    step = chapter.transition
    before, after = step.from_state.value, step.to_state.value
    yield (
        f"{clock(step.at_ns, now_ns)}  {paint(before, 'dim')} → {paint(after, mood(after), 'bold')}"
        f"  {paint(f'transition {step.number}', 'dim')}"
    )
    yield from _labelled("because", clean(step.cause), paint, width)
    for name, value in step.inputs.items():
        yield from _labelled("", clean(_input(name, value)), paint, width)
    label = "then"
    for at_ns, body in chapter.followed:
        text, style = _followed(body)
        late = duration(max(0, at_ns - step.at_ns))
        yield from _labelled(label, f"+{late:<{_OFFSET_COLUMNS}} {clean(text)}", paint, width, *style)
        label = ""


def _input(name: str, value: str) -> str:
    """A value that decided, in words: `wait_us` `3414063` is `wait: 3.4 s`."""
    if name.endswith("_us") and value.isdecimal():
        name, value = name.removesuffix("_us"), duration(int(value) * 1000)
    return f"{name.replace('_', ' ')}: {value}"


def _labelled(label: str, text: str, paint: Paint, width: int | None, *style: str) -> Iterator[str]:
    indent = " " * (_LABEL_COLUMNS + 2)
    for index, line in enumerate(wrap(text, width, first=indent, rest=indent + "  ")):
        margin = f"  {label.ljust(_LABEL_COLUMNS)}" if index == 0 else indent
        yield paint(margin, "dim") + paint(line[len(indent) :], *style)


def _followed(body: Followed) -> tuple[str, tuple[str, ...]]:
    """What followed in words, and the style of what went wrong."""
    if isinstance(body, Held):
        addresses = " ".join(body.addresses) or "no addresses"
        return f"{'holds' if body.held else 'holds no more'} {addresses}", ()
    if isinstance(body, vrrp.AddressChanged):
        detail = f": {body.detail}" if body.detail else ""
        bad = body.action in ("failed", "lost", "expired")
        return f"{body.address} {body.action} on {body.interface}{detail}", ("red",) if bad else ()
    if isinstance(body, vrrp.PriorityChanged):
        return body.cause, ()
    if isinstance(body, vrrp.Resumed):
        return f"a new process went on, silent for {duration(body.silent_us * 1000)}", ("yellow",)
    if isinstance(body, vrrp.Conflict):
        return body.detail, () if body.phase is vrrp.ConflictPhase.ENDED else ("red",)
    return _script(body)


def _script(body: notify.ScriptRun) -> tuple[str, tuple[str, ...]]:
    user = f" as {body.user}" if body.user else ""
    late = ", late" if body.late else ""
    limit = " after its time limit" if body.timed_out else ""
    error = f": {body.error}" if body.error else ""
    how = f"{exit_words(body.exit_status)}{limit} in {duration(body.took_us * 1000)}{late}{error}"
    style = ("red",) if body.exit_status else ()
    return f"{body.script}{user} {how}  ({' '.join(body.command)})", style


def _topics(name: str) -> frozenset[str]:
    key = quote(name)
    return frozenset(
        f"{topic}/{key}"
        for topic in (
            vrrp.Instance.TOPIC,
            vrrp.Transitioned.TOPIC,
            vrrp.SyncGroup.TOPIC,
            vrrp.GroupTransitioned.TOPIC,
            vrrp.AddressChanged.TOPIC,
            vrrp.Resumed.TOPIC,
            vrrp.PriorityChanged.TOPIC,
            vrrp.Conflict.TOPIC,
            notify.ScriptRun.TOPIC,
        )
    ) | {f"{notify.ScriptRun.TOPIC}/{quote(f'GROUP {name}')}"}


def _live(run_dir: Path) -> tuple[dict[str, Now], str]:
    """Groups and instances on the bus by name; none, and why, when there is no node."""
    try:
        states = collect(run_dir)
    except NoNode as reason:
        return {}, str(reason)
    bodies = [message.body for message in states.values()]
    # An instance comes before a group of the same name.
    groups = {body.name: body for body in bodies if isinstance(body, vrrp.SyncGroup)}
    return groups | {body.name: body for body in bodies if isinstance(body, vrrp.Instance)}, ""


def _names_in_journal(paths: list[Path]) -> set[str]:
    found = journal.entries(paths, lambda topic: topic.startswith(_NAMED), journal.Findings())
    return {entry.body.name for entry in found if isinstance(entry.body, Now)}


def _unknown(name: str, names: set[str], silence: str, run_dir: Path) -> int:
    if not names:
        print(f"keepbus: {silence or f'no instance is known in {run_dir}'}", file=sys.stderr)
        return 1
    near = difflib.get_close_matches(name, sorted(names), n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}? " if near else ""
    known = ", ".join(clean(known) for known in sorted(names))
    print(f"keepbus: there is no instance {clean(name)}; {hint}Known: {known}", file=sys.stderr)
    return 1
