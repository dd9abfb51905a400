"""keepbus-audit: keeps the journal of everything that was said on the bus."""

from __future__ import annotations

import argparse

from keepbus.runtime.service import Service
from keepbus_audit.journal import DEFAULT_FILES, DEFAULT_SIZE, Journal
from keepbus_audit.machine import Machine
from keepbus_audit.shell import Shell

EVERYTHING = ""


def main() -> None:
    """Wire the machine to the bus and its file, and run."""
    service = Service(
        "audit",
        about="Appends every message of the bus to RUNDIR/audit/journal.jsonl.",
        topics=(EVERYTHING,),
        options=_options,
    )
    options = service.options
    journal = Journal(
        service.run_dir / "audit" / "journal.jsonl", size=options.journal_size, files=options.journal_files
    )
    service.run(Machine(), Shell(journal).perform)


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--journal-size",
        type=_positive,
        metavar="OCTETS",
        default=DEFAULT_SIZE,
        help="begin a new file when this one would grow larger (default %(default)d)",
    )
    parser.add_argument(
        "--journal-files",
        type=_positive,
        metavar="NUMBER",
        default=DEFAULT_FILES,
        help="files to keep, the current one among them (default %(default)d)",
    )


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"1 or more expected, not {text}")
    return int(text)


if __name__ == "__main__":
    main()
