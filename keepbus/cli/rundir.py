"""The `-r` option that every verb about a node has."""

from __future__ import annotations

import argparse
import os
from pathlib import Path


def add_run_dir(parser: argparse.ArgumentParser) -> None:
    """Give the parser `-r RUNDIR`."""
    parser.add_argument(
        "-r",
        "--run-dir",
        type=Path,
        default=default_run_dir(),
        metavar="RUNDIR",
        help="run directory of the node [%(default)s]",
    )


def default_run_dir() -> Path:
    """$KEEPBUS_RUN_DIR, else /run/keepbus."""
    return Path(os.environ.get("KEEPBUS_RUN_DIR") or "/run/keepbus")
