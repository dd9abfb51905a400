"""`keepbus undrain`: a real server that was drained gets new connections again."""

from __future__ import annotations

import argparse

from keepbus.cli import drain

ABOUT = "give a real server that was drained new connections again"

add_arguments = drain.add_arguments


def run(options: argparse.Namespace) -> int:
    """As for `keepbus drain`."""
    return drain.run(options, undo=True)
