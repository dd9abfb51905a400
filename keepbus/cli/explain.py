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

from keepbus.cli import explain_server, journal, several
from keepbus.cli.explain_page import chapter_lines, followed_json, now_words, shortcomings
from keepbus.cli.rundir import default_run_dir
from keepbus.cli.server_story import names_a_server
from keepbus.cli.story import Story, tell
from keepbus.cli.terminal import Paint, clean, colour_wanted, columns, cut
from keepbus.cli.together import join
from keepbus.cli.witnesses import Witnesses
from keepbus.contracts.schema import to_plain

ABOUT = "tell why an instance or a server is what it is: its last transitions, their causes and what followed"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this verb."""
    parser.add_argument(
        "instance",
        metavar="INSTANCE",
        help="name of a vrrp_instance or vrrp_sync_group, or a virtual or real server: ADDRESS, ADDRESS:PORT",
    )
    parser.add_argument(
        "files",
        nargs="*",
        type=Path,
        metavar="FILE",
        help="audit journals of other nodes, or directories with them: one story of all nodes",
    )
    parser.add_argument(
        "-r",
        "--run-dir",
        type=Path,
        action="append",
        metavar="RUNDIR",
        help=f"run directory of a node, also several [{default_run_dir()}, if no FILE is given]",
    )
    parser.add_argument(
        "-n",
        "--number",
        type=_number,
        default=5,
        metavar="N",
        help="transitions to tell of each node [%(default)s]; 0: all",
    )
    parser.add_argument("--json", action="store_true", help="as one JSON object")


def _number(word: str) -> int:
    if not (word.isascii() and word.isdecimal()):
        raise argparse.ArgumentTypeError(f"a number of transitions expected, not {word}")
    return int(word)


def run(options: argparse.Namespace) -> int:
    """0, or 1 when nothing is known of the instance."""
    name: str = options.instance
    run_dirs: list[Path] = options.run_dir or ([] if options.files else [default_run_dir()])
    if names_a_server(name):
        return explain_server.explain(name, run_dirs, options.files, options.number, as_object=options.json)
    witnesses = Witnesses(name)
    for run_dir in run_dirs:
        witnesses.ask(run_dir)
    witnesses.read(options.files)
    for complaint in witnesses.complaints:
        print(f"keepbus: {clean(complaint)}", file=sys.stderr)
    accounts = witnesses.accounts()
    if not accounts:
        names = witnesses.names()
        if names or not witnesses.complaints:
            _unknown(name, names, witnesses.silence, [*run_dirs, *options.files])
        return 1
    paint, width, now_ns = Paint(colour_wanted(sys.stdout)), columns(), time.time_ns()
    shown: Iterator[str]
    if len(accounts) == 1:
        story = tell(name, accounts[0].entries, accounts[0].now)
        if options.number > 0:
            del story.chapters[: -options.number]
        data = as_json(story)
        shown = as_text(story, witnesses.findings, now_ns, paint, width)
    else:
        together = join(name, accounts, now_ns)
        together.keep(options.number)
        data = several.as_json(together)
        shown = several.as_text(together, witnesses.findings, now_ns, paint, width)
    if options.json:
        print(json.dumps(data, ensure_ascii=False, indent=2))
        return 0
    for line in shown:
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
                "followed": followed_json(chapter),
            }
            for chapter in story.chapters
        ],
    }


def as_text(
    story: Story, findings: journal.Findings, now_ns: int, paint: Paint, width: int | None
) -> Iterator[str]:
    """The lines for a person, oldest transition first."""
    state = now_words(story.now, now_ns, paint)
    if state:
        yield f"{paint(clean(story.name), 'bold')} is {state}"
    else:
        silent = paint("the node does not run; this is from its journal", "yellow")
        yield f"{paint(clean(story.name), 'bold')}: {silent}"
    life = story.chapters[0].life if story.chapters else ""
    for chapter in story.chapters:
        yield ""
        if chapter.life != life:
            yield paint("(a new series of transitions begins)", "dim")
            life = chapter.life
        yield from chapter_lines(chapter, now_ns, paint, width)
    yield from shortcomings(findings, paint)


def _unknown(name: str, names: set[str], silence: str, places: list[Path]) -> None:
    if not names:
        where = " and ".join(map(str, places))
        sentence = f"no instance is known in {where}; name journals that an audit service wrote"
        print(f"keepbus: {silence or sentence}", file=sys.stderr)
        return
    near = difflib.get_close_matches(name, sorted(names), n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}? " if near else ""
    known = ", ".join(clean(known) for known in sorted(names))
    print(f"keepbus: there is no instance {clean(name)}; {hint}Known: {known}", file=sys.stderr)
