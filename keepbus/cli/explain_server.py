"""`keepbus explain SERVER`: why a real server or a virtual server is what it is."""

from __future__ import annotations

import difflib
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from keepbus.cli import journal
from keepbus.cli.bus import NoNode, collect
from keepbus.cli.explain_page import shortcomings
from keepbus.cli.gist import exit_words, mood
from keepbus.cli.journal import Entry
from keepbus.cli.server_story import TOPICS, Chapter, Story, tell
from keepbus.cli.terminal import Paint, clean, clock, colour_wanted, columns, cut, duration, wrap
from keepbus.cli.witnesses import journals
from keepbus.contracts import checker, ipvs, notify
from keepbus.contracts.schema import to_plain

_INDENT = "              "


def explain(
    asked: str, run_dirs: Sequence[Path], files: Sequence[Path], number: int, *, as_object: bool
) -> int:
    """Print the story of each node that has one; 0, or 1 when none of them knows the server.

    files are journals or directories with them; number: how many chapters, 0 for all.
    """
    known: set[str] = set()
    silence = ""
    findings = journal.Findings()
    stories: dict[str, Story] = {}
    for run_dir in run_dirs:
        live, silence = _live(run_dir)
        entries = _entries([run_dir / "audit"], findings) if (run_dir / "audit").exists() else []
        stories[str(run_dir)] = tell(asked, entries, live)
        known |= _names([*live.values(), *(entry.body for entry in entries)])
    by_node: dict[str, list[Entry]] = {}
    for entry in _entries(files, findings):
        by_node.setdefault(entry.node, []).append(entry)
    for node, entries in by_node.items():
        stories[node] = tell(asked, entries, {})
        known |= _names([entry.body for entry in entries])
    stories = {
        name: story
        for name, story in stories.items()
        if story.virtual_servers or story.uses or story.chapters
    }
    if not stories:
        return _unknown(asked, known, silence, [*run_dirs, *files])
    for story in stories.values():
        story.chapters = story.chapters[-number:] if number > 0 else story.chapters
    if as_object:
        told = [as_json(story) for story in stories.values()]
        print(json.dumps(told[0] if len(told) == 1 else told, ensure_ascii=False, indent=2))
        return 0
    width, paint = columns(), Paint(colour_wanted(sys.stdout))
    for name, story in stories.items():
        if len(stories) > 1:
            print(paint(clean(name), "bold"))
        for line in as_text(story, time.time_ns(), paint, width):
            print(cut(line, width))
    for line in shortcomings(findings, paint):
        print(line)
    return 0


def _entries(places: Sequence[Path], findings: journal.Findings) -> list[Entry]:
    """What the journals at these places say of servers; what cannot be read is complained of."""
    found: list[Entry] = []
    for place in places:
        try:
            found += journal.entries(journals(place), _wanted, findings)
        except OSError as error:
            print(f"keepbus: {journal.complaint(error)}", file=sys.stderr)
    return found


def as_json(story: Story) -> dict[str, Any]:
    """The story as plain data: the bodies of the contracts."""

    def of(entry: Entry) -> dict[str, Any]:
        return {"at": entry.at_ns, "topic": entry.topic, **to_plain(entry.body)}

    return {
        "server": story.asked,
        "virtual_servers": [to_plain(server) for server in story.virtual_servers],
        "real_servers": [{"virtual_server": server.name, **to_plain(use)} for server, use in story.uses],
        "chapters": [
            {**of(chapter.head), "followed": [of(entry) for entry in chapter.followed]}
            for chapter in story.chapters
        ],
    }


def as_text(story: Story, now_ns: int, paint: Paint, width: int | None) -> Iterator[str]:
    """The lines for a person, oldest first."""
    for server in story.virtual_servers:
        state = "up" if server.quorum_up else "down"
        yield (
            f"{paint(clean(server.name), 'bold')} is {paint(state, mood(state), 'bold')} for "
            f"{duration(now_ns - server.since_ns)}, weight {server.weight_up} of quorum {server.quorum}"
            f"{_sorry(server)}"
        )
        if server.error:
            yield f"  {paint(clean(server.error), 'red')}"
    for server, use in story.uses:
        word = "drained" if use.drained else use.verdict.value
        yield (
            f"{paint(clean(use.address), 'bold')} is {paint(word, mood(word), 'bold')} for "
            f"{duration(now_ns - use.since_ns)} in {clean(server.name)}: {clean(use.reason)}"
        )
    for chapter in story.chapters:
        yield ""
        yield from _chapter(chapter, now_ns, paint, width)


def _sorry(server: ipvs.VirtualServer) -> str:
    return f", {server.sorry_server} answers as its sorry server" if server.sorry_server_active else ""


def _chapter(chapter: Chapter, now_ns: int, paint: Paint, width: int | None) -> Iterator[str]:
    head = chapter.head
    moment = clock(head.at_ns, now_ns)
    text, style = words(head.body)
    for line in wrap(clean(text), width, first=f"{moment}  ", rest=_INDENT):
        yield line[: len(moment)] + paint(line[len(moment) :], *style)
    label = "then"
    for entry in chapter.followed:
        text, style = words(entry.body)
        late = duration(max(0, entry.at_ns - head.at_ns))
        margin = f"  {label:<10}+{late:<7} "
        for line in wrap(clean(text), width, first=margin, rest=" " * len(margin)):
            yield paint(line[: len(margin)], "dim") + paint(line[len(margin) :], *style)
        label = ""


def words(body: object) -> tuple[str, tuple[str, ...]]:
    """What happened in a sentence, and its style."""
    if isinstance(body, checker.CheckVerdict):
        return f"{body.kind} {body.target} is {body.verdict.value}{_evidence(body.evidence)}", _style(
            body.verdict is not checker.Verdict.DOWN
        )
    if isinstance(body, checker.ProbeFailed):
        what = f"a probe of {body.target} failed, {body.attempt} of {body.attempts}"
        return f"{what}{_evidence(body.evidence)}", ("yellow",)
    if isinstance(body, ipvs.RealServerChanged):
        what = f"{body.real_server} is {'up' if body.up else 'down'} in {body.virtual_server}: {body.reason}"
        return what, _style(body.up)
    if isinstance(body, ipvs.QuorumChanged):
        return f"{body.virtual_server}: {body.reason}", _style(body.up)
    if isinstance(body, ipvs.Changed):
        return f"ipvsadm {body.what}: {body.reason}", ()
    if isinstance(body, ipvs.Drift):
        what = f"somebody else changed {body.virtual_server} to {body.found}; put back: {body.repaired}"
        return what, ("yellow",)
    if isinstance(body, ipvs.DrainChanged):
        done = "an operator drained it" if body.drained else "an operator ended the draining"
        where = ", ".join(body.virtual_servers)
        return f"{body.real_server}: {body.error or f'{done} in {where}'}", ("yellow",)
    assert isinstance(body, notify.ScriptRun)
    how = f"{exit_words(body.exit_status)} in {duration(body.took_us * 1000)}"
    return f"{body.script} {how}  ({' '.join(body.command)})", ("red",) if body.exit_status else ()


def _style(good: bool) -> tuple[str, ...]:
    return ("green",) if good else ("red",)


def _evidence(evidence: checker.Evidence | None) -> str:
    if evidence is None:
        return ""
    return f": {evidence.sent}: {evidence.received}, {duration(evidence.took_us * 1000)}"


def _wanted(topic: str) -> bool:
    return topic.startswith(TOPICS)


def _live(run_dir: Path) -> tuple[dict[str, ipvs.VirtualServer], str]:
    """Virtual servers on the bus by name; none, and why, when there is no node."""
    try:
        states = collect(run_dir, (f"{ipvs.VirtualServer.TOPIC}/",))
    except NoNode as reason:
        return {}, str(reason)
    bodies = [message.body for message in states.values()]
    return {body.name: body for body in bodies if isinstance(body, ipvs.VirtualServer)}, ""


def _names(bodies: Sequence[object]) -> set[str]:
    servers = [body for body in bodies if isinstance(body, ipvs.VirtualServer)]
    own = {server.address for server in servers}
    return own | {real.address for server in servers for real in server.real_servers}


def _unknown(asked: str, known: set[str], silence: str, run_dirs: Sequence[Path]) -> int:
    if not known:
        where = ", ".join(map(str, run_dirs))
        print(f"keepbus: {silence or f'no virtual server is known in {where}'}", file=sys.stderr)
        return 1
    near = difflib.get_close_matches(asked, sorted(known), n=3, cutoff=0.5)
    hint = f"; did you mean {' or '.join(map(clean, near))}?" if near else ""
    print(f"keepbus: no virtual or real server {clean(asked)} is known{hint}", file=sys.stderr)
    return 1
