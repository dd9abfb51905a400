"""The `keepbus` command: one file per verb in this directory.

A verb's file has `ABOUT`, `add_arguments(parser)` and `run(options)`, which returns the exit status. Only the
verb that was asked for is imported, so that `keepbus status` costs no compiler.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType

VERBS = {
    "up": "run a node in the foreground, until SIGTERM or Ctrl-C",
    "check": "say what is wrong in a configuration file",
    "reload": "make a running node take its changed configuration file",
    "status": "show what runs, who is master, which servers are alive",
    "tap": "follow what is said on the bus",
    "explain": "say why an instance is in the state it is in",
}
"""The verbs and what the overview says of them; a verb whose file isn't there is left out."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the verb that the command line asks for; the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    asked = next((word for word in words if not word.startswith("-")), "")
    parser = argparse.ArgumentParser(
        prog="keepbus", description="keepalived's whole job as separate processes on a ZeroMQ bus."
    )
    parser.add_argument(
        "--version", action="version", version=f"%(prog)s {_version()}" if "--version" in words else ""
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True, title="verbs")
    module: ModuleType | None = None
    for verb, about in VERBS.items():
        name = f"keepbus.cli.{verb}"
        if importlib.util.find_spec(name) is None:
            continue
        if verb == asked:
            module = importlib.import_module(name)
            module.add_arguments(verbs.add_parser(verb, help=about, description=_sentence(module.ABOUT)))
        else:
            verbs.add_parser(verb, help=about)
    options = parser.parse_args(words)
    assert module is not None, "argparse accepts no other verb"
    try:
        return int(module.run(options))
    except BrokenPipeError:
        # The reader of our output (head, less) went away; that is no error of ours.
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        return 130


def _sentence(about: str) -> str:
    return f"{about[:1].upper()}{about[1:]}."


def _version() -> str:
    from importlib.metadata import version

    return version("keepbus")


if __name__ == "__main__":
    sys.exit(main())
