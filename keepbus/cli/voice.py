"""Asking a node for something from the command line."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import zmq

from keepbus.bus.client import Speaker
from keepbus.cli.bus import NoNode
from keepbus.runtime.service import node_name

_SOURCE = "keepbus"


@contextmanager
def voice(run_dir: Path) -> Iterator[Speaker]:
    """A speaker for commands. Raises NoNode when this user may not speak."""
    if not os.access(run_dir / "bus" / "speak", os.X_OK):
        raise NoNode(f"you may not speak to the node in {run_dir}; become root")
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    speaker = Speaker(context, run_dir, node=node_name(run_dir), source=_SOURCE, boot=f"{time.time_ns():x}")
    try:
        yield speaker
    finally:
        speaker.close()
        context.term()
