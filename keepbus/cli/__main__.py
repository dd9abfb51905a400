"""The `keepbus` command: one file per verb in this directory.

A verb's file has `ABOUT`, `add_arguments(parser)` and `run(options)`, which returns the exit status. Only the
verb that was asked for is imported, so that `keepbus status` costs no compiler; the overview imports all.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import importlib.util
import io
import os
import sys
from collections.abc import Sequence

import keepbus

VERBS = (
    "up",
    "check",
    "plan",
    "reload",
    "status",
    "tap",
    "explain",
    "drain",
    "undrain",
    "digest",
    "demote",
    "metrics",
)
"""In the order of the overview. A verb whose file isn't there is left out."""
_OUTPUT_IS_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the verb that the command line asks for; the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    _accept_every_output()
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
        status = int(options.run(options))
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our output (head, less) went away; that is no error of ours.
        _drop_output()
        return 0
    except OSError as error:
        if error.errno not in _OUTPUT_IS_FULL or error.filename is not None:
            raise
        _drop_output()
        print(f"keepbus: the output cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def _accept_every_output() -> None:
    """A stream that is closed takes everything, and one whose encoding lacks a character shows `?`."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - until the end
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _drop_output() -> None:
    """What is still to be written goes nowhere: the interpreter would complain of it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


if __name__ == "__main__":
    sys.exit(main())
