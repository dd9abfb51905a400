"""`keepbus demote`: move mastership away from this node, and let it come back."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from keepbus.cli.bus import Ear, NoNode, collect
from keepbus.cli.rundir import add_run_dir
from keepbus.cli.terminal import clean
from keepbus.cli.voice import voice
from keepbus.contracts import vrrp

ABOUT = "move mastership of instances away from this node"

_ANSWER_S = 3.0
_HUB = "state/hub/service"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this verb."""
    parser.add_argument("instances", nargs="*", metavar="INSTANCE", help="names of vrrp_instance")
    parser.add_argument("--all", action="store_true", help="every instance of the node")
    parser.add_argument("--undo", action="store_true", help="take part in elections again as configured")
    add_run_dir(parser)


def run(options: argparse.Namespace) -> int:
    """0 when every instance obeyed, 1 when one did not or is not known, 2 when there was nobody to ask."""
    run_dir: Path = options.run_dir
    try:
        if options.instances and options.all:
            return _refuse("name instances or take --all, not both")
        names = options.instances or _instances(run_dir)
        if not names:
            return _refuse(f"the node in {run_dir} has no instances")
        if not options.instances and not options.all:
            return _refuse(f"name an instance, or take --all: {', '.join(names)}")
        return _ask(run_dir, dict.fromkeys(names), undo=options.undo)
    except NoNode as error:
        return _refuse(str(error))


def _instances(run_dir: Path) -> list[str]:
    states = collect(run_dir, [vrrp.Instance.TOPIC])
    return sorted(message.body.name for message in states.values() if message.body is not None)


def _ask(run_dir: Path, names: dict[str, None], *, undo: bool) -> int:
    # When the hub's state comes, what was subscribed to before it is heard too.
    with Ear(run_dir, [f"{vrrp.Demoted.TOPIC}/", _HUB]) as ear, voice(run_dir) as speaker:
        ear.hear(_ANSWER_S)
        asked = {speaker.publish(vrrp.Demote(instance=name, undo=undo)): name for name in names}
        deadline = time.monotonic() + _ANSWER_S
        well = True
        while asked and (left_s := deadline - time.monotonic()) > 0:
            for message in ear.hear(left_s):
                answer = message.body
                if answer is None or asked.pop(message.header.cause, None) is None:
                    continue
                well &= answer.known and answer.demoted is not undo
                if answer.known:
                    print(f"{clean(answer.instance)}: {clean(answer.detail)}")
                else:
                    known = clean(", ".join(_instances(run_dir))) or "no instances"
                    print(f"keepbus: {clean(answer.detail)}; it has {known}", file=sys.stderr)
    if asked:
        return _refuse(
            f"vrrp did not answer within {_ANSWER_S:.0f} s for {', '.join(asked.values())}; "
            f"look at `keepbus status -r {run_dir}`"
        )
    return 0 if well else 1


def _refuse(sentence: str) -> int:
    print(f"keepbus: {sentence}", file=sys.stderr)
    return 2
