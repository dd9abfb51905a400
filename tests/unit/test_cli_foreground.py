"""The parent of a node in want: what it cannot do costs the node nothing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from keepbus.cli.foreground import Foreground
from keepbus.cli.relay import Relay


def test_a_reload_for_which_there_is_no_process_is_told_and_the_node_lives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def none_left(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    reader, writer = os.pipe2(os.O_NONBLOCK)
    parent = object.__new__(Foreground)  # without the node that a real one starts
    parent._relay, parent._run_dir = Relay(writer), Path("/run/x")
    parent._reloader, parent._reload_again = None, False
    monkeypatch.setattr(subprocess, "Popen", none_left)
    parent._reload()
    parent._relay.drain()
    assert os.read(reader, 1 << 16).decode().splitlines() == [
        "keepbus: reloading",
        "keepbus: cannot reload: Resource temporarily unavailable; ask again when there is room",
    ]
    for fd in (reader, writer, parent._relay.reader, parent._relay.writer):
        os.close(fd)
