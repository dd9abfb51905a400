"""`keepbus check`: compile a configuration file and show what there is to say about it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from keepbus.cli.compiling import limiting_driver
from keepbus.cli.findings import as_json, render
from keepbus.cli.terminal import Paint, colour_wanted, table
from keepbus.config import ipvs_drivers
from keepbus.config.compiler import compile_file
from keepbus.config.keywords import blocks
from keepbus.config.keywords.page import support

ABOUT = "say what is wrong in a configuration file (exit status: 0 nothing, 1 warnings only, 2 errors)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this verb."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("file", nargs="?", type=Path, metavar="FILE", help="the keepalived.conf to check")
    what.add_argument(
        "--keywords", action="store_true", help="list every keyword and whether keepbus supports it"
    )
    parser.add_argument(
        "--permissive", action="store_true", help="errors for which a reasonable reading exists are warnings"
    )
    parser.add_argument(
        "-i",
        "--config-id",
        default="",
        metavar="ID",
        help="what `@ID` conditions compare with [the short host name]",
    )
    parser.add_argument(
        "--ipvs-driver",
        choices=ipvs_drivers.CHOICES,
        default="",
        help="refuse what this driver cannot carry, as `keepbus up` does [carry everything]",
    )
    parser.add_argument("--json", action="store_true", help="a JSON list with one object per finding")


def run(options: argparse.Namespace) -> int:
    """0 clean, 1 warnings only, 2 errors."""
    if options.keywords:
        return _list_keywords()
    compiled = compile_file(
        options.file,
        permissive=options.permissive,
        config_id=options.config_id,
        ipvs_driver=limiting_driver(options.ipvs_driver),
    )
    if options.json:
        print(as_json(compiled.diagnostics))
    else:
        for line in render(compiled, Paint(colour_wanted(sys.stdout))):
            print(line)
    return compiled.exit_status


def _list_keywords() -> int:
    rows = [row for block in blocks().values() for row in block.values()]
    lines = []
    for row in rows:
        where = "/".join(row.block) or "top level"
        status = support(row.status).replace("`", "")
        lines.append((where, row.keyword, f"{row.kind} {row.parameters}".rstrip(), status, row.note))
    print("\n".join(table([("BLOCK", "KEYWORD", "ARGUMENT", "STATUS", "NOTE"), *lines], indent=0)))
    supported = sum(row.supported for row in rows)
    obsolete = sum(row.status == "obsolete" for row in rows)
    print(
        f"{len(rows)} keywords: {supported} supported, {obsolete} rightly without effect, "
        f"{len(rows) - supported - obsolete} not supported yet"
    )
    return 0
