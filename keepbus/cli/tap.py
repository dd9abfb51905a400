"""`keepbus tap`: follow what is said on the bus."""

from __future__ import annotations

import argparse
import fnmatch
import os
import signal
import sys
import time
from collections.abc import Sequence
from typing import Any

from keepbus.cli.bus import Ear, NoNode
from keepbus.cli.gist import gist, mood
from keepbus.cli.rundir import add_run_dir
from keepbus.cli.terminal import Paint, clean, clock, colour_wanted, columns, cut, duration, pad, plural
from keepbus.contracts import record
from keepbus.contracts.message import Message
from keepbus.contracts.schema import to_plain

ABOUT = "follow what is said on the bus"

_GLOB = "*?["
_WAIT_S = 0.5
_OLD_NS = 1_000_000_000
_SOURCE_COLUMNS = 8
_TOPIC_COLUMNS = 28
_SOURCE_COLOURS = {
    "vrrp": "cyan",
    "checker": "magenta",
    "ipvs": "blue",
    "notify": "green",
    "watchdog": "yellow",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this verb."""
    parser.add_argument(
        "patterns",
        nargs="*",
        metavar="PATTERN",
        help="topics to follow, `*` for any characters: 'state/vrrp/*', '*/VI_1' [everything but heartbeats]",
    )
    add_run_dir(parser)
    parser.add_argument("--all", action="store_true", help="heartbeats and statistics too")
    parser.add_argument("--repeats", action="store_true", help="repeats of a state too")
    parser.add_argument("--json", action="store_true", help="one JSON object per line, as in the journal")


def run(options: argparse.Namespace) -> int:
    """0 when stopped by Ctrl-C, SIGTERM or a closed pipe, 1 when there is no node."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with Ear(options.run_dir, sorted({prefix(pattern) for pattern in options.patterns}) or [""]) as ear:
            _follow(ear, options)
    except NoNode as reason:
        print(f"keepbus: {reason}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:
        # Nobody reads any more; Python must not try to flush the rest at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return 0


def _follow(ear: Ear, options: argparse.Namespace) -> None:
    paint = Paint(colour_wanted(sys.stdout))
    while True:
        messages = ear.hear(_WAIT_S, repeats=options.repeats)
        now_ns = time.time_ns()
        for message in messages:
            if wanted(message.topic, options.patterns, everything=options.all):
                if options.json:
                    print(record.encode(record.of_message(message, now_ns)))
                else:
                    print(line(message, now_ns, paint, columns()))
        for gap in ear.listener.gaps:
            if options.json:
                print(record.encode({"time": record.moment(now_ns), "gap": to_plain(gap)}))
            else:
                text = f"{plural(gap.lost, 'message')} lost on {gap.topic} from {gap.source}"
                print(_aside(text, now_ns, paint))
        for reject in ear.listener.rejects:
            if options.json:
                print(record.encode({"time": record.moment(now_ns), "reject": to_plain(reject)}))
            else:
                print(_aside(f"a message cannot be read: {reject.reason}", now_ns, paint))
        ear.listener.gaps.clear()
        ear.listener.rejects.clear()
        sys.stdout.flush()


def prefix(pattern: str) -> str:
    """What every topic that fits the pattern begins with: the subscription for it."""
    for index, character in enumerate(pattern):
        if character in _GLOB:
            return pattern[:index]
    return pattern


def wanted(topic: str, patterns: Sequence[str], *, everything: bool = False) -> bool:
    """True when a topic fits one of the patterns.

    A pattern without wildcards stands for itself and what is under it. Without patterns everything fits but
    heartbeats and statistics, which come all the time.
    """
    if not patterns:
        segments = topic.split("/", 3)
        return everything or segments[0] != "state" or segments[2] not in ("service", "statistics")
    return any(_fits(topic, pattern) for pattern in patterns)


def _fits(topic: str, pattern: str) -> bool:
    if prefix(pattern) != pattern:
        return fnmatch.fnmatchcase(topic, pattern)
    return topic == pattern or topic.startswith(f"{pattern.removesuffix('/')}/")


def line(message: Message, now_ns: int, paint: Paint, width: int | None) -> str:
    """A message on one line: when, who, what about, what it says, how old it is, what led to it."""
    header = message.header
    kind, _, rest = message.topic.split("/", 2)
    word, text = gist(message)
    source = clean(header.source)
    parts = [
        paint(clock(header.at_ns, now_ns), "dim"),
        paint(pad(source, _SOURCE_COLUMNS), _SOURCE_COLOURS.get(source, "bold")),
        pad(paint(rest, "bold") if kind == "state" else rest, _TOPIC_COLUMNS),
    ]
    if word:
        parts.append(paint(word, mood(word), "bold"))
    parts.append(text)
    if kind == "state" and header.sent_ns - header.at_ns > _OLD_NS:
        parts.append(paint(f"(for {duration(header.sent_ns - header.at_ns)})", "dim"))
    if header.cause:
        parts.append(paint(f"← {short(header.cause)}", "dim"))
    return cut(" ".join(parts), width)


def short(identity: str) -> str:
    """A message's id without node and boot: `vrrp/42`."""
    segments: list[Any] = clean(identity).split("/")
    return f"{segments[-3]}/{segments[-1]}" if len(segments) >= 4 else clean(identity)


def _aside(text: str, now_ns: int, paint: Paint) -> str:
    return cut(f"{paint(clock(now_ns, now_ns), 'dim')} {paint(clean(text), 'red', 'bold')}", columns())
