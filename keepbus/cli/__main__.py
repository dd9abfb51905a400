"""The `keepbus` command: one file per verb in this directory.

A verb's file has `ABOUT`, `add_arguments(parser)` and `run(options)`, which returns the exit status. Only the
verb that was asked for is imported, so that `keepbus status` costs no compiler; the overview imports all.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
from collections.abc import Sequence

import keepbus

VERBS = ("up", "check", "plan", "reload", "status", "tap", "explain", "drain", "undrain", "digest", "demote")
"""In the order of the overview. A verb whose file isn't there is left out."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the verb that the command line asks for; the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(
        prog="keepbus", description="keepalived's whole job as separate processes on a ZeroMQ bus."
    )
    parser.add_argument("--version", action="version", version=f"keepbus {keepbus.__version__}")
    verbs = parser.add_subparsers(metavar="VERB", required=True, title="verbs")
    present = [verb for verb in VERBS if importlib.util.find_spec(f"keepbus.cli.{verb}")]
    asked = words[:1] if words[:1] and words[0] in present else present
    for verb in asked:
        module = importlib.import_module(f"keepbus.cli.{verb}")
        about = module.ABOUT
        verb_parser = verbs.add_parser(verb, help=about, description=f"{about[:1].upper()}{about[1:]}.")
        module.add_arguments(verb_parser)
        verb_parser.set_defaults(run=module.run)
    options = parser.parse_args(words)
    try:
        return int(options.run(options))
    except BrokenPipeError:
        # The reader of our output (head, less) went away; that is no error of ours.
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
