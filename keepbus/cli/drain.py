"""`keepbus drain`: give a real server no new connections, and let those that it has end."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from keepbus.cli.bus import Ear, NoNode
from keepbus.cli.rundir import add_run_dir
from keepbus.cli.terminal import clean
from keepbus.cli.voice import voice
from keepbus.contracts.ipvs import Drain, DrainChanged

ABOUT = "give a real server no new connections; those that it has end by themselves"

_ANSWER_S = 3.0
_ASK_AGAIN_S = 0.3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this verb."""
    parser.add_argument("real_server", metavar="RS", help="address:port, or an address: every port of it")
    parser.add_argument("--vs", default="", metavar="NAME", help="in this virtual server alone")
    add_run_dir(parser)


def run(options: argparse.Namespace, *, undo: bool = False) -> int:
    """0 when it is done, 1 when there is no such server, 2 when nobody answers."""
    command = Drain(real_server=options.real_server, virtual_server=options.vs, undo=undo)
    try:
        answer = ask(options.run_dir.absolute(), command)
    except NoNode as error:
        print(f"keepbus: {error}", file=sys.stderr)
        return 2
    if answer is None:
        print("keepbus: ipvs does not answer; look at `keepbus status`", file=sys.stderr)
        return 2
    if answer.error:
        print(f"keepbus: {clean(answer.error)}; `keepbus status` shows those that there are", file=sys.stderr)
        return 1
    what = "gets new connections again" if undo else "gets no new connections"
    print(clean(f"{answer.real_server} {what} in {', '.join(answer.virtual_servers)}"))
    return 0


def ask(run_dir: Path, command: Drain) -> DrainChanged | None:
    """The answer to a command, None when there is none in time; raises NoNode.

    The command is repeated, because a command that nobody hears is lost; doing it twice does nothing.
    """
    began = time.monotonic()
    with Ear(run_dir, [DrainChanged.TOPIC]) as ear, voice(run_dir) as speaker:
        asked: set[str] = set()
        ask_at = began
        while (now := time.monotonic()) - began < _ANSWER_S:
            if now >= ask_at:
                asked.add(speaker.publish(command))
                ask_at = now + _ASK_AGAIN_S
            for message in ear.hear(0.05):
                if message.header.cause in asked and isinstance(message.body, DrainChanged):
                    return message.body
    return None
